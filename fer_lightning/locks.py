"""Locks: one process at a time, where files can be locked."""

import contextlib
import errno
import os
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from fer_lightning.errors import FERError
from fer_lightning.screen import say

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
"""What file systems without locks answer, as some that are reached over a network."""

_PATIENCE = 3.0
"""Seconds of waiting for another process after which that is said."""


def alone(lock: str | os.PathLike[str], taken: str = "", removed: bool = False) -> contextlib.ExitStack:
    """Hold a lock file, which one process can, until what this returns is closed or its `with` block ends.

    Where the file system cannot lock, nothing is held, which is said: a lock guards against a second process, and that
    there could be one is no reason to refuse the first.

    Args:
        lock: The file, in a folder that is there.
        taken: What to say where another process holds it at this moment; without it, that one is waited for.
        removed: Whether to remove the file at the end. Its name has to be one that nobody else gives to a file.

    Raises:
        FERError: With `taken`.
    """
    one, held = FileLock(lock), contextlib.ExitStack()
    try:
        one.acquire(timeout=0 if taken else _PATIENCE)
    except Timeout:
        if taken:
            raise FERError(taken) from None
        say(f"Note   Waiting for another process that prepares the same data ('{lock}').")
        one.acquire()
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        say(
            f"Note   The file system at '{lock}' cannot lock files: do not start this a second time meanwhile.",
            sys.stderr,
        )
    held.callback(one.release)
    if removed:
        held.callback(_remove, Path(lock))
    return held


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
