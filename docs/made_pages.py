"""What pages have that are made of the code: a line that says so, tables."""

from collections.abc import Sequence

MADE = "<!-- Made by docs/make_reference.py: change the code, and run it again. -->\n\n"


def table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines) + "\n"
