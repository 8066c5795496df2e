"""What ends a command from outside, Ctrl-C, SIGTERM and SIGHUP: an exception, which lets files and processes go."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from fer_lightning.program import in_ipython

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """The user, or the system, wants the command to end."""

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython and Jupyter show instead of a traceback: a protocol of theirs."""
        return [str(self)]


class Stopping:
    """Raises `Stopped` in the main thread at the first of these signals, and remembers which one it was.

    Who takes a signal over, as Lightning does to end after a step, is left to it. A later SIGTERM or SIGHUP is ignored,
    so that what is half-done can be tidied up; a second Ctrl-C stops that too.

    Attributes:
        number: The signal that came, if one did.
        working: Whether there is something to tidy up. Until then the process ends at once: libraries that are being
            imported answer an exception by aborting. IPython's process is not ours to end: there, `begin` ends the
            cell.
    """

    number: int | None = None
    working = False

    def __init__(self, process_ends: bool = False) -> None:
        self._process, self._process_ends = os.getpid(), process_ends

    @property
    def status(self) -> int:
        """The exit status that shells expect after the signal."""
        return 128 + (self.number or signal.SIGINT)

    @property
    def name(self) -> str:
        """What people call it."""
        return "Ctrl-C" if self.number in (None, signal.SIGINT) else signal.Signals(self.number).name

    def begin(self) -> None:
        """From here on there is something to tidy up; a signal that was put off takes effect."""
        self.working = True
        if self.number is not None:
            raise Stopped

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if os.getpid() != self._process:  # a worker that was forked: for it, as if nobody handled it
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif signal.getsignal(number) in (self, signal.SIG_IGN):  # nobody else has taken it over
            if number == signal.SIGINT or self.number is None:
                self.number = self.number or number
                if not self.working and in_ipython():
                    return
                if not self.working:
                    os.write(2, f"Stopped by {self.name}.\n".encode())
                    os._exit(self.status)
                if self._process_ends and hasattr(signal, "SIGCHLD"):
                    # A scheduler may signal the workers as well: that they end is nothing to report (torch's handler).
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                raise Stopped
        else:
            self.number = self.number or number


@contextmanager
def stopping(process_ends: bool = False) -> Iterator[Stopping]:
    """Handle the signals within the block, unless somebody does already or they are to be ignored (`nohup`).

    Args:
        process_ends: Whether the process ends after the block. Then a SIGTERM or SIGHUP after the signal that stopped
            it is ignored to its very end, which takes the interpreter a while: the first one is the exit status.
            From that signal on, nobody is told of child processes that end.
    """
    ours = Stopping(process_ends)
    earlier: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if (handler := signal.getsignal(number)) in (signal.SIG_DFL, signal.default_int_handler):
                earlier[number] = handler
                signal.signal(number, ours)
    try:
        yield ours
    finally:
        ignored = {signal.SIGTERM, getattr(signal, "SIGHUP", None)} if process_ends and ours.number is not None else ()
        for number, handler in earlier.items():
            signal.signal(number, signal.SIG_IGN if number in ignored else handler)


LOST_PEER = (
    "Another process of this training has ended unexpectedly, or is out of reach, so this one ends too. Look for its "
    "message, above or on its machine; without one it was probably killed, for instance for want of memory. Go on with "
    "--ckpt_path last."
)
_UNREACHABLE = (
    "The processes of this training do not reach each other: one of them has just ended, or they take network "
    "interfaces that lead nowhere. Name the one that leads to the other machines, on each: GLOO_SOCKET_IFNAME=NAME on "
    "the processor, NCCL_SOCKET_IFNAME=NAME with GPUs (`ip address` lists them)."
)
_SIGNS = {
    "connectFullMesh failed": _UNREACHABLE,
    **dict.fromkeys(("Connection reset by peer", "Connection closed by peer", "Broken pipe"), LOST_PEER),
    **dict.fromkeys(("remote process exited", "Timed out waiting"), LOST_PEER),
}
"""What gloo and NCCL say when a process they talk to is gone or cannot be reached, and what that means."""


def lost_peer(error: RuntimeError) -> str:
    """What to say of an exception if it means that another process of the training is gone; empty if it does not."""
    return next((said for sign, said in _SIGNS.items() if sign in str(error)), "")
