"""The folder of a run: taken by one process, an earlier run kept under another name."""

from __future__ import annotations

import time
from pathlib import Path

from filelock import FileLock, Timeout

from fer_lightning.errors import FERError


class RunFolder:
    """A run's folder, to be held while it is written to.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path.parent / f".{path.name}.lock")

    def take(self, resume: bool) -> None:
        """Hold it for this process alone; unless this resumes, keep an earlier run under another name.

        Raises:
            FERError: If it cannot be made, or another process holds it.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FERError(
                f"Cannot make the folder '{self.path.parent}' for runs ({error.strerror}). Choose another place with "
                "--runs_dir DIR."
            ) from None
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise FERError(f"Another fit is writing to '{self.path}'. Choose another --name.") from None
        if not resume and self.path.is_dir() and any(self.path.iterdir()):
            stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self.path.stat().st_mtime))
            kept = self.path.with_name(f"{self.path.name}-{stamp}")
            while kept.exists():
                kept = kept.with_name(kept.name + "+")
            self.path.rename(kept)
            print(f"Run    {self.path} held an earlier run, now {kept}")

    def release(self) -> None:
        """Let it go, if it is held."""
        self._lock.release()
