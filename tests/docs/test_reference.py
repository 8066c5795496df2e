"""The pages that docs/make_reference.py makes say what the code says."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import fer_lightning
from fer_lightning.checkpoints.finding import PRETRAINED
from fer_lightning.checkpoints.info import FORMAT
from fer_lightning.checkpoints.reading import read_checkpoint
from tests.conftest import PROJECT, run_here

MAKE = PROJECT / "docs" / "make_reference.py"


@pytest.mark.slow
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
    copy.write_text(made.replace("**`--trainer.num_nodes`**", "**`--trainer.nodes`**"), encoding="utf-8")
    assert make_reference.stale_pages(tmp_path) == []  # Lightning's own, which a release of it may change
    copy.write_text(made.replace("**`--data.split_seed`**", "**`--data.seed`**"), encoding="utf-8")
    assert make_reference.stale_pages(tmp_path) == ["cli.md"]


def test_no_default_is_a_path_of_a_machine():
    page = (PROJECT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert not re.search(rf"`/\w|{re.escape(str(PROJECT))}|{re.escape(str(Path.home()))}\b", page)


def test_python_examples(drawn, monkeypatch, tmp_path):
    """Those of the pages about errors and checkpoints, and of all that is exported, run one after another."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces").symlink_to(drawn)
    run_here("export", "--ckpt_path", "pretrained", "--output", "mine.safetensors", cwd=tmp_path)
    for name in ("errors.md", "reference/checkpoints.md", "reference/python.md"):
        text = (PROJECT / "docs" / name).read_text(encoding="utf-8")
        codes = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
        assert codes, name
        for code in codes:  # with a small data set for the embedded one
            code = code.replace("FERDataModule(image_size", "FERDataModule('faces', image_size")
            exec(compile(code, name, "exec"), {"__name__": "example"})


def test_what_a_checkpoint_says():
    page = (PROJECT / "docs" / "reference" / "checkpoints.md").read_text(encoding="utf-8")
    said = re.findall(r"^\| `(\w+)` \|", page.partition("## What a checkpoint says")[2].partition("\n## ")[0], re.M)
    info, _ = read_checkpoint(PRETRAINED)
    assert said == list(info.to_dict())
    assert f"the number of the format, {FORMAT} |" in page
    assert re.findall(r"^\| (\d) \|", page, re.M) == [str(number) for number in range(1, FORMAT + 1)]


def test_examples_in_docstrings():
    paths = [path for path in (PROJECT / "fer_lightning").rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]
    assert paths
    for path in paths:
        name = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
        assert doctest.testmod(import_module(name)) == (0, path.read_text(encoding="utf-8").count(">>> ")), name


def test_the_page_about_python_has_every_exported_name_and_names_what_there_is():
    page = (PROJECT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    named = re.findall(r"^::: ([\w.]+)$", page, re.M)
    assert {f"fer_lightning.{name}" for name in fer_lightning.__all__ if name != "__version__"} <= set(named)
    for path in named:
        module, _, name = path.rpartition(".")
        assert inspect.getdoc(getattr(import_module(module), name)), path
