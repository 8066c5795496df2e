"""Pages that tell a way from its beginning to its end: all their blocks, in their order, in a folder of their own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from tests.conftest import PROJECT
from tests.docs.checks import run_and_check, run_python
from tests.docs.pages import STORIES, blocks
from tests.servers import s3_server, upload

SLOW = (
    "docs/quickstart.md",
    "docs/tutorials/own_folder.md",
    "docs/tutorials/fine_tune_and_compare.md",
    "docs/tutorials/ship_to_the_browser.md",
    "docs/how_to/stream.md",
    "docs/tutorials/many_machines.md",
)


def run_line(line: str, place: Path, capsys: pytest.CaptureFixture[str], slow: bool) -> None:
    if line.startswith("python -m pip install"):
        line = line.partition(" && ")[2]  # test_commands looks whether the extras exist
    if line.startswith("python -m pytest") or not line:
        return
    if line == "python app/recognize.py photo.jpg":
        done = subprocess.run([sys.executable, *shlex.split(line)[1:]], cwd=place, capture_output=True, text=True)
        assert done.stdout.startswith("photo.jpg\n  happiness 1.00"), done.stderr
    elif " crossval " not in line or slow:
        run_and_check(line, place, capsys)


@pytest.mark.parametrize(
    "story", [pytest.param(story, marks=pytest.mark.slow if story[0] in SLOW else (), id=story[0]) for story in STORIES]
)
def test_story(story, drawn, tmp_path, capsys, pytestconfig):
    (tmp_path / "configs").symlink_to(PROJECT / "configs")
    (tmp_path / "DATA").symlink_to(drawn)
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "photo.jpg")
    with s3_server() if story == ("docs/how_to/stream.md",) else nullcontext() as faults:
        if faults is not None:
            upload(drawn, "data")
        tell(story, tmp_path, capsys, pytestconfig)


def tell(story, tmp_path, capsys, pytestconfig):
    slow = bool(pytestconfig.getoption("--slow") or os.environ.get("CI"))
    for block in [block for page in story if slow or page not in SLOW for block in blocks(page)]:
        if block.kind == "python":
            run_python(block.text.replace("people=40", "people=12"), tmp_path)
        elif block.kind == "bash":
            for line in block.lines:
                run_line(line, tmp_path, capsys, slow)
