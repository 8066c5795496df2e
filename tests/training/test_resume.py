"""A run that was killed and resumed ends as the one that was not."""

from __future__ import annotations

import csv
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fer_lightning.checkpoints.atomic_io import AtomicCheckpointIO
from tests.conftest import PROJECT, flat, heed_signals, run, run_here

OPTIONS = [
    *("--data.image_size", "32", "--data.batch_size", "8", "--data.num_workers", "1", "--trainer.max_epochs", "4"),
    *("--model.lr_scheduler", "StepLR", "--model.lr_scheduler.step_size", "2", "--early_stopping.patience", "3"),
    *("--model.network.init_args.hidden", "64", "--model.network.init_args.dropout", "0.3"),
    *("--data.augmentation.rotation", "10", "--data.augmentation.flip", "true"),
    *("--data.augmentation.mixup", "0.2", "--model.ema_decay", "0.9", "--checkpoint_last.every_n_steps", "3"),
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


def begin(folder: Path, *words: str | Path) -> subprocess.Popen[str]:
    """Start a fit of the name `cut` in a process group of its own."""
    command = [sys.executable, str(PROJECT / "train.py"), "fit", "--name", "cut", *map(str, words)]
    pipe = subprocess.PIPE
    how = {"stdout": pipe, "stderr": pipe, "text": True, "start_new_session": True}
    return subprocess.Popen(command, cwd=folder, preexec_fn=heed_signals, **how)


def wait_for_step(process: subprocess.Popen[str], folder: Path, step: int) -> int:
    """Wait until `last.ckpt` has come to a step."""
    last = folder / "runs/cut/checkpoints/last.ckpt"
    deadline = time.monotonic() + 120
    while not (last.is_file() and (found := torch.load(last, weights_only=True)["global_step"]) >= step):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return int(found)


def assert_same(folder: Path) -> None:
    """The runs `cut` and `whole` ended alike, bit for bit."""
    assert table(folder / "runs/cut") == table(folder / "runs/whole")
    cut, whole = state(folder / "runs/cut"), state(folder / "runs/whole")
    assert str(cut.pop("stopping")) == str(whole.pop("stopping"))
    torch.testing.assert_close(cut, whole, rtol=0, atol=0)


@pytest.fixture(scope="module")
def whole(drawn, tmp_path_factory) -> Path:
    """A folder with the run that nobody stops."""
    folder = tmp_path_factory.mktemp("whole")
    done = run("fit", "--data.root", drawn, *OPTIONS, "--name", "whole", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("how", "step"),
    [
        (signal.SIGKILL, 6),
        pytest.param(signal.SIGKILL, 24, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 21, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 3, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, 7, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 22, marks=pytest.mark.slow),
    ],
)
def test_stopped_at_any_moment_and_resumed_is_as_if_never_stopped(whole, drawn, tmp_path, how, step):
    """An epoch has 18 steps; the resumed run has no workers, the stopped one had one."""
    shutil.copytree(whole / "runs", tmp_path / "runs")
    with begin(tmp_path, "--data.root", drawn, *OPTIONS) as process:
        wait_for_step(process, tmp_path, step)
        if how == signal.SIGINT:
            os.killpg(process.pid, how)  # as a terminal does: the data worker gets it too
        else:
            process.send_signal(how)
        said, errors = process.communicate(timeout=60)
    statuses = {signal.SIGKILL: -signal.SIGKILL}
    assert process.returncode == statuses.get(how, 128 + how)
    if how != signal.SIGKILL:  # after that only the orphaned data worker can speak, and it does
        assert "Traceback" not in errors
        assert "Continue with: python train.py fit --ckpt_path runs/cut/checkpoints/last.ckpt" in flat(said)
    run_here("fit", "--name", "cut", "--ckpt_path", "last", "--data.num_workers", "0", cwd=tmp_path)
    assert_same(tmp_path)


DIES = """
import os
from lightning.pytorch import Callback


class Dies(Callback):
    def on_validation_start(self, trainer, *_):
        if not trainer.sanity_checking and not os.path.exists("validated"):
            open("validated", "w").close()
            os._exit(9)

    def on_validation_end(self, trainer, *_):
        if not trainer.sanity_checking:
            with open("validated", "a") as steps:
                steps.write(f"{trainer.global_step} ")
"""


@pytest.mark.slow
def test_a_validation_within_an_epoch_is_made_up_for(drawn, tmp_path, monkeypatch):
    """It is due after the sixth step of 18, as `last.ckpt` is; the run is killed as it begins."""
    (tmp_path / "dies.py").write_text(DIES)
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT}:{tmp_path}")
    words = ["--data.root", drawn, *OPTIONS, "--trainer.max_epochs", "2", "--trainer.val_check_interval", "6"]
    words += ["--early_stopping.patience", "20", "--trainer.callbacks", "dies.Dies"]
    assert run("fit", *words, cwd=tmp_path).returncode == 9
    done = run("fit", *words, "--ckpt_path", "last", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "validated").read_text().split() == ["6", "12", "18", "24", "30", "36"]


