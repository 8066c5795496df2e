"""Options of Lightning's that meet ours: limits, gradient clipping, what is monitored."""

from __future__ import annotations

import csv
import signal

import pytest
import torch
import yaml
from lightning.pytorch import Trainer

from fer_lightning import DataInfo, ExpressionClassifier, FERDataModule, InputSpec
from fer_lightning.networks import ExpressionCNN
from fer_lightning.training.schedules import WarmupCosine
from tests.conftest import TINY, flat, run_here

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_of_a_fused_optimiser_are_clipped(drawn, tmp_path, algorithm):
    network = ExpressionCNN(image_size=32, in_channels=1)
    before = [value.clone() for value in network.parameters()]
    model = ExpressionClassifier(
        network,
        DataInfo(input_spec=InputSpec(32, "gray")),
        optimizer=lambda groups: torch.optim.SGD(groups, 1.0, fused=True),
    )
    trainer = Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        precision="bf16-mixed",
        max_steps=1,
        gradient_clip_val=1e-3,
        gradient_clip_algorithm=algorithm,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(model, FERDataModule(root=drawn, image_size=32, num_workers=0, prepared_dir=tmp_path))
    moved = torch.cat([(value - old).flatten() for value, old in zip(network.parameters(), before, strict=True)])
    if algorithm == "norm":
        assert float(moved.detach().norm()) == pytest.approx(1e-3, rel=0.01)
    else:
        assert float(moved.detach().abs().max()) == pytest.approx(1e-3, rel=0.01)


def test_a_loss_is_followed_downwards(drawn, tmp_path, capsys):
    followed = ("--checkpoint_best.monitor", "val_loss", "--early_stopping.monitor", "val_loss")
    limits = ("--early_stopping.patience", "0", "--trainer.max_epochs", "3", "--model.optimizer.lr", "0.0001")
    run_here("fit", "--data.root", drawn, *TINY, *followed, *limits, cwd=tmp_path)
    run = tmp_path / "runs" / "default"
    losses = [float(row["val_loss"]) for row in csv.DictReader((run / "metrics.csv").open())]
    assert len(losses) == 3  # no patience, and always better
    assert losses == sorted(losses, reverse=True)
    assert torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == 2
    assert yaml.safe_load((run / "config.yaml").read_text())["early_stopping"]["mode"] == "min"
    assert "always answering" not in capsys.readouterr().out  # that would be an accuracy


def test_a_training_may_end_within_its_first_epoch(drawn, tmp_path, capsys):
    run_here("fit", "--data.root", drawn, *TINY, "--trainer.max_steps", "2", cwd=tmp_path)
    said = capsys.readouterr()
    assert "Best   none: the training ended before there was a val_acc" in said.out
    assert "HINT" not in said.err
    assert [path.name for path in (tmp_path / "runs/default/checkpoints").iterdir()] == ["last.ckpt"]


def test_the_cosine_ends_with_the_last_step_whatever_sets_it(drawn, tmp_path):
    network = ExpressionCNN(image_size=32, in_channels=1)
    model = ExpressionClassifier(network, DataInfo(input_spec=InputSpec(32, "gray")), lr_scheduler=WarmupCosine)
    trainer = Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        max_steps=4,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(model, FERDataModule(root=drawn, image_size=32, num_workers=0, prepared_dir=tmp_path))
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--trainer.max_epochs", "1"), "all that were asked for."),
        (("--trainer.max_steps", "12"), "stopped after 12 steps, as --trainer.max_steps 12 asks."),
        (("--trainer.max_time", "00:00:00:00"), "stopped early, as --trainer.max_time was over."),
        (("--early_stopping.stopping_threshold", "0.01"), "stopped early, as val_acc had come to 0.01."),
        (
            ("--early_stopping.patience", "1", "--early_stopping.min_delta", "1"),
            "stopped early, as val_acc had not improved for 1 epoch.",
        ),
    ],
)
def test_the_reason_why_it_ended_is_the_true_one(drawn, tmp_path, capsys, options, reason):
    run_here("fit", "--data.root", drawn, *TINY, *options, cwd=tmp_path)
    assert reason in flat(capsys.readouterr().out)


def test_after_an_exception_the_run_and_the_signals_are_free(drawn, tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGUSR1)
    fit = ["fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(ExpressionClassifier, "training_step", lambda self, batch, batch_idx: {}["own"])
        with pytest.raises(KeyError, match="own"):
            run_here(*fit, cwd=tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGUSR1)) == before
    run_here(*fit, cwd=tmp_path)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("logits", "float32 (16, 8)"),
        ("None", "NoneType"),
        ("logits.detach().sum()", "without a gradient"),
        ("1.5", "float"),
    ],
)
def test_a_loss_of_ones_own_that_is_none(drawn, tmp_path, monkeypatch, capsys, code, found):
    module = f"own_loss_{abs(hash(code))}"
    text = (
        f"from torch import nn\nclass Own(nn.Module):\n    def forward(self, logits, targets):\n        return {code}\n"
    )
    (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", "--data.root", drawn, *TINY, "--model.loss", f"{module}.Own", cwd=tmp_path)
    said = capsys.readouterr().err
    assert f"--model.loss {module}.Own: expected a float scalar tensor" in said
    assert found in said
