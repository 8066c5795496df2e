"""Folders that `export` writes: over an earlier one of its kind, and never over anything else."""

from collections.abc import Collection
from pathlib import Path

from fer_lightning.errors import FERError
from fer_lightning.files import ASIDE, check_output_folder
from fer_lightning.names import printable


def check_folder(folder: Path, read: Path, overwrite: bool, files: Collection[str], mark: str, sign: str) -> None:
    """Make sure that a folder holds nothing but an earlier export of the same kind.

    Args:
        folder: Where to write.
        read: The file that is exported.
        overwrite: Whether an earlier export may be replaced, as the user said.
        files: What an export of this kind consists of.
        mark: The one of them by which it is known.
        sign: What is in that one.

    Raises:
        FERError: If writing would be the end of something else.
    """
    if not folder.name:
        raise FERError(f"Invalid value for --output. Expected a folder of its own. Received: {folder}.")
    check_output_folder("--output", folder, mark, [read], overwrite=True)
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    there = {name: path for name, path in there.items() if not name.startswith(ASIDE)}
    foreign = [name for name, path in there.items() if name not in files or path.is_symlink()]
    foreign += [name for name in files if (folder / name).is_dir()]
    foreign += [] if mark in there and sign in there[mark].read_text("utf-8", "replace") else [*there]
    if foreign:
        raise FERError(
            f"Invalid value for --output. '{folder}' has files that are of no such export, as "
            f"'{printable(foreign[0])}'. Choose another folder."
        )
    if there and not overwrite:
        raise FERError(
            f"Invalid value for --output. '{folder}' is there already. Choose another folder, or replace it with "
            "--overwrite."
        )
