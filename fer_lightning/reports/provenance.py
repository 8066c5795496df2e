"""How a result was obtained: command, versions, machine, commit."""

import os
import platform
import subprocess
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import torch

from fer_lightning.program import command
from fer_lightning.version import __version__


def how() -> dict[str, str]:
    """How a result was obtained: command, date, versions, hardware, git commit."""
    facts = {
        "command": command(),
        "date": datetime.now().astimezone().date().isoformat(),
        "fer_lightning": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "lightning": version("lightning"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "accelerator": str(torch.accelerator.current_accelerator(check_available=True) or "none"),
    }
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(  # noqa: S603 (whatever git the user has)
            describe, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        )
        facts["commit"] = done.stdout.strip()
    return facts
