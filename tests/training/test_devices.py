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
    """A run on two devices; four rows fewer make an odd number of test images."""
    folder = tmp_path_factory.mktemp("ddp")
    rows = (drawn / "legend.csv").read_text().splitlines()
    (folder / "legend.csv").write_text("\n".join(row for row in rows if row not in rows[-1:-64:-16]) + "\n")
    data = ["--data.legend", "legend.csv", "--data.images", drawn / "images", "--data.split", "stratified"]
    done = run("fit", *data, *TINY, *DDP, "--trainer.max_epochs", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_training_sees_every_image_once(trained):
    """Each device gets half of the training images, in batches of 16."""
    checkpoint = torch.load(trained / "runs/default/checkpoints/last.ckpt", weights_only=True)
    manifest = json.loads(next((trained / "prepared_data").glob("*/split.json")).read_text())
    images = sum(manifest["counts"]["training"])
    assert checkpoint["global_step"] == 2 * -(-(images // 2) // 16)


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(trained, drawn, tmp_path):
    """With an odd number of test images one process has a padded sample; it must not be counted."""
    figures, rows = [], []
    for name, options in (("one", []), ("two", DDP)):
        done = run("test", "--ckpt_path", "best", *options, "--data.eval_batch_size", "8", cwd=trained)
        assert done.returncode == 0, done.stderr
        figures.append(json.loads((trained / "runs/default/test/metrics.json").read_text())["metrics"])
        assert done.stdout.count("Written to") == 1, name
        rows.append((trained / "runs/default/test/predictions.csv").read_text().splitlines())
    assert len(rows[0]) % 2 == 0  # a header and an odd number of images
    assert [row.split(",")[:3] for row in rows[0]] == [row.split(",")[:3] for row in rows[1]]
    assert figures[0].keys() == figures[1].keys()
    for name, value in figures[0].items():
        assert figures[1][name]["value"] == pytest.approx(value["value"], abs=1e-6), name


@pytest.mark.slow
def test_the_same_through_torchrun(trained):
    run("test", "--ckpt_path", "best", cwd=trained)
    one = json.loads((trained / "runs/default/test/metrics.json").read_text())["metrics"]
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
    two = json.loads((trained / "runs/default/test/metrics.json").read_text())["metrics"]
    assert {n: v["value"] for n, v in two.items()} == pytest.approx({n: v["value"] for n, v in one.items()}, abs=1e-6)
    assert two["accuracy"] == one["accuracy"]
