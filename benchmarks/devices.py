"""Two processes against one: `python benchmarks/devices.py DATA`.

Trains the default recipe on DATA (the facial_expressions folder) with one process, and with two that share the cores
and the batch of 64, for two epochs each; tests one checkpoint with both. Prints seconds an epoch and their ratio, and
the largest difference between the two tests.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

HERE = Path(__file__).resolve()
TWO = ["--config", str(HERE.parents[1] / "configs" / "overlays" / "ddp.yaml"), "--trainer.accelerator", "cpu"]


def run(place: Path, *words: str) -> None:
    """Run the command line."""
    path = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, str(HERE.parents[1] / "train.py"), *words]
    done = subprocess.run(command, cwd=place, env=path, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])


def main(data: str) -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    seconds, figures = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, words in (("one", []), ("two", [*TWO, "--data.batch_size", "32"])):
            run(place, "fit", "--name", name, "--data.root", data, "--trainer.max_epochs", "3", *words)
            with open(place / "runs" / name / "metrics.csv") as table:
                seconds[name] = min(float(row["seconds"]) for row in csv.DictReader(table))
        for name, words in (("one", []), ("two", TWO)):
            run(place, "test", "--name", "one", "--ckpt_path", "best", *words)
            found = json.loads((place / "runs/one/test/metrics.json").read_text())["metrics"]
            figures[name] = {key: value["value"] for key, value in found.items()}
    ratio = seconds["one"] / seconds["two"]
    print(f"seconds an epoch: one process {seconds['one']:.1f}, two {seconds['two']:.1f}, ratio {ratio:.2f}")
    pairs = [(key, abs(value - figures["two"][key])) for key, value in figures["one"].items() if value is not None]
    worst = max(pairs, key=lambda pair: pair[1])
    print(f"test of one checkpoint: {len(pairs)} figures, largest difference {worst[1]:.1e} ({worst[0]}); ", end="")
    print(f"accuracy {figures['one']['accuracy']:.6f} and {figures['two']['accuracy']:.6f}")


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()))
