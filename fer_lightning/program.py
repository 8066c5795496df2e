"""What the user called, for hints that can be typed again."""

from __future__ import annotations

import sys


def program() -> str:
    """How the program was started: `fer`, `python train.py` or `python -m fer_lightning`.

    The last one works wherever the package can be imported, so it also stands for a program of the user's own.
    """
    path = sys.argv[0].replace("\\", "/").rpartition("/")[2].lower()
    if path.removesuffix(".exe").removesuffix("-script.py") == "fer":
        return "fer"
    return "python train.py" if path == "train.py" else "python -m fer_lightning"
