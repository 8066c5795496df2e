"""Links of README.md and the pages lead somewhere, on a forge as well: to files and headings that are there."""

from __future__ import annotations

import re

import pytest

from tests.conftest import PROJECT
from tests.docs.pages import DOCS, anchors, pages, prose

LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", pages())
def test_links(page):
    where = (PROJECT / page).parent
    targets = [target for target in LINK.findall(prose(page)) if not target.startswith(("https://", "http://"))]
    for target in targets:
        name, _, anchor = target.partition("#")
        path = (where / name).resolve() if name else PROJECT / page
        assert path.is_file(), target
        assert path.is_relative_to(PROJECT)
        assert not anchor or anchor in anchors(path), target


def test_every_page_is_reached_from_the_readme():
    """In one click, or by the list of pages in docs/index.md."""
    reached = set()
    for page in ("README.md", "docs/index.md"):
        names = [target.partition("#")[0] for target in LINK.findall(prose(page))]
        reached |= {(PROJECT / page).parent.joinpath(name).resolve() for name in names if "://" not in name}
    assert {PROJECT / page for page in pages()[1:]} - reached == set()


def test_every_picture_is_shown():
    shown = {(PROJECT / page).parent.joinpath(name).resolve() for page in pages() for name in LINK.findall(prose(page))}
    assert set(DOCS.glob("*.png")) <= shown
