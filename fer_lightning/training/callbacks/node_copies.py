"""NodeCopies: a run's checkpoints on every machine of a training whose machines share no folder."""

import math
from contextlib import ExitStack
from pathlib import Path

from lightning.pytorch.strategies import Strategy

from fer_lightning.checkpoints.atomic_io import put_same
from fer_lightning.files import replacing

RUN_ID = "run_id.txt"
"""What tells runs apart that have the same name on several machines; it moves with the folder."""

_CHUNK = 2**26
"""Bytes sent at once."""


class NodeCopies:
    """Gives all machines the files that the first one has written, so that the loss of any of them loses none.

    Args:
        run_dir: The run's folder, on every machine.
        apart: Whether this process writes for a machine that does not see the first one's folder.
    """

    def __init__(self, run_dir: Path, apart: bool) -> None:
        self.run_dir, self.apart = run_dir, apart
        self._sent: dict[str, tuple[int, ...]] = {}

    def share(self, strategy: Strategy) -> None:
        """Copy what has changed since the last time; all processes call it together."""
        changed, gone = strategy.broadcast(self._changes() if strategy.is_global_zero else ([], []))
        for names, size in changed:
            self._copy(strategy, names, size)
        for name in gone if self.apart else ():
            (self.run_dir / name).unlink(missing_ok=True)

    def _changes(self) -> tuple[list[tuple[list[str], int]], list[str]]:
        """Names of files and their size, those of one content together; and names of files that are gone."""
        states: dict[str, tuple[int, ...]] = {}
        for name in files_of(self.run_dir):
            known = (self.run_dir / name).stat()
            states[name] = (known.st_ino, known.st_mtime_ns, known.st_size)
        contents: dict[tuple[int, ...], list[str]] = {}
        for name, state in states.items():
            if self._sent.get(name) != state:
                contents.setdefault(state, []).append(name)
        gone = [name for name in self._sent if name not in states]
        self._sent = states
        return [(names, state[-1]) for state, names in contents.items()], gone

    def _copy(self, strategy: Strategy, names: list[str], size: int) -> None:
        path = self.run_dir / names[0]
        with ExitStack() as files:
            source = files.enter_context(open(path, "rb")) if strategy.is_global_zero else None
            target = files.enter_context(replacing(path, "wb")) if self.apart else None
            for _ in range(math.ceil(size / _CHUNK)):
                chunk = strategy.broadcast(source.read(_CHUNK) if source else b"")
                if target:
                    target.write(chunk)
        for name in names[1:] if self.apart else ():
            put_same(path, self.run_dir / name)


def files_of(run_dir: Path) -> list[str]:
    """The files that a run goes on from, by their names within its folder."""
    named = [run_dir / name for name in (RUN_ID, "config.yaml", "metrics.csv")]
    found = [*named, *run_dir.glob("checkpoints/*.ckpt")]
    return [path.relative_to(run_dir).as_posix() for path in found if path.is_file()]
