"""The learning rate is searched, by every way that Lightning's users know, and nothing else is changed by it."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LearningRateFinder
from lightning.pytorch.tuner import Tuner
from PIL import Image

from fer_lightning import ExpressionClassifier, ExpressionCNN, FERDataModule, FERError
from fer_lightning.training.fine_tuning import FineTuning
from fer_lightning.training.losses import CrossEntropy
from fer_lightning.training.lr_search import RateCurve
from fer_lightning.training.schedules import WarmupCosine
from tests.conftest import TINY, run_here

FINDER = "lightning.pytorch.callbacks.LearningRateFinder"
FIT = ["fit", *TINY, "--trainer.max_epochs", "2", "--trainer.precision", "32-true"]
ONE_CYCLE = ["--model.lr_scheduler", "torch.optim.lr_scheduler.OneCycleLR", "--model.lr_scheduler.max_lr", "0.1"]
ONE_CYCLE += ["--model.lr_scheduler.total_steps", "99"]
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_steepest_fall_is_found_and_noise_is_none():
    rates = np.geomspace(1e-6, 1, 100)
    noise = np.random.default_rng(0).normal(0, 0.02, 100)
    falls = 2 - 1 / (1 + np.exp(-4 * (np.log10(rates) + 3))) + np.where(rates > 0.03, 50 * (rates - 0.03), 0)
    found = RateCurve(rates.tolist(), (falls + noise).tolist()).suggestion()
    assert found == pytest.approx(1e-3, rel=0.5)
    assert RateCurve(rates.tolist(), (2 + 0.1 * noise).tolist()).suggestion() is None
    assert RateCurve(rates.tolist(), (2 + rates).tolist()).suggestion() is None
    assert RateCurve([1e-6, 1e-5], [2.0, 1.0]).suggestion() is None


@pytest.mark.slow
def test_fit_trains_with_what_it_finds_as_if_it_had_been_given(drawn, workdir, capsys):
    data = ["--data.root", drawn]
    run_here(*FIT, *data, "--name", "found", "--lr_find", "true", cwd=workdir)
    said = capsys.readouterr().out
    config = yaml.safe_load((workdir / "runs/found/config.yaml").read_text())
    rate = config["model"]["optimizer"]["init_args"]["lr"]
    assert f"Rate   {rate:g}, where the loss fell most steeply in " in said
    assert 1e-4 < rate < 0.1
    assert rate != 0.001
    assert config["lr_find"] is False
    assert Image.open(workdir / "runs/found/learning_rate.png").size == (768, 480)
    assert not list(workdir.rglob(".lr_find*"))
    run_here(*FIT, *data, "--name", "given", "--model.optimizer.lr", str(rate), cwd=workdir)
    assert same(weights(workdir / "runs/found"), weights(workdir / "runs/given"))
    run_here(
        *FIT,
        *data,
        "--name",
        "named",
        "--trainer.callbacks+",
        FINDER,
        "--trainer.callbacks.min_lr",
        "1e-6",
        cwd=workdir,
    )
    named = yaml.safe_load((workdir / "runs/named/config.yaml").read_text())
    assert named["model"]["optimizer"]["init_args"]["lr"] == rate
    assert named["trainer"]["callbacks"] is None
    assert same(weights(workdir / "runs/found"), weights(workdir / "runs/named"))
    capsys.readouterr()
    again = ["--name", "found", "--ckpt_path", "last", "--lr_find", "true", "--trainer.max_epochs", "3"]
    run_here("fit", *again, cwd=workdir)
    said = capsys.readouterr().out
    assert "Note   The learning rate is not searched again" in said
    assert "Rate " not in said
    state = torch.load(workdir / "runs/found/checkpoints/last.ckpt", weights_only=True)
    assert state["optimizer_states"][0]["param_groups"][0]["lr"] == rate
    assert state["epoch"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [*ONE_CYCLE, "--lr_find", "true"],
            "OneCycleLR has learning rates of its own",
        ),
        (["--lr_find", "true", "--trainer.devices", "2", "--trainer.accelerator", "cpu"], "searched on one device"),
        (["--lr_find", "true", "--model.optimizer.lr", "0"], "searched for optimizers that have one above 0"),
        (["--trainer.callbacks", "lightning.pytorch.callbacks.BatchSizeFinder"], "BatchSizeFinder is not supported"),
    ],
)
def test_where_it_does_not_apply_is_one_message_before_anything_is_moved(drawn, workdir, capsys, words, message):
    with pytest.raises(SystemExit, match="2"):
        run_here(*FIT, "--data.root", drawn, *words, cwd=workdir)
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not (workdir / "runs").exists()


@pytest.mark.slow
def test_it_goes_with_muon_an_average_a_schedule_and_sizes_that_grow(drawn, workdir, capsys):
    words = ["--config", "ferplus_fast", "--model.network.widths", "[8, 8, 8]", "--data.faces", "whole"]
    words += [
        "--data.split",
        "grouped",
        "--data.soft_labels",
        "false",
        "--data.augmentation.progressive_sizes",
        "[16, 32]",
    ]
    run_here(*FIT, "--data.root", drawn, *words, "--name", "muon", "--lr_find", "true", cwd=workdir)
    config = yaml.safe_load((workdir / "runs/muon/config.yaml").read_text())
    assert config["model"]["optimizer"]["class_path"] == "timm.optim.Muon"
    assert f"Rate   {config['model']['optimizer']['init_args']['lr']:g}, where" in capsys.readouterr().out


def classifier(data: FERDataModule, **options) -> ExpressionClassifier:
    torch.manual_seed(0)
    network = ExpressionCNN(data.num_classes, data.in_channels, data.image_size)
    return ExpressionClassifier(network, data.info, **options)


@pytest.fixture
def data(drawn, workdir):
    data = FERDataModule(str(drawn), image_size=32, batch_size=16, num_workers=0)
    data.prepare("fit")
    return data


@pytest.mark.slow
def test_a_callback_in_python_finds_the_rate_of_schedule_and_groups(data, workdir, capsys):
    options = {"lr_scheduler": WarmupCosine, "fine_tuning": FineTuning(layer_decay=0.5)}
    model, finder = classifier(data, **options), LearningRateFinder(min_lr=1e-6, num_training_steps=60)
    trainer = Trainer(max_epochs=1, callbacks=[finder], **QUIET)
    trainer.fit(model, data)
    rate = model.lr
    assert f"Rate   {rate:g}" in capsys.readouterr().out
    assert finder.optimal_lr.suggestion() == rate
    groups = trainer.optimizers[0].param_groups
    assert [group["initial_lr"] for group in groups] == pytest.approx([rate * 0.5**n for n in range(len(groups))][::-1])
    given = classifier(data, **options)
    given.lr = rate
    Trainer(max_epochs=1, **QUIET).fit(given, data)
    assert same(model.state_dict(), given.state_dict())
    trainer.save_checkpoint("here.ckpt")
    finder.optimal_lr = None
    again = classifier(data, **options)
    resumed = Trainer(max_epochs=2, callbacks=[LearningRateFinder()], **QUIET)
    resumed.fit(again, data, ckpt_path="here.ckpt", weights_only=True)
    assert again.lr is None
    assert resumed.optimizers[0].param_groups[-1]["initial_lr"] == pytest.approx(rate)


def test_the_tuner_leaves_all_as_it_was_but_for_the_rate(data, workdir):
    model = classifier(data, loss=CrossEntropy(logit_adjustment=0.5), ema_decay=0.9)
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    tuned = Trainer(max_epochs=20, default_root_dir=workdir, **QUIET)  # Lightning's search ends with the epochs
    finder = Tuner(tuned).lr_find(model, datamodule=data, min_lr=1e-6)
    assert same(before, model.state_dict())
    assert torch.equal(random, torch.get_rng_state())
    assert model.lr == finder.suggestion()
    assert not list(workdir.glob(".lr_find*"))
    assert 1e-6 < model.lr < 1
    trainer = Trainer(max_epochs=1, **QUIET)
    trainer.fit(model, data)
    assert trainer.optimizers[0].param_groups[0]["lr"] == model.lr
    given = classifier(data, loss=CrossEntropy(logit_adjustment=0.5), ema_decay=0.9)
    given.lr = model.lr
    Trainer(max_epochs=1, **QUIET).fit(given, data)
    assert same(model.state_dict(), given.state_dict())


def test_the_tuners_batch_size_is_refused(data, workdir):
    with pytest.raises(FERError, match="BatchSizeFinder is not supported"):
        Tuner(Trainer(max_epochs=1, **QUIET)).scale_batch_size(classifier(data), datamodule=data)
    assert data.batch_size == 16