def test_last_is_the_last_epoch_even_where_another_one_is_better(drawn, tmp_path):
    """With several best checkpoints the one just written is not the best one."""
    words = [
        "--data.root",
        drawn,
        *OPTIONS,
        "--data.num_workers",
        "0",
        "--name",
        "several",
    ]
    every = ("--checkpoint_best.save_top_k", "-1", "--checkpoint_best.filename", "{epoch}")
    run_here("fit", *words, *every, cwd=tmp_path)
    folder = tmp_path / "runs/several/checkpoints"
    assert len([*folder.glob("epoch=*.ckpt")]) == 4
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 3


@pytest.mark.slow
def test_checkpoints_between_steps_by_the_clock(drawn, tmp_path):
    words = ["--data.root", drawn, *OPTIONS, "--checkpoint_last.every_n_steps", "0"]
    with begin(tmp_path, *words, "--checkpoint_last.every_n_minutes", "0.0001") as process:
        assert wait_for_step(process, tmp_path, 1) % 18 != 0
        process.kill()


def test_resuming_a_run_that_came_to_its_end_adds_nothing(whole, tmp_path):
    shutil.copytree(whole / "runs/whole", tmp_path / "runs/whole")
    shutil.copytree(whole / "runs/whole", tmp_path / "runs/cut")
    run_here("fit", "--name", "cut", "--ckpt_path", "last", "--early_stopping.patience", "3", cwd=tmp_path)
    assert_same(tmp_path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    writer, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    writer.save_checkpoint({"step": 1}, path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))  # as a full disk cuts a file short
    try:
        with pytest.raises(OSError, match="File too large"):
            writer.save_checkpoint({"step": 2, "weights": torch.zeros(10_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.slow
def test_two_processes_killed_and_resumed(drawn, tmp_path):
    two = ["--config", str(PROJECT / "configs/overlays/ddp.yaml"), "--trainer.accelerator", "cpu"]
    words = ["--data.root", drawn, *OPTIONS, *two, "--data.num_workers", "0"]
    done = run("fit", *words, "--name", "whole", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with begin(tmp_path, *words) as process:
        wait_for_step(process, tmp_path, 12)  # of 9 in an epoch
        os.killpg(process.pid, signal.SIGKILL)
    done = run("fit", "--name", "cut", "--ckpt_path", "last", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["first", "second"])
def test_when_one_process_dies_the_other_ends_with_a_message(drawn, tmp_path, which):
    two = ["--config", str(PROJECT / "configs/overlays/ddp.yaml"), "--trainer.accelerator", "cpu"]
    endless = ["--trainer.max_epochs", "1000", "--early_stopping.patience", "1000", "--data.num_workers", "0"]
    with begin(tmp_path, "--data.root", drawn, *OPTIONS, *two, *endless) as process:
        wait_for_step(process, tmp_path, 9)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(process.pid if which == "first" else int(children[0]), signal.SIGKILL)
        _, errors = process.communicate(timeout=60)  # until the last of them has closed its end
    ours = "Another process of this training has ended unexpectedly" in errors
    # Lightning looks every 5 s whether a child has died, says so and kills the rest, which may come first
    assert ours or (which == "second" and "terminated with code -9. Forcefully terminating" in errors), errors
    assert "Traceback" not in errors
