"""What `predict` is about to write, compared with what it reads and with what is there."""

import os
from collections.abc import Collection, Mapping, Sequence
from itertools import count, permutations
from pathlib import Path

from fer_lightning.errors import FERError
from fer_lightning.files import check_output, check_output_folder, check_path, is_within
from fer_lightning.inference.film_writer import MARK
from fer_lightning.inference.sources import FOLDER_MARK, Source
from fer_lightning.inference.timeline import MAKER

_OURS = (MARK, MAKER.encode())

_LIST = "/dev/stdin"
"""A list of inputs that comes in may be a file as well."""


FEW = 50
"""Images whose answers are for the terminal alone where no output is named."""


def for_the_terminal(sources: Sequence[Source]) -> bool:
    """Whether somebody who names no output wants no more than to read the answers: a few images, and no film."""
    return len(sources) <= FEW and all(source.kind == "image" for source in sources)


def own_folder(runs_dir: str) -> Path:
    """A new folder for results that nobody has named a place for: `predict-1`, `predict-2` and so on, in `runs_dir`."""
    check_path("--runs_dir", runs_dir)
    Path(runs_dir).mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = Path(runs_dir) / f"predict-{number}"
        try:
            folder.mkdir()  # nobody else has it then
            break
        except FileExistsError:
            continue
    return folder


def folders_of(annotate: str | None, explain: str | None) -> dict[str, Path]:
    """The folders that are written into, by the options that name them."""
    found = {"--explain": Path(explain).expanduser()} if explain else {}
    if annotate and not annotate.lower().endswith(".mp4"):
        found["--annotate"] = Path(annotate).expanduser()
    return found


def check_places(
    output: str | None,
    annotate: str | None,
    timeline: str | None,
    explain: str | None,
    read: Collection[str | os.PathLike[str]],
    overwrite: bool,
) -> None:
    """Refuse outputs that would lose something, before any work; see `check_outputs`."""
    folders = folders_of(annotate, explain)
    given = {"--output": output if output != "-" else None, "--timeline": timeline}
    given["--annotate"] = annotate if "--annotate" not in folders else None
    files = {option: Path(where).expanduser() for option, where in given.items() if where}
    check_outputs(files, folders, read, overwrite, going_on=["--output"])  # the rows are compared by their settings


def check_outputs(
    files: Mapping[str, Path],
    folders: Mapping[str, Path],
    inputs: Collection[str | os.PathLike[str]],
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
    for option, path in files.items():
        ours = option in going_on or (path.is_file() and _is_ours(path))
        check_output(option, path, [*inputs, _LIST], overwrite or ours)
    for option, path in folders.items():
        check_output_folder(option, path, FOLDER_MARK, inputs, overwrite)
    _check_apart(files, folders)


def _check_apart(files: Mapping[str, Path], folders: Mapping[str, Path]) -> None:
    for (one, path), (other, place) in permutations((files | folders).items(), 2):  # type: ignore[operator]
        real, at = os.path.realpath(path), os.path.realpath(place)
        if real == at or (one in folders and other in folders and is_within(real, at)):
            raise FERError(f"Invalid value for {one}. '{path}' is where {other} writes, too. Choose another place.")


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
