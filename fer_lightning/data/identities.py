"""Who is in an image, by its name."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence

from fer_lightning.errors import FERError
from fer_lightning.names import printable

IDENTITY_PATTERN = r"^(?:.*/)?(.+)_\d+\.[^.]+$"
"""Takes `George_W_Bush` from `any/folder/George_W_Bush_0012.jpg`; names without a match are their own identity."""

_SECONDS = 10
_ALONE = """
import json, re, sys
seconds, pattern, names = json.load(sys.stdin)
try:
    import resource, signal
    signal.alarm(seconds)
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
except ImportError:
    pass
try:
    match = re.compile(pattern).match
    found = ((match(name), name) for name in names)
    answer = [m.group(1 if m.re.groups else 0) or name if m else name for m, name in found]
except (re.error, ArithmeticError, MemoryError, RecursionError) as error:
    answer = str(error) or type(error).__name__
json.dump(answer, sys.stdout)
"""


def identities_of(images: Sequence[str], pattern: str = IDENTITY_PATTERN) -> list[str]:
    """The first group of a pattern in each image name, or all that matches; the name itself without a match.

    A pattern of one's own is tried in a process of its own, as some, such as `(a+)+$`, take years, and Python's `re`
    cannot be told to stop.

    Args:
        images: Image names.
        pattern: Regular expression, matched at the start of a name.

    Raises:
        FERError: If it is no regular expression, or takes more than 10 seconds and 1 for each 10,000 names.
    """
    if pattern == IDENTITY_PATTERN:
        match = re.compile(pattern).match
        return [m.group(1) if (m := match(name)) else name for name in images]
    seconds = _SECONDS + len(images) // 10_000
    given = json.dumps([seconds, pattern, list(images)])
    command = [sys.executable, "-I", "-S", "-W", "ignore", "-c", _ALONE]
    start = f"Invalid value for --data.identity. Expected a regular expression. Received: '{printable(pattern[:200])}'"
    try:
        done = subprocess.run(  # noqa: S603 (our own program)
            command, input=given, capture_output=True, encoding="ascii", timeout=seconds + 5, check=True
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        raise FERError(
            f"{start}, which takes more than {seconds} seconds. Avoid a repetition within a repetition, as in (a+)+."
        ) from None
    found: list[str] | str = json.loads(done.stdout)
    if isinstance(found, str):
        raise FERError(f"{start} ({found}).")
    return found
