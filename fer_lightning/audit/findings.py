"""What a check finds, with its meaning and its remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["serious", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "info")
"""The gravest first: `serious` makes results wrong, `warning` makes them worse or harder to read, `info` is good to
know."""


@dataclass(frozen=True)
class Exhibit:
    """Images to show beside a finding, by their names, with the lines beneath them."""

    images: Sequence[str]
    caption: Sequence[str]


@dataclass(frozen=True)
class Finding:
    """One thing to know about a data set.

    Attributes:
        name: Short name, stable for programs.
        severity: One of `SEVERITIES`.
        title: What was found, in one sentence with its figures.
        meaning: What that means for training and measuring.
        remedy: What to do.
        columns: Headings of `rows`.
        rows: The details.
        figures: The numbers in it, for programs.
        exhibits: Images that show it.
    """

    name: str
    severity: Severity
    title: str
    meaning: str = ""
    remedy: str = ""
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    figures: dict[str, float] = field(default_factory=dict)
    exhibits: Sequence[Exhibit] = ()


def many(count: int, one: str, more: str | None = None) -> str:
    """`1 image`, `2,000 images`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
