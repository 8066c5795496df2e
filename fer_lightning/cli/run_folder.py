"""The folder of a run: taken by one process, an earlier run kept under another name."""

import time
from pathlib import Path

from filelock import FileLock, Timeout

from fer_lightning.errors import FERError


def run_of(checkpoint: Path) -> Path | None:
    """The folder of the run that a checkpoint lies in; None if it is somewhere else."""
    folder = checkpoint.parent.parent
    if checkpoint.parent.name != "checkpoints":
        return None
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    ours = any((folder / name).is_file() for name in ("config.yaml", "metrics.csv", "summary.json"))
    return folder if ours and folder.name else None


def take_folder(path: Path, resume: bool) -> FileLock:
    """Hold a run's folder for this process alone, until the lock is released, or refuse.

    Unless this resumes, an earlier run is kept under another name.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FERError(
            f"Cannot make the folder '{path.parent}' for runs ({error.strerror}). Choose another place with "
            "--runs_dir DIR."
        ) from None
    lock = FileLock(path.parent / f".{path.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FERError(f"Another fit is writing to '{path}'. Choose another --name.") from None
    if not resume and path.is_dir() and any(path.iterdir()):
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(path.stat().st_mtime))
        kept = path.with_name(f"{path.name}-{stamp}")
        while kept.exists():
            kept = kept.with_name(kept.name + "+")
        path.rename(kept)
        print(f"Run    {path} held an earlier run, now {kept}")
    return lock
