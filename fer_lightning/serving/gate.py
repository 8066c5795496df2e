"""What every request passes: who may ask, what goes with every answer, and what is said when something breaks."""

import asyncio
import contextlib
import hashlib
import hmac
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from fer_lightning.errors import FERError
from fer_lightning.serving.limits import LINGER, Limits, RefusedError
from fer_lightning.serving.metrics import Metrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

PREDICT = "/v1/predict"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""With every answer: the page loads nothing from elsewhere and sends nothing there; nobody keeps what was answered."""


class Guard:
    """Who may ask.

    Args:
        token: What `Authorization: Bearer` has to say; empty for nothing.
        hosts: Names that the Host header may have; empty for any. Else a web site could name this machine as its own
            (DNS rebinding), and read what the service answers.
        origins: Other web pages that may ask.
        open_paths: What is there without the token.
    """

    def __init__(self, token: str, hosts: Collection[str], origins: Collection[str], open_paths: Collection[str]):
        self._digest = hashlib.sha256(token.encode()).digest() if token else b""
        self._hosts, self._origins, self._open = hosts, origins, open_paths

    def check(self, method: str, path: str, headers: dict[bytes, bytes]) -> None:
        """Raise a RefusedError unless a request may be answered."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if self._hosts and name not in self._hosts:
            expected = ", ".join(sorted(self._hosts))
            raise RefusedError(421, "wrong_host", f"Invalid Host header. Expected {expected}, as it is in the address.")
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if origin and origin.partition("://")[2] != host and origin not in self._origins:
            raise RefusedError(403, "other_origin", "Pages of other sites may not ask. --allow_origin lets one in.")
        asks_whether_it_may = method == "OPTIONS" and b"access-control-request-method" in headers  # never with a token
        if self._digest and path not in self._open and not asks_whether_it_may:
            scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
            same = hmac.compare_digest(hashlib.sha256(given.strip()).digest(), self._digest)
            if scheme.lower() != b"bearer" or not same:
                received = "another one" if given else "none"
                message = f"Expected the header Authorization: Bearer TOKEN. Received {received}."
                raise RefusedError(401, "wrong_token", message, {"WWW-Authenticate": "Bearer"})


class Gate:
    """Wraps the application (ASGI)."""

    def __init__(self, app: App, guard: Guard, limits: Limits, metrics: Metrics) -> None:
        self._app, self._guard, self._limits, self._metrics = app, guard, limits, metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        started, answer = time.monotonic(), _Answer(scope, receive, send, self._limits.body_bytes)
        try:
            self._guard.check(scope["method"], scope["path"], dict(scope["headers"]))
            await self._app(scope, answer.receive, answer.send)
        except RefusedError as error:
            await answer.refuse(error)
        except asyncio.CancelledError:  # the time to end in is over
            message = "The service ends, and there was no time left for this request. Ask again when it is back."
            await answer.refuse(RefusedError(503, "ending", message))
        except Exception as error:
            _say_where(error)
            message = "The service made a mistake; where is in its output. The request may be right."
            await answer.refuse(RefusedError(500, "internal", message))
        finally:
            seconds = time.monotonic() - started if scope["path"] == PREDICT else None
            self._metrics.request(answer.status, seconds)


class _Answer:
    """The two ends of a request: what came of it, and what was sent."""

    def __init__(self, scope: Message, receive: Receive, send: Send, most: int) -> None:
        headers = dict(scope["headers"])
        self._receive, self._send, self._most = receive, send, most
        self._comes = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        self._asks_first = b"expect" in headers  # and then sends nothing until it is told to go on
        self.status = 499  # what is counted where the client left

    async def receive(self) -> Message:
        """The next part of the body."""
        message = await self._receive()
        self._comes = self._comes and message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer; the last one when the client can read it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name.lower() for name, _ in message["headers"]}
            more = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
            more += [(b"connection", b"close")] if self._comes else []  # what comes of its body is no next request
            message["headers"] = [*message["headers"], *(pair for pair in more if pair[0] not in own)]
        elif self._comes and not self._asks_first and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drop_rest()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def refuse(self, error: RefusedError) -> None:
        """Send an error, unless an answer has begun."""
        if self.status != 499:
            return
        headers = {"Content-Type": "application/json", "Content-Length": str(len(error.body)), **error.headers}
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": error.status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": error.body})

    async def _drop_rest(self) -> None:
        left = self._most
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while self._comes and left > 0:
                    left -= len((await self.receive()).get("body", b""))


def _say_where(error: BaseException) -> None:
    """Say on standard error what exception it was and where; others' words may be of an image."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""
    what = str(error) if isinstance(error, FERError) else f"{type(error).__name__}{where}."
    print(f"A request failed: {what}", file=sys.stderr, flush=True)
