"""Processes that work ahead of this one: where they may be started, and that they end with it."""

import multiprocessing
import os
import signal
import threading
import time


def may_start_processes(guarded: bool = False) -> bool:
    """Whether processes of our own can work ahead here; where not, threads do.

    The workers of a Pool or of Celery may not have children. Where children are not forked, they import the user's
    program again, which starts all over in them unless it has an `if __name__ == "__main__"`.

    Args:
        guarded: Whether the program that runs is known to have that.
    """
    if multiprocessing.current_process().daemon:
        return False
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    return guarded or method == "fork"


def start_worker(worker: int = 0) -> None:
    """To be called first in a worker: it is left alone by Ctrl-C, which the main process answers, and ends with that.

    A DataLoader's worker looks for its parent only while it waits for work, and not while its answers are not taken.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if os.getppid() == parent.pid:
        while os.getppid() == parent.pid:
            time.sleep(0.5)
    else:  # of a fork server, or it is gone already
        parent.join()
    os._exit(1)
