"""What an audit found: one finding a fact, with its meaning and its remedy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["serious", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """One thing to know about a data set.

    Attributes:
        name: Short name, stable for programs.
        severity: `serious` makes results wrong, `warning` makes them worse or harder to read, `info` is good to know.
        title: What was found, in one sentence with its figures.
        meaning: What that means for training and measuring.
        remedy: What to do.
        columns: Headings of `rows`.
        rows: The details.
        figures: The numbers in it, for programs.
    """

    name: str
    severity: Severity
    title: str
    meaning: str = ""
    remedy: str = ""
    columns: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


def many(count: int, one: str, more: str | None = None) -> str:
    """`1 image`, `2,000 images`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
