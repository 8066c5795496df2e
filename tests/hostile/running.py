"""Run the command line as a user would, watched: how it ended, how long it took, what it changed on the disk."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 60.0
MOST_MEMORY = 2_000_000_000
"""Bytes of memory, resident, that a command and its processes may take."""

_LAST_WORDS = 5.0
"""Seconds in which a process that was told to end has to be gone."""

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.hostile.preload"])


@dataclass
class Ended:
    """How a command ended."""

    status: int
    said: str
    seconds: float
    memory: int
    changed: list[str] = field(default_factory=list)  # files that were there and are not as they were
    outside: list[str] = field(default_factory=list)  # new files outside of the working folder
    left: list[str] = field(default_factory=list)  # processes that are still there

    @property
    def complaints(self) -> list[str]:
        """What must not be, whatever the input was."""
        found = [f"changed: {self.changed}"] if self.changed else []
        found += [f"outside: {self.outside}"] if self.outside else []
        found += [f"left: {self.left}"] if self.left else []
        found += ["a traceback"] if "Traceback (most recent call last)" in self.said else []
        found += [f"no end after {self.seconds:.0f} s"] if self.seconds >= SECONDS else []
        found += [f"{self.memory / 1e9:.1f} GB of memory"] if self.memory > MOST_MEMORY else []
        found += [f"status {self.status}"] if self.status not in (0, 1, 2) else []
        message = [line for line in self.said.splitlines() if line.startswith("error: ")]
        found += ["status 2 without a message"] if self.status == 2 and not message else []
        found += [f"{len(message)} messages"] if len(message) > 1 else []
        return found


def run(words: Sequence[str], box: Path, stdin: str = "", may_change: Sequence[str] = ()) -> Ended:
    """Run a verb in `box/work`; all that is in `box` must be as it was afterwards, but for what is new in `box/work`.

    `may_change` names files that the command may change, as they are its own.
    """
    before = listing(box)
    said = box.with_name(f"{box.name}-said.txt")
    given = box.with_name(f"{box.name}-stdin.txt")
    given.write_text(stdin)
    process = _FORKS.Process(target=_child, args=(list(words), str(box / "work"), str(said), str(given)))
    began = time.monotonic()
    process.start()
    memory = 0
    while process.is_alive() and time.monotonic() - began < SECONDS and memory <= MOST_MEMORY:
        process.join(0.02)
        memory = max(memory, _memory_of_session(process.pid or 0))
    seconds = time.monotonic() - began
    left = _session(process.pid or 0)
    while left and not process.is_alive() and time.monotonic() - began < seconds + _LAST_WORDS:
        time.sleep(0.1)
        left = _session(process.pid or 0)
    with contextlib.suppress(OSError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    after = listing(box)
    changed = [name for name, state in before.items() if after.get(name) != state and name not in may_change]
    outside = [name for name in after if name not in before and not name.startswith("work/")]
    text = said.read_text(errors="replace")
    return Ended(process.exitcode or 0, text, seconds, memory, changed, outside, left)


def listing(folder: Path) -> dict[str, str]:
    """Every file with a digest of its content, every other entry with its kind."""
    found = {}
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            relative = os.path.relpath(path, folder)
            if stat.S_ISREG(mode):
                with contextlib.suppress(PermissionError), open(path, "rb") as stream:
                    found[relative] = hashlib.file_digest(stream, "blake2b").hexdigest()
            elif stat.S_ISLNK(mode):
                found[relative] = os.readlink(path)
            else:
                found[relative] = oct(stat.S_IFMT(mode))
    return found


def _child(words: list[str], place: str, said: str, given: str) -> None:
    os.setsid()
    os.chdir(place)
    target = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(given, os.O_RDONLY), 0)
    for number in (1, 2):
        os.dup2(target, number)
    sys.stdin = os.fdopen(0, "r", errors="surrogateescape")
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, encoding="utf-8", errors="strict") for n in (1, 2))
    sys.argv = [os.path.join(os.path.dirname(__file__), "..", "..", "train.py"), *words]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    from fer_lightning.cli.main import main

    main()


def _session(leader: int) -> list[str]:
    """The processes of a session, but those that are dead and not waited for."""
    done = subprocess.run(
        ["ps", "-o", "pid=,stat=,args=", "-s", str(leader)], capture_output=True, text=True, check=False
    )
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    return [" ".join(line) for line in lines if line[0] != str(leader) and not line[1].startswith("Z")]


def _memory_of_session(leader: int) -> int:
    """Resident bytes of a process that are its own, and of its children's."""
    total = 0
    for pid in [str(leader), *_children(leader)]:
        with contextlib.suppress(OSError, ValueError, IndexError):
            text = Path(f"/proc/{pid}/status").read_text()
            total += 1024 * int(text.split("RssAnon:")[1].split()[0])
    return total


def _children(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return []
