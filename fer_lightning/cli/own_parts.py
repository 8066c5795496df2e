"""Classes of the user's own in the folder they work in, whichever way the program was started."""

import os
import sys
from collections.abc import Iterable


def find_own_parts(named: Iterable[str]) -> None:
    """Let classes be imported from the working folder, if the user names one in a file there, as `my_parts.Net`.

    Only then: else a file among somebody's photographs, called as a package that is not installed, would be run.
    """
    for path in named:
        top = path.partition(".")[0]
        there = top.isidentifier() and (os.path.isfile(f"{top}.py") or os.path.isdir(top))
        if there and "." in path and not os.path.exists(path) and "" not in sys.path:
            sys.path.append("")  # last, as it must hide nothing
