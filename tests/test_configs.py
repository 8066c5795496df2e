"""Every file under configs/ runs through fit, test and predict, so that none can rot."""

from __future__ import annotations

import csv

import pytest
import yaml

from tests.conftest import PROJECT, run, run_here

CONFIGS = sorted(path.relative_to(PROJECT / "configs").as_posix() for path in (PROJECT / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("config", CONFIGS)
def test_config(config, drawn, tmp_path):
    path = PROJECT / "configs" / config
    settings = yaml.safe_load(path.read_text())
    fit = ["fit", "--config", path, "--data.root", drawn, "--trainer.max_epochs", "1"]
    if settings.get("trainer", {}).get("devices", 1) == 1:
        run_here(*fit, "--data.num_workers", "0", cwd=tmp_path)
    else:
        done = run(*fit, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    name = settings.get("name", "default")
    for verb in ("test", "predict"):
        run_here(verb, "--name", name, "--ckpt_path", "best", "--data.num_workers", "0", cwd=tmp_path)
    assert (tmp_path / "runs" / name / "test" / "report.html").is_file()
    assert len(list(csv.DictReader((tmp_path / "predictions.csv").open()))) > 20


def test_there_are_configs():
    assert {"default.yaml", "seed_notebook.yaml", "overlays/ddp.yaml"} <= set(CONFIGS)
