"""The cases: what is done to a box of files, what is typed, and how it has to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A command line of `fer`, in `box/work`, after `prepare(box)` was done."""

    words: str | list[str]
    prepare: Callable[[Path], object] | None = None
    refused: bool | None = None  # whether it has to be refused, or must not be; None for either
    says: str = ""  # what its message has to say
    stdin: str = ""

    @property
    def line(self) -> list[str]:
        """The words of the command line."""
        return self.words.split() if isinstance(self.words, str) else self.words


DATA = "--data.root ../given/data --data.image_size 32 --data.num_workers 0"
FIT = f"fit {DATA} --trainer.max_epochs 1 --name new"
PREDICT = "predict --ckpt_path ../given/good.ckpt --faces whole"


def all_cases() -> dict[str, Case]:
    """Every case by its name."""
    from tests.hostile import files, images, legends, options, outputs

    found: dict[str, Case] = {}
    for module in (files, images, legends, options, outputs):
        for name, case in module.cases():
            assert name not in found, name
            found[name] = case
    return found
