"""The program from within: what it was called as, how it calls itself."""

import contextlib
import io
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from fer_lightning.errors import FERError

_REFUSED = 2
"""The status of a verb that has said what the user can put right."""

_CALLER = "FER_LIGHTNING_CALLER"
"""The environment variable that tells a verb in a process of its own which process has called it."""

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


def in_ipython() -> bool:
    """Whether this runs in a cell of IPython or Jupyter, which goes on when what the cell has called has ended."""
    shell = sys.modules.get("IPython")
    return shell is not None and shell.get_ipython() is not None


def in_notebook() -> bool:
    """Whether what is printed is shown in a notebook, where no line can be written anew."""
    return in_ipython() and hasattr(sys.modules["IPython"].get_ipython(), "kernel")


def command() -> str:
    """What was typed to start this process; of a program of the user's own its name, not where it is."""
    script = os.path.basename(sys.argv[0].replace("\\", "/"))
    ours = script == "__main__.py" or program() != "python -m fer_lightning"
    return f"{program() if ours else f'python {script}'} {shlex.join(sys.argv[1:])}"


def print_any_name() -> None:
    """Let names be printed that are in no encoding, or have letters that a terminal lacks: these are escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run_in_process(words: Sequence[str]) -> None:
    """Run one of the program's verbs, with its options, in a process of its own.

    Raises:
        SystemExit: With its status, after a mistake of the user's that it has named.
        FERError: If it fails otherwise.
    """
    command, caller = [sys.executable, "-m", "fer_lightning", *words], {_CALLER: str(os.getpid())}
    with subprocess.Popen(command, env=os.environ | caller) as done:  # noqa: S603 (our own program)
        try:
            status = done.wait()
        except BaseException:  # whoever stops this one stops that one, which may take a moment to keep what it has
            done.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                done.wait(_PATIENCE)
            done.kill()
            raise
    if status == _REFUSED:
        print(f"It was: {shlex.join(words)}. What is finished is not repeated next time.", file=sys.stderr, flush=True)
        raise SystemExit(status)
    if status:
        raise FERError(
            f"{words[0]} stopped with status {status}. What is finished is not repeated next time. The command was: "
            f"{shlex.join(words)}"
        )


def end_with_caller() -> None:
    """Where this is a verb that `run_in_process` has called: be told to end (SIGTERM) if the caller is killed."""
    caller = os.environ.pop(_CALLER, "")  # processes that this one starts are not its business

    def watch() -> None:
        while str(os.getppid()) == caller:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    if caller:
        threading.Thread(target=watch, name="end with caller", daemon=True).start()
