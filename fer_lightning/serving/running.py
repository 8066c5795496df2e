"""The server: from its socket to its end, which answers what has begun."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn

from fer_lightning.errors import FERError
from fer_lightning.names import printable
from fer_lightning.serving.limits import Limits
from fer_lightning.serving.protocol import protocol_with


def listening(host: str, port: int) -> socket.socket:
    """A socket that clients can connect to.

    Raises:
        FERError: If there is no such address, or somebody else has it.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0  # that of a name that is not known is below 0
        said = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or error
        raise FERError(
            f"Cannot listen at --host {printable(host)} --port {port}: {said}. Choose another --port, or 0 for a free "
            "one."
        ) from None


def run(app: Any, listener: socket.socket, limits: Limits, stop_timeout: float) -> list[int]:
    """Answer until a signal comes, then what has begun; gives the signals that came."""
    caught: list[int] = []

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """They are taken for longer than uvicorn would: the end of the event loop takes its time too."""
            yield

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """The first one ends it; a second Ctrl-C does not wait for what has begun."""
            self.force_exit = self.force_exit or bool(caught and sig == signal.SIGINT)
            self.should_exit = True
            if not caught:
                caught.append(sig)

    config = uvicorn.Config(
        app,
        http=protocol_with(limits),
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,  # what it would log are addresses of clients and what they sent
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=stop_timeout,  # type: ignore[arg-type]
        backlog=512,
    )
    server = Server(config)
    with _handling(server.handle_exit):
        server.run(sockets=[listener])
    return caught


@contextlib.contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Give it what ends every verb. Raising anything within the event loop would leave answers unsent."""
    earlier: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, one) for one in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, one)]
        numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # `nohup`
        earlier = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in earlier.items():
            signal.signal(number, before)
