"""The folder of a run: taken by one process, an earlier run kept under another name."""

import time
from pathlib import Path

from filelock import FileLock, Timeout

from fer_lightning.errors import FERError

_OURS = ("checkpoints/*.ckpt", "test/predictions.csv", "validate/predictions.csv", "seed*-fold*/config.yaml")
"""What shows that a folder holds a run, or several of a cross-validation."""


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

    Raises:
        FERError: If another process holds it, it cannot be made, or there is something that is no run.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.parent / f".{path.name}.lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise FERError(f"Another fit is writing to '{path}'. Choose another --name.") from None
    except OSError as error:
        raise FERError(
            f"Cannot make the folder '{path.parent}' for runs ({error.strerror}). Choose another place with "
            "--runs_dir DIR."
        ) from None
    try:
        if not resume:
            _keep_earlier(path)
    except BaseException:
        lock.release()
        raise
    return lock


def _keep_earlier(path: Path) -> None:
    """Move a run out of the way."""
    if not path.is_dir():
        if path.exists() or path.is_symlink():
            raise FERError(f"'{path}' is there and is no folder. Choose another --name or --runs_dir.")
        return
    content = [entry.name for entry in path.iterdir()]
    if not content:
        return
    if not _is_run(path, content):
        raise FERError(
            f"'{path}' holds no run ({', '.join(sorted(content)[:3])}, ...), so it is not moved out of the way. Choose "
            "another --name or --runs_dir."
        )
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(path.stat().st_mtime))
    kept = path.with_name(f"{path.name}-{stamp}")
    while kept.exists():
        kept = kept.with_name(kept.name + "+")
    path.rename(kept)
    print(f"Run    {path} held an earlier run, now {kept}")


def _is_run(path: Path, content: list[str]) -> bool:
    """Whether a folder is a run of ours; one that was stopped at once has left a log and settings alone."""
    if any(any(path.glob(pattern)) for pattern in _OURS):
        return True
    try:
        settings = (path / "config.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return all(name.startswith(("events.out.tfevents", "hparams.yaml")) for name in content)
    return all(f"\n{word}" in f"\n{settings}" for word in ("seed_everything:", "name:", "runs_dir:", "model:"))
