"""The folder of a run: taken by one process, an earlier run kept under another name."""

import os
import time
from contextlib import ExitStack
from pathlib import Path

from fer_lightning.errors import FERError
from fer_lightning.locks import alone
from fer_lightning.screen import say

_SIGNS = {
    "checkpoints/*.ckpt": b"fer_lightning",
    "test/predictions.csv": b"image,label,predicted,confidence",
    "validate/predictions.csv": b"image,label,predicted,confidence",
    "seed*/config.yaml": b"runs_dir:",
}
"""Files that show that a folder holds a run, or several of a cross-validation, and what stands near their beginning."""

_FIRST = 4_000_000
"""Bytes that count as the beginning: a checkpoint says what it is before its numbers."""


def run_of(checkpoint: Path) -> Path | None:
    """The folder of the run that a checkpoint lies in; None if it is somewhere else, such as in somebody's project."""
    folder = checkpoint.absolute().parent.parent
    if checkpoint.absolute().parent.name != "checkpoints" or not folder.name:
        return None
    signs = {"config.yaml": b"runs_dir:", "metrics.csv": b"epoch,step", "summary.json": b'"epochs"'}
    there = [_says(folder / name, sign) for name, sign in signs.items() if (folder / name).exists()]
    if not there or not all(there):
        return None
    given = checkpoint.parent.parent  # in the words of the user, if they say where it is
    return given if checkpoint.parent.name == "checkpoints" and given.name not in ("", "..") else folder


def is_within(checkpoint: str | os.PathLike[str], run_dir: Path) -> bool:
    """Whether a checkpoint is one of a run's own; its folder `checkpoints` may be a link to somewhere else."""
    path, run = Path(checkpoint), run_dir.resolve()
    return run in path.resolve().parents or path.absolute().parent.parent.resolve() == run


def check_report(run_dir: Path, checkpoint: Path, verb: str) -> None:
    """Make sure that a report of `test` or `validate` replaces no report of another run, and nothing that is not ours.

    Raises:
        FERError: If it would.
    """
    advice = "Choose another --name for this report."
    if any(_says(path, b"fer_lightning") for path in run_dir.glob("checkpoints/*.ckpt")):
        if not is_within(checkpoint, run_dir):
            raise FERError(f"'{run_dir}' is the run of other checkpoints than '{checkpoint}'. {advice}")
        return
    folder = run_dir / verb
    ours = not folder.exists() or _says(folder / "metrics.json", b'"fer_lightning"') or not any(folder.iterdir())
    card = run_dir / "model_card.md"
    if not ours or (card.exists() and not _says(card, b"fer_lightning")):
        raise FERError(f"'{card if ours else folder}' is there already and is no report of ours. {advice}")


def _says(path: Path, sign: bytes) -> bool:
    """Whether a file can be read and has some bytes near its beginning."""
    try:
        with open(path, "rb") as stream:
            return path.is_file() and sign in stream.read(_FIRST)
    except OSError:
        return False


def take_folder(path: Path, resume: bool) -> ExitStack:
    """Hold a run's folder for this process alone, until what this returns is closed, or refuse.

    Unless this resumes, an earlier run is kept under another name.

    Raises:
        FERError: If another process holds it, it cannot be made, or there is something that is no run.
    """
    if not resume:
        _check_earlier(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place = Path(os.path.realpath(path))  # a link to a run is that run
        taken = f"Another fit is writing to '{path}'. Choose another --name."
        held = alone(place.parent / f".{place.name}.lock", taken)
    except OSError as error:
        raise FERError(
            f"Cannot make the folder '{path.parent}' for runs ({error.strerror}). Choose another place with "
            "--runs_dir DIR."
        ) from None
    try:
        if not resume:
            _keep_earlier(path)
    except BaseException:
        held.close()
        raise
    return held


def _check_earlier(path: Path) -> None:
    """Make sure that what stands in the way is a run."""
    if not path.is_dir():
        if path.exists() or path.is_symlink():
            raise FERError(f"'{path}' is there and is no folder. Choose another --name or --runs_dir.")
        return
    content = [entry.name for entry in path.iterdir()]
    if content and not _is_run(path, content):
        raise FERError(
            f"'{path}' holds no run ({', '.join(sorted(content)[:3])}, ...), so it is not moved out of the way. Choose "
            "another --name or --runs_dir."
        )


def _keep_earlier(path: Path) -> None:
    """Move a run out of the way."""
    if not path.is_dir() or not any(path.iterdir()):
        return
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(path.stat().st_mtime))
    kept = path.with_name(f"{path.name}-{stamp}")
    while kept.exists():
        kept = kept.with_name(kept.name + "+")
    path.rename(kept)
    say(f"Run    {path} held an earlier run, now {kept}")


def _is_run(path: Path, content: list[str]) -> bool:
    """Whether a folder is a run of ours; one that was stopped at once has left a log and settings alone."""
    if any(_says(found, sign) for pattern, sign in _SIGNS.items() for found in path.glob(pattern)):
        return True
    try:
        settings = (path / "config.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return all(name.startswith(("events.out.tfevents", "hparams.yaml")) for name in content)
    return all(f"\n{word}" in f"\n{settings}" for word in ("seed_everything:", "name:", "runs_dir:", "model:"))
