"""Images that are no files of their own, written once as such: pixels in a table, bytes in Parquet, faces cut out."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from fer_lightning.data.image_checks import built_once
from fer_lightning.data.legend_rows import LegendRows
from fer_lightning.errors import FERError
from fer_lightning.files import check_path
from fer_lightning.screen import say

_VERSION = 2
"""Another one unpacks everything anew: for when other files come out of the same sources."""

_ROWS = "rows.jsonl"


class Entry(NamedTuple):
    """A row of a data set with its image, or with what is wrong with it; with neither it was left out."""

    number: int  # of the line or row, from 1
    image: str = ""  # the name of its file
    label: str = ""
    subset: str | None = None
    identity: str | None = None
    attributes: Sequence[str] = ()
    file: str = ""  # the file that the row stands in, where there are several
    problem: str = ""  # why there is no image
    user: str = ""  # who labelled it


Write = Callable[[Path], Iterable[Entry]]
"""Writes image files into a folder, an entry each; folders in it are its own to make."""


def unpack(
    name: str,
    sources: Iterable[str | os.PathLike[str]],
    settings: Sequence[object],
    write: Write,
    prepared_dir: str,
    count: int | None = None,
) -> tuple[Path, list[Entry]]:
    """Write the images of a data set as files, or find them where they were written before.

    They are in `<prepared_dir>/<name>-images-<digest>/images`; the digest is of the path, size and time of the sources,
    so what has changed is unpacked anew. What is refused is kept with the rest: it is known again without looking.

    Args:
        name: Of the data set, for the folder.
        sources: The files that the images are made of.
        settings: What else decides what the images are.
        write: Makes them.
        prepared_dir: Where to keep them.
        count: How many there will be, for the progress.

    Returns:
        The folder of the images, and the entries.

    Raises:
        FERError: If a source is not there, the disk is full or the folder cannot be written.
    """
    check_path("--data.prepared_dir", prepared_dir)
    safe = re.sub(r"[^\w.-]", "_", name)[:40] or "data"
    folder = Path(prepared_dir).expanduser() / f"{safe}-images-{_digest(sources, settings)}"
    found: list[Entry] = []

    def is_whole() -> bool:
        found[:] = _entries(folder)
        return bool(found)

    def build(aside: Path) -> None:
        found.clear()
        if os.path.lexists(folder):
            say(f"Note   Images are missing in '{folder}': they are written anew.")
        (aside / "images").mkdir()
        with open(aside / _ROWS, "w", encoding="utf-8") as stream:
            said = f"Writing the images of {name}"
            bar = tqdm(write(aside / "images"), said, count, unit=" images", delay=1, leave=False)
            for entry in bar:
                found.append(entry)
                stream.write(json.dumps(entry) + "\n")

    need = f"the images of {name} are to be written"
    built_once(folder, is_whole, build, need, "Choose another place with --data.prepared_dir DIR.")
    return folder / "images", found


def add_entries(rows: LegendRows, entries: Iterable[Entry]) -> None:
    """Take what was unpacked for rows of a legend."""
    for entry in entries:
        rows.file = entry.file
        if entry.problem:
            rows.refuse(entry.number, entry.problem, entry.image)
        elif entry.image:
            rows.add(
                entry.number,
                entry.image,
                entry.label,
                entry.user,
                subset=entry.subset,
                identity=entry.identity,
                attributes=entry.attributes,
            )


class FreeNames:
    """Gives every image a name of its own: the one that it has, or one with a number."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, wanted: str, number: int) -> str:
        """The wanted name, unless it is taken; upper and lower case are one on some disks."""
        free = wanted
        if free.lower() in self._taken:
            stem, suffix = os.path.splitext(wanted)
            free = f"{stem}-{number}{suffix}"
            while free.lower() in self._taken:
                free = f"{os.path.splitext(free)[0]}a{suffix}"
        self._taken.add(free.lower())
        return free


def _digest(sources: Iterable[str | os.PathLike[str]], settings: Sequence[object]) -> str:
    digest = hashlib.sha256(f"{_VERSION} {list(settings)!r}\n".encode(errors="surrogatepass"))
    for path in sources:
        try:
            found = os.stat(path)
        except OSError as error:
            raise FERError(f"Cannot read '{path}': {error.strerror}.") from None
        digest.update(os.fsencode(os.path.abspath(path)))
        digest.update(f"\n{found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def _entry(line: str) -> Entry:
    entry = Entry(*json.loads(line))
    return entry._replace(attributes=tuple(entry.attributes))


def _entries(folder: Path) -> Iterator[Entry]:
    """What was written in a folder; nothing if it is not there as it was: somebody may have removed images."""
    try:
        with open(folder / _ROWS, encoding="utf-8") as stream:
            entries = [_entry(line) for line in stream]
    except (OSError, ValueError, TypeError):
        return
    start = len(os.fspath(folder / "images")) + 1
    there: set[str] = set()
    for here, _, names in os.walk(folder / "images"):
        inner = here[start:].replace(os.sep, "/")
        there.update(f"{inner}/{name}" if inner else name for name in names)
    if {entry.image for entry in entries if entry.image and not entry.problem} <= there:
        yield from entries
