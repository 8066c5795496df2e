"""What a request may ask for, and how it is told that it asked for more."""

import json
from dataclasses import dataclass
from typing import Any

LINGER = 1.0
"""Seconds for which what a refused client still sends is read and dropped: cut off while sending, it sees no answer."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what a client can make the service do.

    Attributes:
        body_bytes: Of a request.
        pixels: Of an image.
        images: In a request.
        waiting: Images of all clients that are not answered yet.
        seconds: For a request, from its first byte to its answer.
        header_seconds: For the head of a request.
        connections: That are open at once.
    """

    body_bytes: int
    pixels: int
    images: int
    waiting: int
    seconds: float
    header_seconds: float = 10.0
    connections: int = 512

    @property
    def held_bytes(self) -> int:
        """Of the bodies of all requests under way: as many as 16 of the largest."""
        return 16 * self.body_bytes


class RefusedError(Exception):
    """A request that is not answered, with what its client is told.

    Args:
        status: The HTTP status.
        code: A word that programs can compare.
        message: Which limit or rule it is, what was received, what to do.
        headers: That belong to the status.
        more: Further values beside the error.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None, more: Any = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers, self.more = status, code, message, headers or {}, more or {}

    @property
    def body(self) -> bytes:
        """The JSON that is sent."""
        return error_body(self.code, self.message, **self.more)


def error_body(code: str, message: str, **more: Any) -> bytes:
    """An error as JSON; every one that leaves the service has this form."""
    return json.dumps({"error": {"code": code, "message": message}, **more}).encode()


def too_busy(message: str) -> RefusedError:
    """The refusal that asks to come again in a second."""
    return RefusedError(429, "too_busy", message, {"Retry-After": "1"})
