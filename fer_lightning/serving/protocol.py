"""uvicorn's HTTP, with a bound on connections and on the time for a head, and JSON for what is no HTTP."""

import asyncio
import contextlib
import http
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from fer_lightning.serving.limits import LINGER, Limits, error_body

_MOST_TOLD = 128
"""Connections above the limit that are told of it at a time; others are cut off."""


def protocol_with(limits: Limits) -> type[H11Protocol]:
    """The class that uvicorn makes one of for every connection."""

    class BoundedProtocol(H11Protocol):
        """One connection."""

        _head: asyncio.TimerHandle | None = None
        _ended = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            connection = transport.get_extra_info("socket")
            if (
                connection is not None
            ):  # asyncio forgets it; without it an answer waits 40 ms for its head to be confirmed
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if len(self.connections) > limits.connections + _MOST_TOLD:
                transport.abort()
            elif len(self.connections) > limits.connections:
                most = f"At most {limits.connections:,} connections may be open. Try again in a second."
                self._say(503, "too_many_connections", most)
            else:
                self._expect_head()

        def data_received(self, data: bytes) -> None:
            if self._ended:
                return
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._forget_head()
            elif self.conn.trailing_data[0]:  # the next request on this connection has begun
                self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget_head()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            self._say(400, "no_http", "This is no HTTP request that can be read.")

        def _expect_head(self) -> None:
            if self._head is None:
                self._head = self.loop.call_later(limits.header_seconds, self._head_too_slow)

        def _forget_head(self) -> None:
            if self._head is not None:
                self._head.cancel()
                self._head = None

        def _head_too_slow(self) -> None:
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                most = f"The head of a request has to be there within {limits.header_seconds:g} seconds."
                self._say(408, "too_slow", most)

        def _say(self, status: int, code: str, message: str) -> None:
            """Send an error in place of an answer, and close the connection."""
            self._forget_head()
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                body = error_body(code, message)
                headers = [("content-type", "application/json"), ("connection", "close")]
                events: list[Any] = [
                    h11.Response(
                        status_code=status,
                        headers=[*headers, ("content-length", str(len(body)))],
                        reason=http.HTTPStatus(status).phrase.encode(),
                    ),
                    h11.Data(data=body),
                    h11.EndOfMessage(),
                ]
                self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
                with contextlib.suppress(OSError, NotImplementedError):  # the client has left, or speaks TLS
                    self.transport.write_eof()
            self._ended = True
            self.loop.call_later(LINGER, self.transport.close)

    return BoundedProtocol
