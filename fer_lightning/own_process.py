"""Our own verbs in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from fer_lightning.errors import FERError


def run_in_process(words: Sequence[str]) -> None:
    """Run one of the program's verbs in a process of its own.

    Args:
        words: The verb with its options, as on the command line.

    Raises:
        FERError: If it fails; what it said stands above.
    """
    done = subprocess.run([sys.executable, "-m", "fer_lightning", *words], check=False)  # noqa: S603 (our own program)
    if done.returncode:
        raise FERError(
            f"{words[0]} stopped with status {done.returncode}; its message is above. What is finished is not repeated "
            f"next time. The command was: {' '.join(words)}"
        )
