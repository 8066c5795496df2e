"""The pages that people read, and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import PROJECT

DOCS = PROJECT / "docs"
GENERATED = ("reference/", "model_zoo.md", "errors.md")
"""Written by programs, from what the code says: tested with these."""

STORIES = (
    ("docs/quickstart.md",),
    ("docs/tutorials/own_folder.md", "docs/tutorials/fine_tune_and_compare.md"),
    ("docs/tutorials/photographs_and_film.md",),
    ("docs/tutorials/ship_to_the_browser.md",),
    ("docs/tutorials/many_machines.md",),
    ("docs/how_to/stream.md",),
)
"""Pages that tell a way from its beginning to its end; some go on with what an earlier one has made."""

BRIEFLY = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--data.num_workers", "0"]
"""Options that make a training on a small data set take a second."""


@dataclass(frozen=True)
class Block:
    """A piece of code in a page."""

    page: str
    kind: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Its lines, with those put together that end in a backslash."""
        return re.sub(r"\\\n\s*", "", self.text).splitlines()


def pages() -> list[str]:
    """README.md and every page of docs/, by their names from the root of the project."""
    found = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))]
    return ["README.md", *(f"docs/{name}" for name in found if not name.startswith(GENERATED))]


def blocks(page: str) -> list[Block]:
    """The blocks of a page in their order; those without a language are output, or for reading."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    return [Block(page, *found) for found in re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)]


def lines(page: str) -> list[str]:
    """What a page tells people to type."""
    return [line for block in blocks(page) if block.kind == "bash" for line in block.lines]


def prose(page: str) -> str:
    """A page without its code."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```|`[^`\n]+`", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The places of a page that a link may name, as mkdocs and forges make them of headings."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-") for heading in headings}
