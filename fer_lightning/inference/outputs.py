"""What `predict` is about to write, compared with what it reads and with what is there."""

import contextlib
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from itertools import permutations
from pathlib import Path

from fer_lightning.errors import FERError
from fer_lightning.files import check_output, check_output_folder
from fer_lightning.inference.film_writer import MARK
from fer_lightning.inference.sources import FOLDER_MARK
from fer_lightning.inference.timeline import MAKER
from fer_lightning.names import printable

_OURS = (MARK, MAKER.encode())


def check_outputs(
    files: Mapping[str, Path],
    folders: Mapping[str, Path],
    inputs: Iterable[str | os.PathLike[str]],
    overwrite: bool = False,
    going_on: Collection[str] = (),
) -> None:
    """Refuse to write what would lose something.

    Args:
        files: The files to write, by the options that name them.
        folders: The folders to write into.
        inputs: All files that are read.
        overwrite: Whether what is there may be replaced, as the user said.
        going_on: The options of files that decide themselves about one that is there.

    Raises:
        FERError: If an output is an input or holds one, two are the same, or one is there already and is not ours.
    """
    there: dict[tuple[int, int], tuple[str, Path]] = {}
    for option, path in files.items():
        if path.is_file():
            found = path.stat()
            there[found.st_dev, found.st_ino] = option, path
    places: dict[str, str] = {}  # folders of inputs, with one of them
    for given in inputs if there or folders else ():
        one = os.fspath(given)
        with contextlib.suppress(OSError, ValueError):
            found = os.stat(one)
            _check_not_read(there.get((found.st_dev, found.st_ino)), one)
        if folders:
            places.setdefault(os.path.dirname(one), one)
            if os.path.islink(one):
                places.setdefault(os.path.dirname(os.path.realpath(one)), one)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found = os.fstat(sys.stdin.fileno())  # a list of inputs may be a file as well
        _check_not_read(there.get((found.st_dev, found.st_ino)), "the list on standard input")
    for option, path in files.items():
        ours = option in going_on or (path.is_file() and _is_ours(path))
        check_output(option, path, overwrite=overwrite or ours)
    for option, path in folders.items():
        real = os.path.realpath(path)
        for place, one in places.items():
            if _is_within(os.path.realpath(place or "."), real):
                raise FERError(
                    f"Invalid value for {option}. '{path}' holds what is read ('{printable(one)}'): it might be lost. "
                    "Choose another folder."
                )
        check_output_folder(option, path, FOLDER_MARK, overwrite=overwrite)
    _check_apart(files, folders)


def _check_not_read(output: tuple[str, Path] | None, one: str) -> None:
    if output is not None:
        raise FERError(
            f"Invalid value for {output[0]}. '{output[1]}' is what is read ('{printable(one)}'): it would be lost. "
            "Choose another place."
        )


def _check_apart(files: Mapping[str, Path], folders: Mapping[str, Path]) -> None:
    for (one, path), (other, place) in permutations((files | folders).items(), 2):  # type: ignore[operator]
        real, at = os.path.realpath(path), os.path.realpath(place)
        if real == at or (one in folders and other in folders and _is_within(real, at)):
            raise FERError(f"Invalid value for {one}. '{path}' is where {other} writes, too. Choose another place.")


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def mark_folder(path: Path) -> None:
    """Say in a folder that we write into it."""
    path.mkdir(parents=True, exist_ok=True)
    (path / FOLDER_MARK).touch()


def _is_ours(path: Path) -> bool:
    """Whether a film or plot says that we have made it, at its start or end."""
    with open(path, "rb") as stream:
        start = stream.read(4096)
        stream.seek(max(path.stat().st_size - 4096, 0))
        ends = start + stream.read(4096)
    return any(mark in ends for mark in _OURS)
