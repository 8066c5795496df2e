"""What the user points at, as a list of images, videos and cameras."""

import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fer_lightning import names, storage
from fer_lightning.data.image_files import IMAGE_SUFFIXES
from fer_lightning.data.image_listing import by_ending, is_junk
from fer_lightning.errors import FERError
from fer_lightning.inference.addresses import is_on_web, is_stream
from fer_lightning.screen import say
from fer_lightning.storage import is_address, without_secret

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"})
"""Endings of the files that are taken for videos, lower case."""

FOLDER_MARK = ".fer_lightning"
"""A file in the folders that we have written into."""


@dataclass(frozen=True)
class Source:
    """One thing to look at.

    Attributes:
        name: The path as the user wrote it, or as found in a folder; the number of a camera; an address without user
            name and password.
        kind: What it is; a stream is like a camera.
        error: Why it cannot be looked at, where that is known already.
        address: Where it is on the web or in the network, if it is no file.
    """

    name: str
    kind: Literal["image", "video", "camera"]
    error: str = ""
    address: str = field(default="", repr=False)

    @property
    def file_name(self) -> str:
        """A file name that says where it was, for files from several folders in one; no other source has it."""
        found = names.file_name(re.sub(r"^(\./+)+", "", self.name))
        if self.kind == "image" and os.path.splitext(found)[1].lower() not in IMAGE_SUFFIXES:
            return names.file_name(f"/{self.name}")  # with a digest: some ending may be added to it
        return found


def list_sources(inputs: Sequence[str | os.PathLike[str]]) -> list[Source]:
    """Turn what the user wrote into sources, each once, in order.

    Folders are searched with all that is in them for known endings, and sorted by name, but for links to folders, for
    what `predict` has written and for what is no image or video, which is said on standard error, and for hidden files
    and what systems leave behind. `-` stands for paths on standard input, one a line.
    An address on the web is one image; in storage, as s3://..., there are folders and patterns, too. Only what is named
    here is fetched: nothing of a list is.
    A file named by itself is an image unless its ending is a video's.
    """
    left_out: list[str] = []
    others: Counter[str] = Counter()
    sources = list(dict.fromkeys(source for given in inputs for source in _find(os.fspath(given), left_out, others)))
    if left_out:
        shown = names.printable(left_out[0]).replace("\n", "\\n")
        more = f" and {len(left_out) - 1:,} more" if len(left_out) > 1 else ""
        why = "Not searched, as it is a link or was written by predict"
        say(f"Note   {why}: '{shown}'{more}. To look at it, name it as --input.", sys.stderr)
    if others:
        say(f"Note   Not looked at, as they are no images or videos: {by_ending(others)}.", sys.stderr)
    if not any(not source.error for source in sources):
        endings = ", ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
        why = f" {sources[0].error}: '{sources[0].name}'." if sources else ""
        raise FERError(f"No image or video in {', '.join(map(str, inputs))}. Expected files ending in {endings}.{why}")
    return sources


def _find(given: str, left_out: list[str], others: Counter[str]) -> Iterator[Source]:
    path = given if os.path.exists(given) else os.path.expanduser(given)
    if given == "-":
        yield from map(_of_line, _listed())
    elif is_on_web(given) or is_stream(given):
        yield _at_address(given)
    elif is_address(given):
        yield from _in_storage(given, others)
    elif os.path.isdir(path):
        yield from sorted(_in_folder(path, left_out, others), key=lambda source: source.name)
    elif os.path.exists(path):
        yield _of_file(path)
    elif re.fullmatch("[0-9]{1,4}", given):
        yield Source(given, "camera")
    elif found := sorted(_matching(path)) or sorted(_matching(path.replace("[", "[[]"))):
        yield from (_of_file(path) for path in found if not os.path.isdir(path))
    else:
        raise FERError(
            "Invalid value for --input. Expected image or video files, folders, a pattern, an address (http, https, "
            "s3, rtsp), the number of a camera or - for a list on standard input. Found nothing at "
            f"'{names.printable(given)}'."
        )


