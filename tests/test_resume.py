"""A run that was killed and resumed ends as the one that was not."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from tests.conftest import PROJECT, run

OPTIONS = [
    *("--data.image_size", "32", "--data.batch_size", "16", "--data.num_workers", "1", "--trainer.max_epochs", "5"),
    *("--model.lr_scheduler", "StepLR", "--model.lr_scheduler.step_size", "2", "--early_stopping.patience", "4"),
]


def table(folder: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def state(folder: Path) -> dict:
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    callbacks = {name: value for name, value in checkpoint["callbacks"].items() if "EarlyStopping" in name}
    return {
        "weights": checkpoint["state_dict"],
        "optimizer": checkpoint["optimizer_states"],
        "scheduler": checkpoint["lr_schedulers"],
        "stopping": callbacks,
        "step": checkpoint["global_step"],
        "epoch": checkpoint["epoch"],
    }


def test_killed_in_the_middle_of_an_epoch_and_resumed(drawn, tmp_path):
    whole = run("fit", "--data.root", drawn, *OPTIONS, "--name", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr

    command = [sys.executable, str(PROJECT / "train.py"), "fit", "--data.root", str(drawn), *OPTIONS, "--name", "cut"]
    last = tmp_path / "runs/cut/checkpoints/last.ckpt"
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not last.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
    cut = torch.load(last, weights_only=True)["epoch"]
    assert 0 <= cut < 4

    resumed = run("fit", "--name", "cut", "--ckpt_path", "last", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert table(tmp_path / "runs/cut") == table(tmp_path / "runs/whole")
    cut_state, whole_state = state(tmp_path / "runs/cut"), state(tmp_path / "runs/whole")
    assert str(cut_state.pop("stopping")) == str(whole_state.pop("stopping"))
    torch.testing.assert_close(cut_state, whole_state, rtol=0, atol=0)


def test_ctrl_c_says_how_to_go_on(drawn, tmp_path):
    command = [sys.executable, str(PROJECT / "train.py"), "fit", "--data.root", str(drawn), *OPTIONS]
    command += ["--trainer.max_epochs", "500", "--early_stopping.patience", "500"]
    last = tmp_path / "runs/default/checkpoints/last.ckpt"
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 120
        while not last.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        said, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Continue with: python train.py fit --ckpt_path runs/default/checkpoints/last.ckpt" in said
    assert "Traceback" not in errors
