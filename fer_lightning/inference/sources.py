"""What the user points at, as a list of images, videos and cameras."""

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fer_lightning.data.input_spec import IMAGE_SUFFIXES
from fer_lightning.errors import FERError

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"})
"""Endings of the files that are taken for videos, lower case."""


@dataclass(frozen=True)
class Source:
    """One thing to look at.

    Attributes:
        name: The path as the user wrote it, or as found in a folder; the number of a camera.
        kind: What it is.
    """

    name: str
    kind: Literal["image", "video", "camera"]

    @property
    def file_name(self) -> str:
        """A file name that says where it was, for files from several folders in one."""
        return self.name.strip("./\\").replace("\\", "/").replace("/", "__")


def list_sources(inputs: Sequence[str | os.PathLike[str]]) -> list[Source]:
    """Turn what the user wrote into sources, each once, in order.

    Folders are searched with all that is in them for known endings, and sorted by name; `-` stands for paths on
    standard input, one a line. A file named by itself is an image unless its ending is a video's.
    """
    sources = list(dict.fromkeys(source for given in inputs for source in _find(os.fspath(given))))
    if not sources:
        endings = ", ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
        raise FERError(f"No image or video in {', '.join(map(str, inputs))}. Expected files ending in {endings}.")
    return sources


def _find(given: str) -> Iterator[Source]:
    if given == "-":
        yield from (_of_file(line.rstrip("\r\n")) for line in sys.stdin if line.strip())
    elif os.path.isdir(given):
        paths = (os.path.join(place, name) for place, _, names in os.walk(given) for name in names)
        known = IMAGE_SUFFIXES | VIDEO_SUFFIXES
        yield from (_of_file(path) for path in sorted(paths) if os.path.splitext(path)[1].lower() in known)
    elif os.path.exists(given):
        yield _of_file(given)
    elif given.isdigit():
        yield Source(given, "camera")
    elif found := sorted(glob.glob(given, recursive=True)):
        yield from (_of_file(path) for path in found if not os.path.isdir(path))
    else:
        raise FERError(
            "Invalid value for --input. Expected image or video files, folders, a pattern, the number of a camera "
            f"or - for a list on standard input. Found nothing at '{given}'."
        )


def _of_file(path: str) -> Source:
    return Source(path, "video" if os.path.splitext(path)[1].lower() in VIDEO_SUFFIXES else "image")
