"""Where a checkpoint is that a user means."""

import os
from pathlib import Path

from fer_lightning.errors import FERError
from fer_lightning.files import no_file

PRETRAINED = Path(__file__).parents[1] / "weights" / "pretrained.safetensors"
"""The weights that come with the package."""

DEFAULT_RUN = Path("runs/default")
"""The run that `best` and `last` are of where nothing else is said."""

BUNDLED = "model.onnx"
"""What the network is called in a folder that `export` wrote."""


def find_checkpoint(given: str | os.PathLike[str], run_dir: Path | None = None, option: str = "--ckpt_path") -> Path:
    """The file that `pretrained`, a path, or `best` and `last` of the run in `run_dir` means.

    A path may be that of a folder that `export` wrote.

    Raises:
        FERError: If there is no such file.
    """
    if str(given) == "pretrained":
        return PRETRAINED
    if run_dir is None or given not in ("best", "last"):
        path = Path(given).expanduser()
        if path.is_file():
            return path
        if (path / BUNDLED).is_file():
            return path / BUNDLED
        words = "best, last, pretrained" if run_dir else "pretrained"
        raise FERError(f"Invalid value for {option}. Expected {words} or a file, found nothing at '{path}'.")
    path = run_dir / "checkpoints" / f"{given}.ckpt"
    if path.is_file():
        return path
    others = sorted({file.parent.parent.name for file in run_dir.parent.glob("*/checkpoints/*.ckpt")})
    hint = f" Runs in '{run_dir.parent}': {', '.join(others)} (choose with --name)." if others else ""
    raise FERError(f"No checkpoint '{given}' of the run '{run_dir.name}': expected a file '{path}'.{hint}")


def check_file(path: str | os.PathLike[str]) -> None:
    """An FERError if a path is no file that can be read: nothing there, a folder, a device, a pipe, or empty."""
    try:
        why = no_file(path)
        with open(os.devnull if why else path, "rb") as stream:
            empty = not stream.read(1)
    except (OSError, ValueError) as error:
        raise FERError(f"Cannot read '{path}': {getattr(error, 'strerror', None) or error}.") from None
    if why:
        raise FERError(f"Cannot read '{path}': {why}.")
    if empty:
        raise FERError(f"Cannot read '{path}': it is damaged or was never written: it is empty.")
