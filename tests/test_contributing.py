"""CONTRIBUTING.md's examples, put where they say into a copy of the project: they work, and keep its rules."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

TEXT = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", TEXT, flags=re.DOTALL)
LISTS = {"recognise.py": "FORMS: tuple[Any, ...] = (\n", "__init__.py": "__all__ = ["}
"""Where the name goes that a file imports for others."""


def test_every_room_has_its_line():
    rooms = {path.parent.name for path in (PROJECT / "fer_lightning").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)/` \|", TEXT, flags=re.MULTILINE)) == rooms


@pytest.mark.slow
def test_what_it_adds_works(tmp_path):
    pytest.importorskip("ruff")  # of the extra dev
    for name in ("fer_lightning", "tests", "configs", "train.py", "pyproject.toml"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    for name, content in BLOCKS:
        path = tmp_path / name
        if not path.exists():
            path.write_text(content, encoding="utf-8")
        elif path.suffix == ".toml":
            path.write_text(path.read_text() + "\n" + content, encoding="utf-8")
        else:
            before, after = path.read_text(encoding="utf-8").split(start := LISTS[path.name])
            added = content.split()[-1]
            added = f'"{added}", ' if path.name == "__init__.py" else f"    {added},\n"
            first = before.index("from fer_lightning")
            path.write_text(before[:first] + content + before[first:] + start + added + after, encoding="utf-8")
    new = [name for name, _ in BLOCKS if name.endswith(".py")]
    subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--fix", "-q", "--select", "I,RUF022", *new], cwd=tmp_path
    )  # order
    here = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(tmp_path)}, "capture_output": True, "text": True}
    for words in (["ruff", "check", *new], ["ruff", "format", *new], ["mypy", "--no-incremental"]):
        done = subprocess.run([sys.executable, "-m", *words], **here)
        assert done.returncode == 0, done.stdout
    tests = [name for name in new if name.startswith("tests/")]
    words = ["-q", "-n", "0", *tests, "tests/test_house.py", "tests/cli/test_commands.py", "-k", "not recipes"]
    done = subprocess.run([sys.executable, "-m", "pytest", *words], **here)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
    network = ["--model.network", "LinearFace", "--model.loss", "BrierLoss", "--trainer.limit_train_batches", "2"]
    words = ["fit", *network, "--trainer.max_epochs", "1", "--data.image_size", "32", "--data.num_workers", "0"]
    done = subprocess.run([sys.executable, "train.py", *words], **here)
    assert "Network LinearFace, " in done.stdout, done.stderr
