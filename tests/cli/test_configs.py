"""Every file under configs/ runs through fit, test and predict, so that none can rot."""

from __future__ import annotations

import csv

import pytest
import yaml

from tests.conftest import PROJECT, run, run_here

CONFIGS = sorted(path.relative_to(PROJECT / "configs").as_posix() for path in (PROJECT / "configs").rglob("*.yaml"))


SLOW = {"overlays/ddp.yaml": pytest.mark.slow}  # two processes, as in test_devices


@pytest.mark.parametrize("config", [pytest.param(config, marks=SLOW.get(config, ())) for config in CONFIGS])
def test_config(config, drawn, tmp_path):
    path = PROJECT / "configs" / config
    settings = yaml.safe_load(path.read_text())
    data = ["--data.root", drawn]
    if settings.get("data", {}).get("soft_labels"):
        data = ["--data.legend", with_votes(drawn, tmp_path), "--data.images", drawn / "images"]
    fit = ["fit", "--config", path, *data, "--trainer.max_epochs", "1"]
    if settings.get("trainer", {}).get("devices", 1) == 1:
        run_here(*fit, "--data.num_workers", "0", cwd=tmp_path)
    else:
        done = run(*fit, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    name = settings.get("name", "default")
    run_here("test", "--name", name, "--ckpt_path", "best", "--data.num_workers", "0", cwd=tmp_path)
    images = drawn / "images"
    run_here("predict", "--name", name, "--ckpt_path", "best", "--input", images, "--workers", "0", cwd=tmp_path)
    assert (tmp_path / "runs" / name / "test" / "report.html").is_file()
    assert len(list(csv.DictReader((tmp_path / "predictions.csv").open()))) > 20


def with_votes(drawn, folder):
    """The drawn legend with a split column and ten votes an image, as FER+ has them."""
    with open(drawn / "legend.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = sorted({row["emotion"] for row in rows})
    path = folder / "voted.csv"
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user.id", "image", "emotion", "split", *names])
        for number, row in enumerate(rows):
            votes = [8 if name == row["emotion"] else 2 * (name == "neutral") for name in names]
            part = "testing" if number % 5 == 0 else "training"
            writer.writerow([row["user.id"], row["image"], row["emotion"], part, *votes])
    return path


def test_there_are_configs():
    assert {"default.yaml", "seed_notebook.yaml", "overlays/ddp.yaml"} <= set(CONFIGS)
