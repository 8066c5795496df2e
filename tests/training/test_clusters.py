"""What schedulers of clusters do to a training, and what they are told: signals, going on by itself, logs, loggers."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from fer_lightning.training.callbacks.log_settings import git_commit
from fer_lightning.training.callbacks.save_run_config import config_text
from tests.conftest import PROJECT, TINY, flat, heed_signals, run, run_here
from tests.training.test_resume import state

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(PROJECT / "train.py")]
TWO = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
LONG = [*TINY, "--trainer.max_epochs", "4", "--early_stopping.patience", "100", "--data.augmentation.flip", "true"]


@pytest.mark.slow
def test_auto_starts_where_there_is_nothing_to_go_on_with_and_goes_on_where_there_is(drawn, workdir, capsys):
    words = ["fit", "--name", "x", "--data.root", drawn, *TINY, "--ckpt_path", "auto", "--trainer.max_epochs"]
    run_here(*words, "1", cwd=workdir)
    last = workdir / "runs/x/checkpoints/last.ckpt"
    assert torch.load(last, weights_only=True)["epoch"] == 0
    run_here(*words, "2", cwd=workdir)
    assert torch.load(last, weights_only=True)["epoch"] == 1
    written = last.stat().st_mtime_ns
    capsys.readouterr()
    run_here(*words, "2", cwd=workdir)  # sent once more although it is done
    assert "Trained 2 epochs in 0:00; all that were asked for." in capsys.readouterr().out
    assert last.stat().st_mtime_ns == written
    assert [folder.name for folder in (workdir / "runs").iterdir() if folder.is_dir()] == ["x"]


def test_auto_is_for_fit(workdir, capsys):
    with pytest.raises(SystemExit):
        run_here("test", "--ckpt_path", "auto", cwd=workdir)
    assert "--ckpt_path auto is for fit" in capsys.readouterr().err


@pytest.mark.slow
def test_a_log_has_one_line_an_epoch(drawn, workdir):
    done = run("fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "2", cwd=workdir)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("Epoch ")]
    with open(workdir / "runs/default/metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(lines) == len(rows) == 2
    for number, (line, row) in enumerate(zip(lines, rows, strict=True), start=1):
        said = dict(re.findall(r"  (\w+) ([\d.e-]+)", line))
        assert line.startswith(f"Epoch {number}/2  ")
        assert float(said.pop("lr")) == float(row["lr"]) == 0.001
        assert {name: float(value) for name, value in said.items()} == pytest.approx(
            {name: float(row[name]) for name in said}, abs=5e-5
        )
        assert {"train_loss", "val_loss", "val_acc"} <= said.keys()
        assert re.search(r"  [\d.]+ s  [\d,]+ images/s", line)
    assert re.search(r"  0:\d\d left$", lines[0])
    assert "left" not in lines[1]
    assert "━" not in done.stdout
    assert "\r" not in done.stdout + done.stderr


def together(drawn: Path, name: str) -> list[str]:
    """A training of two processes."""
    return [*TORCHRUN, "fit", "--data.root", str(drawn), *LONG, *TWO, "--ckpt_path", "auto", "--name", name]


@pytest.fixture(scope="module")
def whole(drawn, tmp_path_factory) -> Path:
    """A folder with such a run that nobody stops."""
    folder = tmp_path_factory.mktemp("whole")
    done = subprocess.run(together(drawn, "whole"), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_one_of_two_processes_saves_and_stops_both(drawn, whole, tmp_path, number):
    """The run that goes on ends as the one that nobody stopped, bit for bit."""
    shutil.copytree(whole / "runs/whole", tmp_path / "runs/whole")
    command = together(drawn, "cut")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, preexec_fn=heed_signals, **pipes) as agent:
        last = tmp_path / "runs/cut/checkpoints/last.ckpt"
        while not last.is_file():
            assert agent.poll() is None
            time.sleep(0.01)
        workers = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
        one = next(pid for pid in workers if b"RANK=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
        os.kill(int(one), number)  # not the process that writes the checkpoints
        said = agent.communicate(timeout=60)[0]
    assert f"exitcode  : {128 + number}" in said
    assert "Continue with: python" in flat(said)
    steps = [state(tmp_path / "runs" / name)["step"] for name in ("cut", "whole")]
    assert 0 < steps[0] < steps[1]
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    ended = [state(tmp_path / "runs" / name) for name in ("cut", "whole")]
    assert str(ended[0].pop("stopping")) == str(ended[1].pop("stopping"))
    torch.testing.assert_close(*ended, rtol=0, atol=0)


def loggers() -> dict[str, dict[str, object]]:
    return {
        "TensorBoardLogger": {"save_dir": "logs", "name": "tb", "version": ""},
        "CSVLogger": {"save_dir": "logs", "name": "csv", "version": ""},
        "MLFlowLogger": {"tracking_uri": "file:./mlruns", "run_name": "mine"},
        "WandbLogger": {"save_dir": "logs", "name": "mine", "offline": True},
    }


@pytest.mark.slow
def test_settings_learning_rate_name_and_commit_reach_every_logger(drawn, tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "x"], cwd=tmp_path, check=True)
    commit = git_commit(tmp_path)
    chosen = [{"class_path": f"lightning.pytorch.loggers.{n}", "init_args": a} for n, a in loggers().items()]
    (tmp_path / "loggers.yaml").write_text(yaml.safe_dump({"trainer": {"logger": chosen}}))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("WANDB_SILENT", "true")
    words = ["--name", "mine", "--config", "loggers.yaml", "--data.root", drawn, *TINY, "--trainer.max_epochs", "2"]
    done = run("fit", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = {"run": "mine", "git_commit": commit, "data.batch_size": "16", "model.optimizer.init_args.lr": "0.001"}

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "logs/tb"))
    events.Reload()
    assert [round(event.value, 6) for event in events.Scalars("lr")] == [0.001, 0.001]
    assert [event.step for event in events.Scalars("lr")] == [event.step for event in events.Scalars("val_acc")]
    for name in ("tb", "csv"):
        saved = yaml.safe_load((tmp_path / "logs" / name / "hparams.yaml").read_text())
        assert {name: str(saved[name]) for name in expected} == expected
    with open(tmp_path / "logs/csv/metrics.csv", newline="") as stream:
        assert [float(row["lr"]) for row in csv.DictReader(stream) if row["lr"]] == [0.001, 0.001]
    (noted,) = (tmp_path / "mlruns").glob("*/*/params")
    assert {name: (noted / name).read_text() for name in expected} == expected
    assert [line.split()[1] for line in (noted.parent / "metrics/lr").read_text().splitlines()] == ["0.001", "0.001"]
    (kept,) = (tmp_path / "logs").glob("wandb/offline-run-*/*.wandb")
    content = kept.read_bytes()
    assert all(word.encode() in content for word in ("git_commit", commit, "data.batch_size", "lr"))


def test_the_commit_says_whether_files_have_changed(tmp_path):
    assert git_commit(tmp_path) == ""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert git_commit(tmp_path) == ""
    (tmp_path / "a").write_text("1")
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["add", "a"], [*who, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    assert re.fullmatch("[0-9a-f]{40}", git_commit(tmp_path))
    (tmp_path / "b").write_text("2")
    assert git_commit(tmp_path) == git_commit(tmp_path).removesuffix("+changes")
    (tmp_path / "a").write_text("2")
    assert git_commit(tmp_path).endswith("+changes")


@pytest.mark.slow
def test_the_script_for_torchrun_starts_goes_on_and_ends(drawn, tmp_path):
    (tmp_path / "train.py").symlink_to(PROJECT / "train.py")
    shutil.copy(PROJECT / "examples/torchrun.sh", tmp_path)
    words = ["--data.root", str(drawn), *TINY, "--trainer.accelerator", "cpu", "--trainer.devices", "2"]
    env = os.environ | {
        "PROCESSES": "2",
        "PORT": "29481",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for epochs in ("1", "2"):
        command = ["sh", "torchrun.sh", *words, "--trainer.max_epochs", epochs]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"Trained {epochs} epoch" in done.stdout
    assert torch.load(tmp_path / "runs/default/checkpoints/last.ckpt", weights_only=True)["epoch"] == 1


def _no_slurm() -> str:
    if not shutil.which("sinfo"):
        return "SLURM is not installed"
    found = subprocess.run(["sinfo", "-h"], capture_output=True, text=True, check=False)
    return "" if found.returncode == 0 and found.stdout else "no SLURM answers"


@pytest.mark.slow
@pytest.mark.skipif(bool(_no_slurm()), reason=_no_slurm())
def test_a_job_of_slurm_whose_time_is_over_joins_the_queue_again_and_ends_as_if_never_stopped(drawn, tmp_path):
    """`examples/slurm.sbatch` on the SLURM that is here; it may take minutes until it starts a job again."""
    (tmp_path / "train.py").symlink_to(PROJECT / "train.py")
    words = ["--data.root", str(drawn), *LONG, "--trainer.max_epochs", "30", "--trainer.accelerator", "cpu"]
    run_here("fit", "--name", "whole", *words, cwd=tmp_path)
    batch = ["sbatch", "--parsable", "--cpus-per-task=1", "--output=log", str(PROJECT / "examples/slurm.sbatch")]
    sent = subprocess.run([*batch, "--name", "cut", *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    job, last = sent.stdout.strip(), tmp_path / "runs/cut/checkpoints/last.ckpt"
    deadline, signalled, about = time.monotonic() + 600, False, ""
    while "JobState=COMPLETED" not in about:
        assert time.monotonic() < deadline, about
        assert "JobState=FAILED" not in about, (tmp_path / "log").read_text()
        if not signalled and last.is_file():
            subprocess.run(["scancel", "--signal=USR1", job], check=True)
            signalled = True
        time.sleep(0.5)
        about = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=True).stdout
    assert "joins the queue again" in (tmp_path / "log").read_text()
    assert "Restarts=1" in about
    ended = [state(tmp_path / "runs" / name) for name in ("cut", "whole")]
    assert str(ended[0].pop("stopping")) == str(ended[1].pop("stopping"))
    torch.testing.assert_close(*ended, rtol=0, atol=0)


def test_a_configuration_keeps_no_secret_of_an_address(workdir):
    from jsonargparse import ArgumentParser, Namespace

    class Parser(ArgumentParser):
        def dump(self, config, **_):
            return str(config.as_dict())

    root = ["s3://key:secret@bucket/a", "s3://b?X-Amz-Signature=secret", "here@home/a://b"]
    logger = {"init_args": Namespace(tracking_uri="https://me:secret@example.org/ml")}
    given = Namespace(ckpt_path="x", data=Namespace(root=root, seed=1), logger=[logger])
    text = config_text(Parser(), given)
    assert "secret" not in text
    assert "s3://bucket/a" in text
    assert "here@home/a://b" in text
    assert "https://example.org/ml" in text
    assert given.data.root == root
