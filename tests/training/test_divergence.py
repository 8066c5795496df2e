"""A training that leaves the finite numbers stops with a message, and no checkpoint holds what is not finite."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from fer_lightning import DataInfo, ExpressionClassifier, FERDataModule, InputSpec
from fer_lightning.networks import ExpressionCNN
from fer_lightning.training.divergence import DivergedError, first_not_finite
from tests.conftest import PROJECT, TINY, run, run_here


@pytest.mark.parametrize(
    "options",
    [
        ("--model.optimizer.lr", "1e6"),
        ("--model.optimizer.lr", "1e30", "--model.ema_decay", "0.9"),
        ("--model.optimizer.lr", "1e30", "--trainer.accumulate_grad_batches", "2", "--trainer.precision", "32-true"),
    ],
)
def test_status_message_and_no_checkpoint_that_is_not_finite(drawn, tmp_path, capsys, options):
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "3", *options, cwd=tmp_path)
    said = capsys.readouterr()
    assert "The training diverged: the " in said.err
    assert "not finite, in epoch 0, step " in said.err
    assert "a lower --model.optimizer.lr" in said.err
    assert "Best" not in said.out
    assert [*tmp_path.glob("runs/*/checkpoints/*.ckpt")] == []


def test_the_last_finite_checkpoint_stays_and_goes_on_with_a_lower_rate(drawn, tmp_path, capsys):
    fit = ["fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "1"]
    run_here(*fit, cwd=tmp_path)
    last = tmp_path / "runs/default/checkpoints/last.ckpt"
    before = last.read_bytes()
    more = ["fit", "--ckpt_path", "last", "--trainer.max_epochs", "2", "--model.optimizer.lr"]
    with pytest.raises(SystemExit, match="2"):
        run_here(*more, "1e30", cwd=tmp_path)
    assert "The last checkpoint that is finite is runs/default/checkpoints/last.ckpt" in capsys.readouterr().err
    assert last.read_bytes() == before
    run_here(*more, "0.001", cwd=tmp_path)
    assert torch.load(last, weights_only=True)["epoch"] == 1


def test_neither_a_loss_of_nan_nor_of_a_later_batch_is_passed_over(drawn, tmp_path):
    class Late(torch.nn.Module):
        calls = 0

        def forward(self, logits, targets):
            self.calls += 1
            return logits.sum() * (torch.nan if self.calls == 5 else 1)

    model = ExpressionClassifier(
        ExpressionCNN(image_size=32, in_channels=1), DataInfo(input_spec=InputSpec(32, "gray")), loss=Late()
    )
    trainer = Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        callbacks=[ModelCheckpoint(tmp_path / "kept", every_n_train_steps=1, save_top_k=-1)],
    )
    data = FERDataModule(root=drawn, image_size=32, batch_size=16, num_workers=0, prepared_dir=tmp_path)
    with pytest.raises(DivergedError, match="the loss is not finite, in epoch 0, step 4"):
        trainer.fit(model, data)
    assert len([*(tmp_path / "kept").iterdir()]) == 4


def test_a_checkpoint_with_nan_is_refused_before_anything_is_written(drawn, tmp_path, capsys):
    run_here("fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "1", cwd=tmp_path)
    checkpoint = torch.load(tmp_path / "runs/default/checkpoints/last.ckpt", weights_only=True)
    checkpoint["state_dict"]["model.network.features.0.weight"][0] = torch.nan
    torch.save(checkpoint, tmp_path / "nan.ckpt")
    for verb in ("fit", "test"):
        with pytest.raises(SystemExit, match="2"):
            run_here(verb, "--ckpt_path", "nan.ckpt", "--name", "new", cwd=tmp_path)
        assert "NaN or infinite" in capsys.readouterr().err
    assert not (tmp_path / "runs/new").exists()


def test_a_mask_may_hold_minus_infinity_and_weights_may_not():
    low = torch.tensor([0.0, -torch.inf])
    assert first_not_finite({"a.attn_mask": low, "b": torch.ones(2)}) == ""
    assert first_not_finite({"a.attn_mask": -low}) == "a.attn_mask"
    assert first_not_finite({"a.weight": low}) == "a.weight"
    assert first_not_finite({"n": torch.tensor([1])}) == ""


@pytest.mark.slow
def test_all_processes_stop(drawn, tmp_path):
    two = ["--config", str(PROJECT / "configs/overlays/ddp.yaml"), "--trainer.accelerator", "cpu"]
    words = ["--data.root", drawn, *TINY, *two, "--model.optimizer.lr", "1e30", "--trainer.max_epochs", "50"]
    done = run("fit", *words, cwd=tmp_path, timeout=120)
    assert done.returncode == 2
    assert done.stderr.count("error: The training diverged: the loss is not finite") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_what_is_on_the_cpu_beside_a_gpu_is_looked_at_too():
    state = {"moment": torch.zeros(2, device="cuda"), "step": torch.tensor(1.0)}
    assert first_not_finite(state) == ""
    assert first_not_finite(state | {"step": torch.tensor(torch.nan)}) == "step"
    assert first_not_finite(state | {"moment": torch.tensor(torch.nan, device="cuda")}) == "moment"
