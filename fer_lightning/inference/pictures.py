"""Pictures that are written into a folder of ours, over nothing but what we have written there of the same source."""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from fer_lightning import names
from fer_lightning.errors import FERError
from fer_lightning.inference.sources import Source
from fer_lightning.names import printable

_MARK = b"\nfer_lightning "
_LENGTH = len(_MARK) + 64 + 1 + 64
"""Bytes behind a picture, where viewers do not look: the digests of its content and of its source's place."""


class Pictures:
    """Writes pictures whole or not at all; not as safely as `files.replacing` does, but thousands a minute.

    Two sources may have the same name, seen from two working folders: each has pictures of its own.

    Args:
        folder: Where to.
        overwrite: Whether a picture that somebody else has put there, or has changed, may be replaced.
    """

    def __init__(self, folder: Path, overwrite: bool = False) -> None:
        self.folder, self.overwrite, self.written = folder, overwrite, 0

    def save(self, image: Image.Image, source: Source, named: Callable[[str], str], **options: Any) -> None:
        """Write a picture about a source.

        Args:
            image: The picture.
            source: What it is about.
            named: Makes the picture's name, with its ending, from a name for the source.
            options: How PIL writes it.

        Raises:
            FERError: If there is something else in its place.
        """
        place = os.path.abspath(source.name)
        origin = _digest(place.encode(errors="surrogatepass"))
        path = self.folder / named(source.file_name)
        if (there := _origin_of(path)) not in (None, b"", origin):
            path = self.folder / named(names.file_name(place))
            there = _origin_of(path)
        if there not in (None, origin) and not self.overwrite:
            raise FERError(
                f"'{printable(str(path))}' was changed since it was written, or somebody else has put it there. Move "
                "it away, choose another folder, or replace it with --overwrite."
            )
        stream = io.BytesIO()
        image.save(stream, Image.registered_extensions()[path.suffix.lower()], **options)
        content = stream.getvalue()
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{os.getpid()}{path.suffix}")
        try:
            aside.write_bytes(content + _MARK + _digest(content) + b" " + origin)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        self.written += 1


def _origin_of(path: Path) -> bytes | None:
    """The digest of the place of the source that a picture of ours is about; empty if it is not ours, None if none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    start = len(content) - _LENGTH
    mark, digest, origin = content[start : start + len(_MARK)], content[start + len(_MARK) : -65], content[-64:]
    return origin if start > 0 and mark == _MARK and digest == _digest(content[:start]) else b""


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
