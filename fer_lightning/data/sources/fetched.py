"""Data sets at addresses: copied to this machine, where any form of data set is read; only what changed comes anew."""

import filecmp
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from tqdm import tqdm

from fer_lightning import storage
from fer_lightning.data.column_roles import places_of_roles
from fer_lightning.data.csv_columns import open_table
from fer_lightning.data.sources.table import header_of
from fer_lightning.errors import FERError
from fer_lightning.files import replace_text
from fer_lightning.locks import alone

_AT_ONCE = 16
"""Files that are fetched side by side."""

_KNOWN = ".fetched.json"
"""What is in a folder of copies: the size and the mark of each file at its address when it was fetched."""

_Answer = TypeVar("_Answer")

_LEGENDS = ("legend.csv", "data/legend.csv")


def fetched(place: str, option: str, folder: str, columns: Mapping[str, str] | None = None) -> str:
    """Where a data set, a table or an image folder is on this machine; an address is copied first.

    On the web, where nothing can be listed, a folder has to have a `legend.csv` that names its images.

    Args:
        place: A path, which is returned, or an address.
        option: The option that names it, for messages.
        folder: Where copies are kept, each address in a folder of its own.
        columns: Headings by role, where the table has unusual ones.

    Raises:
        FERError: If something cannot be had; it names the object.
    """
    if not storage.is_address(place):
        return place
    copies = storage.local_copies(place, Path(folder).expanduser())
    copies.mkdir(parents=True, exist_ok=True)
    with alone(copies / ".lock"):
        on_web = place.lower().startswith(("http://", "https://"))
        name = PurePosixPath(urlsplit(place).path).name
        listed = {} if on_web else storage.listing(place)
        if not listed and re.search(r"\.[A-Za-z]\w{1,7}$", name):
            _copy_file(place, name, copies)
            return os.fspath(copies / name)
        if on_web:
            _of_legend(place, option, copies, columns)
        elif listed:
            _copy(place, listed, copies)
        else:
            shown = storage.without_secret(place)
            raise FERError(f"Invalid value for {option}. Expected a data set, found nothing at '{shown}'.")
    return os.fspath(copies)


def _of_legend(place: str, option: str, copies: Path, columns: Mapping[str, str] | None) -> None:
    """Copy a legend from the web, and the images that it names."""
    for name in _LEGENDS:
        try:
            _copy_file(storage.joined(place, name), name, copies)
        except storage.ObjectNotFoundError:
            continue
        break
    else:
        shown = storage.without_secret(place)
        raise FERError(
            f"Invalid value for {option}. On the web nothing can be listed, so a folder has to have a legend.csv that "
            f"names its images; there is none at '{shown}'. Or name one file."
        )
    path = copies / name
    with open_table(path, option) as reader:
        header, line = header_of(reader, path)
        place_of_image = places_of_roles(header, columns, f"{path}:{line}")["image"]
        images = {row[place_of_image].strip() for row in reader if len(row) > place_of_image}
    names = sorted(f"images/{image.removeprefix('images/')}" for image in images if image)
    _checked(names, place)
    found = _side_by_side(names, "Looking at files", lambda name: storage.mark(_within(place, name)))
    _copy(place, dict(zip(names, found, strict=True)), copies, keep=_LEGENDS)


def _copy(place: str, listed: Mapping[str, tuple[int, str]], copies: Path, keep: Collection[str] = ()) -> None:
    """Make a folder the copy of what is listed: what is new or has changed is fetched, what is gone goes."""
    _checked(listed, place)
    known = _known(copies)
    missing = [
        name
        for name, (size, mark) in listed.items()
        if not mark or known.get(name) != [size, mark] or not _is_here(copies / name, size)
    ]
    for name in set(known) - set(listed) - set(keep):
        (copies / name).unlink(missing_ok=True)
    left = {name: about for name, about in known.items() if name in listed or name in keep}
    left |= dict.fromkeys(missing)  # so that a copy that a kill leaves here goes, should it be gone there by then
    replace_text(copies / _KNOWN, json.dumps(left))
    work = partial(_fetch, place, listed, copies)
    try:
        for name in _side_by_side(missing, "Fetching", work):
            left[name] = list(listed[name])
    finally:
        replace_text(copies / _KNOWN, json.dumps(left))


def _fetch(place: str, listed: Mapping[str, tuple[int, str]], copies: Path, name: str) -> str:
    storage.fetch(_within(place, name), copies / name, listed[name][0] or None)
    return name


def _within(place: str, name: str) -> str:
    """The address of a file in a folder; on the web, names of files are no addresses as they are."""
    return storage.joined(place, quote(name) if place.lower().startswith(("http://", "https://")) else name)


def _copy_file(place: str, name: str, copies: Path) -> None:
    """Copy a file, unless it is here as it is there: what is made of it goes by its time."""
    known, target, aside = _known(copies), copies / name, copies / f".new-{name.replace('/', '-')}"
    try:
        size, mark = storage.mark(place)
    except storage.ObjectNotFoundError:
        raise
    except storage.StorageError:  # a server that says nothing of files but what is in them
        size, mark = 0, ""
    if mark and known.get(name) == [size, mark] and _is_here(target, size):
        return
    storage.fetch(place, aside)
    if target.is_file() and filecmp.cmp(aside, target, shallow=False):
        aside.unlink()
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.replace(target)
    replace_text(copies / _KNOWN, json.dumps(known | {name: [size, mark]}))


def _is_here(path: Path, size: int) -> bool:
    """Whether a file is there and has so many bytes; 0 is a number that the server did not say."""
    return path.is_file() and path.stat().st_size == (size or path.stat().st_size)


def _known(copies: Path) -> dict[str, Any]:
    try:
        known = json.loads((copies / _KNOWN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and not any(map(_leads_out, known)) else {}


def _checked(names: Iterable[str], place: str) -> None:
    """Raise FERError if one of the names leads out of a folder."""
    if odd := next(filter(_leads_out, names), None):
        shown = storage.without_secret(place)
        raise FERError(f"'{shown}' has something that no folder could have: '{str(odd)[:100]}'.")


def _leads_out(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or "" in parts or "." in parts or "\0" in name or name == _KNOWN or ":" in parts[0]


def _side_by_side(names: list[str], title: str, work: Callable[[str], _Answer]) -> Iterator[_Answer]:
    """The answers in order; what has not begun when one fails is not begun any more."""
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        for future in tqdm([pool.submit(work, name) for name in names], title, unit=" files", delay=1, leave=False):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
