"""The notebooks run from top to bottom in a real kernel, without a network, and show what is committed with them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


def code_of(path_or_notebook: Path | nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    notebook = nbformat.read(path_or_notebook, 4) if isinstance(path_or_notebook, Path) else path_or_notebook
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: nbformat.NotebookNode) -> list[tuple[str, ...]]:
    """What a cell shows, in kind: streams with the number of their lines, and the forms of pictures and values.

    What is indented counts to the line above: how many columns a path takes decides where a sentence is broken. A note
    does not count: whether calibration made it worse can hang on the last digits, which are the processor's.
    """
    found = []
    for output in cell.outputs:
        if output.output_type == "stream":
            text = re.sub(r"\r[^\n]*", "", output.text).strip()  # a bar that was taken away
            lines = [line for line in re.sub(r"\n +", " ", text).splitlines() if not line.startswith("Note ")]
            found += [(output.name, str(len(lines)))] if text else []
        else:
            found.append((output.output_type, *sorted(output.data)))
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
@pytest.mark.slow
def test_a_notebook_runs_and_shows_what_is_committed(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    notebook = nbformat.read(path, 4)
    for cell in code_of(notebook):
        cell.outputs = []
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place, coalesce_streams=True).execute()
    for cell, committed in zip(code_of(notebook), code_of(path), strict=True):
        assert shown(cell) == shown(committed), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_what_is_committed_is_one_whole_run_and_small(path):
    cells = code_of(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    text = path.read_text(encoding="utf-8")
    assert len(text) < 150_000
    assert not re.search(r"/(tmp|home|root|Users)/|\\r", text)  # the machine that ran it; a bar that piled up


def test_there_are_two():
    assert [path.stem for path in NOTEBOOKS] == ["honest_evaluation", "quickstart"]
