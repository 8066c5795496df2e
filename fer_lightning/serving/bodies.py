"""The images in the body of a request: read within limits, and taken out of it in memory."""

import base64
import binascii
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from fer_lightning.serving.limits import Limits, RefusedError, too_busy

KINDS = "multipart/form-data, application/json or an image such as image/jpeg"
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it logs bytes of what it cannot read
_DATA_URL = re.compile(r"data:[\w.+/;= -]{0,100},", re.ASCII)


class BodyReader:
    """Reads bodies; of all requests together it holds so many bytes at most."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._held = limits, 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body of a request, held within the block; one that is too large is cut off while it comes.

        Raises:
            RefusedError: If it is too large, or too many are held.
        """
        most, taken, parts = self._limits.body_bytes, 0, []
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            raise _too_large(most, f"{int(length):,} bytes" if length.isdecimal() else "no number")
        try:
            async for part in request.stream():
                if taken + len(part) > most:
                    raise _too_large(most, "more")
                if self._held + len(part) > self._limits.held_bytes:
                    raise too_busy(
                        f"Requests under way may have {self._limits.held_bytes:,} bytes together, which they have now. "
                        "Try again in a second."
                    )
                taken, self._held = taken + len(part), self._held + len(part)
                parts.append(part)
            yield b"".join(parts)
        finally:
            self._held -= taken


def _too_large(most: int, received: str) -> RefusedError:
    message = f"A request may have {most:,} bytes. Received {received}. Send fewer or smaller images."
    return RefusedError(413, "too_large", message)


def images_in(body: bytes, content_type: str, limits: Limits) -> list[bytes]:
    """The files in a body.

    Raises:
        RefusedError: If it is of another kind or damaged, or if there are none or too many.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        images = _in_form(body, options.get(b"boundary", b""), limits)
    elif kind == b"application/json":
        images = _in_json(body, limits)
    elif kind.startswith(b"image/"):
        images = [body]
    else:
        received = repr(content_type[:80]) if content_type else "none"
        message = f"Invalid Content-Type. Expected {KINDS}. Received: {received}."
        raise RefusedError(415, "unsupported_type", message)
    if not images:
        raise _wrong("no_images", "There is no image in the request. Expected one or more.")
    for number, image in enumerate(images):
        if not image:
            raise _wrong("empty_image", f"Image {number} has no bytes. Send the content of an image file.")
    return images


def _wrong(code: str, message: str) -> RefusedError:
    return RefusedError(422, code, message)


def _too_many(limits: Limits, received: str) -> RefusedError:
    message = f"A request may have {limits.images:,} images. Received {received}. Send the others in another request."
    return RefusedError(413, "too_many_images", message)


def _in_form(body: bytes, boundary: bytes, limits: Limits) -> list[bytes]:
    """The files of a form, whatever they are called. Starlette's own parser writes large ones to the disk."""
    files: list[list[bytes]] = []
    heads: list[list[bytes]] = []
    ended = []

    def begin() -> None:
        if len(files) == limits.images:
            raise _too_many(limits, "more")
        files.append([])
        heads.clear()

    def named(data: bytes, start: int, end: int) -> None:
        heads[-1][0] += data[start:end]

    def valued(data: bytes, start: int, end: int) -> None:
        heads[-1][1] += data[start:end]

    def headed() -> None:
        found = {name.lower(): value for name, value in heads}
        if b"filename" not in parse_options_header(found.get(b"content-disposition"))[1]:
            raise _wrong(
                "no_file",
                f"Part {len(files) - 1} of the form is no file. Expected files alone; with curl: -F images=@photo.jpg",
            )

    callbacks: Any = {
        "on_part_begin": begin,
        "on_header_begin": lambda: heads.append([b"", b""]),
        "on_header_field": named,
        "on_header_value": valued,
        "on_headers_finished": headed,
        "on_part_data": lambda data, start, end: files[-1].append(data[start:end]),
        "on_end": lambda: ended.append(True),
    }
    with suppress(FormParserError):
        if boundary:
            MultipartParser(boundary, callbacks).write(body)
    if not ended:
        raise _wrong("damaged_form", "The form cannot be read: it ends too soon, or is not what its Content-Type says.")
    return [b"".join(parts) for parts in files]


def _in_json(body: bytes, limits: Limits) -> list[bytes]:
    expected = 'Expected {"images": ["data:image/jpeg;base64,...", "<base64>"]}.'
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise _wrong("damaged_json", f"The body is no JSON that can be read. {expected}") from None
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or len(content) != 1:
        raise _wrong("wrong_json", f"The JSON is not what a request has. {expected}")
    if len(images) > limits.images:
        raise _too_many(limits, f"{len(images):,}")
    return [_of_base64(image, number) for number, image in enumerate(images)]


def _of_base64(text: Any, number: int) -> bytes:
    """The bytes of a data URL, or of base64 alone."""
    try:
        if not isinstance(text, str):
            raise TypeError
        start = _DATA_URL.match(text)
        if start and ";base64," not in start[0]:
            raise ValueError
        return base64.b64decode("".join(text[start.end() if start else 0 :].split()), validate=True)
    except (ValueError, TypeError, binascii.Error):
        message = f"Image {number} is no base64. Expected a text in base64, or a data URL with one."
        raise _wrong("damaged_base64", message) from None
