"""The program from within: what it was called as, how it calls itself."""

import contextlib
import shlex
import subprocess
import sys
from collections.abc import Sequence

from fer_lightning.errors import FERError

_PATIENCE = 60.0
"""Seconds that a verb in a process of its own has to end in, once it is told to."""


def program() -> str:
    """How the program was started: `fer`, `python train.py` or `python -m fer_lightning`.

    The last one works wherever the package can be imported, so it also stands for a program of the user's own.
    """
    path = sys.argv[0].replace("\\", "/").rpartition("/")[2].lower()
    if path.removesuffix(".exe").removesuffix("-script.py") == "fer":
        return "fer"
    return "python train.py" if path == "train.py" else "python -m fer_lightning"


def run_in_process(words: Sequence[str]) -> None:
    """Run one of the program's verbs, with its options, in a process of its own.

    Raises:
        FERError: If it fails; what it said stands above.
    """
    with subprocess.Popen([sys.executable, "-m", "fer_lightning", *words]) as done:  # noqa: S603 (our own program)
        try:
            status = done.wait()
        except BaseException:  # whoever stops this one stops that one, which may take a moment to keep what it has
            done.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                done.wait(_PATIENCE)
            done.kill()
            raise
    if status:
        raise FERError(
            f"{words[0]} stopped with status {status}; its message is above. What is finished is not repeated next "
            f"time. The command was: {shlex.join(words)}"
        )
