"""The scripts that make what is published, tried with a small data set, briefly."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fer_lightning.checkpoints.reading import read_checkpoint
from fer_lightning.data.legend import EXPRESSIONS
from tests.conftest import PROJECT
from tests.docs.pages import BRIEFLY


@pytest.fixture(scope="module")
def scripts(drawn, tmp_path_factory):
    """A folder with a data set that has votes, and what runs a script in it, briefly."""
    folder = tmp_path_factory.mktemp("scripts")
    voted = Path(shutil.copytree(drawn, folder / "voted"))
    rows = list(csv.DictReader((drawn / "legend.csv").open()))
    with open(voted / "legend.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "split", *EXPRESSIONS])
        writer.writeheader()
        for number, row in enumerate(rows):
            votes = {name: 8 if name == row["emotion"] else 1 for name in EXPRESSIONS}
            writer.writerow(row | votes | {"split": "testing" if number % 5 == 0 else "training"})
    for name in ("configs", "train.py"):
        (folder / name).symlink_to(PROJECT / name)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "FOLDS": "2"}

    def run(script: str, *words: str) -> str:
        command = ["sh", str(PROJECT / script), str(voted), *words, *BRIEFLY]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return folder, run


@pytest.mark.slow
def test_the_script_that_makes_the_weights(scripts):
    folder, run = scripts
    said = run("experiments/distilled.sh", "--data.batch_size", "16")
    assert said.count("Trained 1 epoch in") == 5
    assert "Written runs/pretrained/pretrained.safetensors" in said
    trained, _ = read_checkpoint(folder / "runs/pretrained/checkpoints/best.ckpt")
    written, _ = read_checkpoint(folder / "runs/pretrained/pretrained.safetensors")
    (row,) = re.findall(r"^\| 1 \| [\d.]+ \| ([\d.]+) \|", said, flags=re.MULTILINE)
    assert written.temperature == pytest.approx(float(row), abs=0.0006)
    assert abs(written.temperature - trained.temperature) > 0.001
    assert written.risk_curve != trained.risk_curve
    assert written.measured["images"] == 39  # those of the testing subset


@pytest.mark.slow
def test_the_script_that_makes_every_row_of_the_results(drawn, scripts):
    said = scripts[1]("benchmarks/results.sh", str(drawn))
    text = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    table = text[text.index("| configuration | data | accuracy") :].partition("\n\n")[0].splitlines()[2:]
    assert said.count("\n== ") == len(table)
