"""What is said to a person at a terminal: lines of at most 80 columns."""

import re
import sys
import textwrap
from typing import TextIO

WIDTH = 80
_HEAD = re.compile(r" *(?:-> |[A-Za-z]+ {2,}|(?:Compute|Network|Weights) )?")
"""What stands before a sentence: space, an arrow, or a word with space behind it, as `Note   `."""
_COMMAND = re.compile(r"(python|fer) ")


def wrapped(text: str) -> str:
    """A text whose sentences are broken between words where they would be too long.

    What goes on stands beneath the beginning of its sentence; in a command, a backslash lets it be copied. Rows of
    tables, in which things stand beneath each other, stay as they are.
    """
    return "\n".join(_wrapped(line) for line in text.split("\n"))


def _wrapped(line: str) -> str:
    head = _HEAD.match(line)
    indent = head.group() if head else ""
    sentence = line[len(indent) :]
    if len(line) <= WIDTH or "  " in sentence:
        return line
    end = " \\" if _COMMAND.match(sentence) else ""
    lines = textwrap.wrap(
        sentence,
        WIDTH - len(end),
        initial_indent=indent,
        subsequent_indent=" " * (len(indent) or 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{end}\n".join(lines)


def say(text: str, file: TextIO | None = None) -> None:
    """Print a text for a person, at once; without a file, on standard output."""
    print(wrapped(text), file=file or sys.stdout, flush=True)
