"""The examples, run as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from PIL import Image

from tests.conftest import PROJECT


def sweep(folder: Path, *words: str | os.PathLike[str]) -> str:
    command = [sys.executable, str(PROJECT / "examples" / "sweep.py"), *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "MPLBACKEND": "agg"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_sweep_gives_trials_up_goes_on_and_names_a_command_that_works(tmp_path):
    small = ["--epochs", "3", "--image_size", "32"]
    sweep(tmp_path, *small, "--trials", "4")
    said = sweep(tmp_path, *small, "--trials", "4")
    (study,) = optuna.get_all_study_names("sqlite:///" + str(tmp_path / "sweep.db"))
    trials = optuna.load_study(study_name=study, storage=f"sqlite:///{tmp_path / 'sweep.db'}").trials
    states = [trial.state.name for trial in trials]
    assert len(states) == 8
    assert set(states) == {"COMPLETE", "PRUNED"}
    assert all(len(trial.intermediate_values) == 3 for trial in trials if trial.state.name == "COMPLETE")
    assert any(len(trial.intermediate_values) < 3 for trial in trials if trial.state.name == "PRUNED")
    best = max(trial.value for trial in trials if trial.state.name == "COMPLETE")
    assert f"balanced accuracy {best:.4f} on the validation subset, after 8 trials" in said
    assert Image.open(tmp_path / "sweep.png").size == (768, 576)
    words = said.splitlines()[-1].split()[2:]
    command = [sys.executable, str(PROJECT / "train.py"), *words, "--trainer.max_epochs", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
