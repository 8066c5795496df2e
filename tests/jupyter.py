"""A real Jupyter kernel that runs cells, as a notebook has one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.manager import start_new_kernel

from tests.conftest import PROJECT


@dataclass
class Outcome:
    """What a cell leaves in a notebook: what is printed, the displays as they are at its end, and its error."""

    stdout: str = ""
    stderr: str = ""
    displays: dict[str, list[str]] = field(default_factory=dict)
    result: str = ""
    error: str = ""
    shown: str = ""


class Cells:
    """Runs cells, one after the other."""

    def __init__(self, manager: Any, client: Any) -> None:
        self.manager, self.client = manager, client

    def run(self, code: str, interrupt_when: Callable[[], bool] | None = None, timeout: float = 120) -> Outcome:
        """Run a cell to its end; the interrupt button is pressed once, as soon as something is true."""
        found, asked = Outcome(), self.client.execute(code)
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if interrupt_when is not None and interrupt_when():
                self.manager.interrupt_kernel()
                interrupt_when = None
            try:
                message = self.client.get_iopub_msg(timeout=0.05)
            except Empty:
                assert self.manager.is_alive(), "the kernel has died"
                continue
            content, kind = message["content"], message["msg_type"]
            if message["parent_header"].get("msg_id") != asked:
                continue
            if kind == "stream":
                setattr(found, content["name"], getattr(found, content["name"]) + content["text"])
            elif kind in ("display_data", "update_display_data"):
                key = content["transient"].get("display_id", f"no id {len(found.displays)}")
                found.displays.setdefault(key, []).append(content["data"].get("text/plain", ""))
            elif kind == "execute_result":
                found.result = content["data"]["text/plain"]
            elif kind == "error":
                found.error, found.shown = content["ename"], "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                assert interrupt_when is None, "the cell came to its end before it could be interrupted"
                return found
        raise TimeoutError(code)


@contextmanager
def kernel(folder: Path) -> Iterator[Cells]:
    """A kernel that works in a folder, with `main` imported lazily as in a notebook's first cell."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder))
    try:
        cells = Cells(manager, client)
        cells.run(f"import sys; sys.path[:0] = ['.', {str(PROJECT)!r}]")
        yield cells
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