def _listed() -> Iterator[str]:
    """The paths on standard input, whatever bytes they are of."""
    if sys.stdin is None:
        raise FERError("Invalid value for --input. Expected a list on standard input for -, which is closed.")
    lines = getattr(sys.stdin, "buffer", sys.stdin)
    for number, line in enumerate(lines):
        name = os.fsdecode(line).rstrip("\r\n")
        name = name.removeprefix("\ufeff") if number == 0 else name
        if name.strip():
            yield name


def _in_folder(top: str, left_out: list[str], others: Counter[str]) -> Iterator[Source]:
    """The files below a folder, and folders that cannot be read, with the reason."""
    waiting = [top]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as found:
                entries = list(found)
        except OSError as error:
            yield Source(place, "image", f"The folder '{names.printable(place)}' cannot be read: {error.strerror}.")
            continue
        if place != top and any(entry.name == FOLDER_MARK for entry in entries):
            left_out.append(place)
            continue
        for entry in entries:
            if is_junk(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
                yield _of_file(entry.path)
            elif entry.is_symlink() and os.path.isdir(entry.path):
                left_out.append(entry.path)
            else:
                others[os.path.splitext(entry.name)[1].lower()] += 1


def _matching(pattern: str) -> Iterator[str]:
    """The paths that a pattern stands for; `**` does not follow links, which may lead in circles."""
    start, recursive, rest = pattern.partition("**")
    if not recursive:
        yield from glob.iglob(pattern)
        return
    start = start if start.endswith("/") or not start else os.path.dirname(start) + "/"
    rest = pattern[len(start) :]
    rest += "/*" if rest.endswith("**") else ""
    for root in glob.iglob(start) if start else [""]:
        for path in Path(root or ".").glob(rest):
            inner = os.path.relpath(path, root or ".")
            if not any(part.startswith(".") for part in inner.split(os.sep)):  # as `*` leaves them out
                yield os.path.join(root, inner)


def _at_address(given: str) -> Source:
    """An image on the web or a stream, as the user has typed it."""
    shown = without_secret(given)
    if is_stream(given):
        return Source(shown, "camera", address=given)
    if shown != given:
        raise FERError(f"Invalid value for --input. Expected an address without a user name. Received: {shown}.")
    if os.path.splitext(shown.partition("?")[0])[1].lower() in VIDEO_SUFFIXES:
        raise FERError(
            f"Invalid value for --input. Expected the address of an image. '{names.printable(shown)}' is a film's: "
            "download it, and name the file."
        )
    return Source(shown, "image", address=given)


def _in_storage(given: str, others: Counter[str]) -> Iterator[Source]:
    """The images at an address in storage: one, those of a pattern, or those in a folder."""
    pattern = any(sign in given.partition("://")[2] for sign in "*?[")
    if pattern:
        addresses = storage.matching(given)
    elif os.path.splitext(given)[1].lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        addresses = [given]
    else:
        addresses = [storage.joined(given, name) for name in sorted(storage.listing(given))]
        if not addresses and storage.exists(given):
            addresses = [given]
    for address in addresses:
        ending = os.path.splitext(address)[1].lower()
        if ending in VIDEO_SUFFIXES and len(addresses) == 1:
            raise FERError(
                f"Invalid value for --input. Expected images. '{names.printable(without_secret(address))}' is a film: "
                "download it, and name the file."
            )
        if ending in IMAGE_SUFFIXES or addresses == [given]:
            yield Source(without_secret(address), "image", address=address)
        else:
            others[ending] += 1


def _of_line(line: str) -> Source:
    """What a line of a list stands for: somebody else may have written it, so nothing is fetched for it."""
    if is_address(line):
        why = "It is an address, and these are fetched only if they are named on the command line."
        return Source(without_secret(line), "image", why)
    return _of_file(line)


def _of_file(path: str) -> Source:
    path = path if names.cell(path) == path else f"./{path}"  # the same file, and no formula in a table
    return Source(path, "video" if os.path.splitext(path)[1].lower() in VIDEO_SUFFIXES else "image")
