"""The pages that docs/make_reference.py makes say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT

MAKE = PROJECT / "docs" / "make_reference.py"


def test_the_committed_pages_are_those_that_the_code_makes():
    done = subprocess.run([sys.executable, MAKE, "--check"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_page_is_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(MAKE.parent)
    import make_reference

    page = PROJECT / "docs" / "reference" / "cli.md"
    made = page.read_text(encoding="utf-8")
    monkeypatch.setattr(make_reference, "PAGES", {"cli.md": lambda: made})
    copy = tmp_path / "cli.md"
    assert make_reference.stale_pages(tmp_path) == ["cli.md"]
    copy.write_text(made.replace("| `--trainer.num_nodes` |", "| `--trainer.nodes` |"), encoding="utf-8")
    assert make_reference.stale_pages(tmp_path) == []  # Lightning's own, which a release of it may change
    copy.write_text(made.replace("| `--data.split_seed` |", "| `--data.split` |"), encoding="utf-8")
    assert make_reference.stale_pages(tmp_path) == ["cli.md"]


def test_no_default_is_a_path_of_a_machine():
    page = (PROJECT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert not re.search(rf"`/\w|{re.escape(str(PROJECT))}|{re.escape(str(Path.home()))}\b", page)
