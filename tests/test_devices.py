"""Two processes on the CPU stand for several devices."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from tests.conftest import PROJECT, TINY, run

DDP = ["--config", str(PROJECT / "configs/overlays/ddp.yaml"), "--trainer.accelerator", "cpu"]


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    done = run("fit", "--data.root", drawn, *TINY, *DDP, "--trainer.max_epochs", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_training_sees_every_image_once(trained):
    """138 training images in batches of 16 on each of two devices: 69 images and 5 steps a device and epoch."""
    checkpoint = torch.load(trained / "runs/default/checkpoints/last.ckpt", weights_only=True)
    manifest = json.loads(next((trained / "master_data").glob("*/split.json")).read_text())
    images = sum(manifest["counts"]["training"])
    assert checkpoint["global_step"] == 2 * -(-(images // 2) // 16)


def test_two_processes_give_the_figures_of_one(trained, drawn, tmp_path):
    """21 test images make an odd number, so one process has a padded sample; it must not be counted."""
    figures = []
    for name, options in (("one", []), ("two", DDP)):
        done = run("test", "--ckpt_path", "best", *options, "--data.eval_batch_size", "8", cwd=trained)
        assert done.returncode == 0, done.stderr
        figures.append(json.loads((trained / "runs/default/test.json").read_text())["metrics"])
        assert done.stdout.count("Written to") == 1, name
    assert figures[0].keys() == figures[1].keys()
    for name, value in figures[0].items():
        assert figures[1][name] == pytest.approx(value, abs=1e-6 if name == "test_loss" else 0), name


def test_the_same_through_torchrun(trained):
    run("test", "--ckpt_path", "best", cwd=trained)
    one = json.loads((trained / "runs/default/test.json").read_text())["metrics"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(PROJECT / "train.py")]
    done = subprocess.run(
        [*command, "test", "--ckpt_path", "best", *DDP],
        cwd=trained,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    two = json.loads((trained / "runs/default/test.json").read_text())["metrics"]
    assert two == pytest.approx(one, abs=1e-6)
