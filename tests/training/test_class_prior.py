"""The class prior of a training: in its validation, in its test, in its exports."""

from __future__ import annotations

import csv
import json

import pytest
import torch

from fer_lightning.inference.model import open_model
from tests.conftest import TINY, run_here

SMALL = [*TINY, "--model.network.init_args.hidden", "16"]


def test_validation_of_a_checkpoint_gives_the_figures_that_chose_it(drawn, tmp_path):
    """In `fit` too they are those of the temperature that the checkpoint has, not of the epoch before."""
    prior = ["--model.class_prior", "[0.65, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05]"]
    run_here("fit", "--data.root", drawn, *SMALL, *prior, "--trainer.max_epochs", "4", cwd=tmp_path)
    rows = list(csv.DictReader((tmp_path / "runs/default/metrics.csv").open()))
    for given in ("best", "last"):
        file = tmp_path / f"runs/default/checkpoints/{given}.ckpt"
        epoch = torch.load(file, weights_only=True)["epoch"]
        run_here("validate", "--ckpt_path", given, cwd=tmp_path)
        found = json.loads((tmp_path / "runs/default/validate/metrics.json").read_text())["metrics"]
        for theirs, ours in (("accuracy", "val_acc"), ("macro_f1", "val_macro_f1")):
            assert found[theirs]["value"] == pytest.approx(float(rows[epoch][ours]), abs=1e-6)


def test_it_stays_with_the_exports(drawn, tmp_path):
    words = ["--data.root", drawn, *SMALL, "--trainer.max_epochs", "1", "--data.sampling.strength", "0.5"]
    prior = ["--model.class_prior", "[0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]"]
    run_here("fit", *words, *prior, cwd=tmp_path)
    run_here("export", "--ckpt_path", "best", "--output", "a.safetensors", cwd=tmp_path)
    run_here("export", "--ckpt_path", "best", "--output", "a.pt2", cwd=tmp_path)
    names = ("runs/default/checkpoints/best.ckpt", "a.safetensors", "a.pt2")
    models = [open_model(tmp_path / name, "cpu") for name in names]
    spec = models[0].input_spec
    shape = (5, spec.channels, spec.image_size, spec.image_size)
    faces = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    answers = [model.probabilities(faces) for model in models]
    torch.testing.assert_close(answers[1], answers[0], atol=2e-3, rtol=0)
    torch.testing.assert_close(answers[2], answers[0], atol=1e-5, rtol=0)
    uniform = answers[0] / torch.tensor([0.3] + [0.1] * 7)
    uniform /= uniform.sum(1, keepdim=True)
    for model in models:
        moved = model.with_prior("uniform")
        torch.testing.assert_close(moved.probabilities(faces), uniform, atol=5e-3, rtol=0)
    run_here("test", "--ckpt_path", "a.safetensors", "--data.root", drawn, "--data.num_workers", "0", cwd=tmp_path)
    assert json.loads((tmp_path / "runs/a/test/metrics.json").read_text())["class_prior"][0] == 0.3
    run_here("fit", "--ckpt_path", "a.safetensors", "--name", "b", *words, cwd=tmp_path)
    assert "class_prior: training" in (tmp_path / "runs/b/config.yaml").read_text()


def test_it_is_for_test_and_stays_out_of_training(drawn, tmp_path):
    """The checkpoint knows the frequencies in its targets, and a test may assume others."""
    run_here("fit", "--data.root", drawn, *SMALL, "--trainer.max_epochs", "1", cwd=tmp_path)
    about = torch.load(tmp_path / "runs/default/checkpoints/best.ckpt", weights_only=True)["fer_lightning"]
    assert about["learned_prior"] == pytest.approx([1 / 8] * 8, abs=1e-6)
    prior = "[0.93, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01]"
    run_here("test", "--ckpt_path", "best", "--model.class_prior", prior, "--data.num_workers", "0", cwd=tmp_path)
    rows = list(csv.DictReader((tmp_path / "runs/default/test/predictions.csv").open(newline="")))
    report = json.loads((tmp_path / "runs/default/test/metrics.json").read_text())["metrics"]
    right = sum(row["label"] == row["predicted"] for row in rows) / len(rows)
    assert report["accuracy"]["value"] == pytest.approx(right)
    assert sum(row["predicted"] == "anger" for row in rows) > len(rows) / 2


def test_a_prior_that_the_loss_does_not_know_is_refused_before_the_training(drawn, tmp_path, capsys):
    words = ["--data.root", drawn, *SMALL, "--model.loss", "FocalLoss", "--model.class_prior", "uniform"]
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", *words, cwd=tmp_path)
    assert "class_prior needs a model that knows the class frequencies it has learned" in capsys.readouterr().err
