"""Trainings of configs/ferplus_fast.yaml with something changed, for the benchmarks beside this file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, stdev

PROJECT = Path(__file__).resolve().parent.parent


def command(verb: str, words: list[str]) -> None:
    """One command of train.py with one thread, as one runs on each core."""
    line = [sys.executable, str(PROJECT / "train.py"), verb, *words, "--trainer.enable_progress_bar", "false"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}: {done.stderr[-2000:]}")


def fit(name: str, words: list[str], seed: int, runs: Path) -> Path:
    """The folder of a training; trains unless that was done before."""
    folder = runs / name
    if not (folder / "summary.json").is_file():
        recipe = ["--config", str(PROJECT / "configs" / "ferplus_fast.yaml"), "--seed_everything", str(seed)]
        command("fit", [*recipe, "--name", name, "--runs_dir", str(runs), *words])
        print(f"{time.strftime('%H:%M')} {name}", file=sys.stderr, flush=True)
    return folder


def spread(values: list[float], sign: str = "") -> str:
    """Mean ± standard deviation."""
    return f"{mean(values):{sign}.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")
