"""What single options of a recipe change, seen in two steps of training."""

from __future__ import annotations

import csv
import json

import pytest
import torch

from tests.conftest import TINY, run_here

pytestmark = pytest.mark.slow


def briefly(drawn, tmp_path, name, *words):
    """Two steps on the synthetic faces; the last checkpoint's weights and the row of the epoch."""
    fit = ["fit", "--name", name, "--data.root", drawn, *TINY, "--trainer.precision", "32-true"]
    fit += ["--model.network.init_args.hidden", "16", "--model.optimizer", "SGD", "--model.optimizer.lr", "0"]
    run_here(*fit, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", *words, cwd=tmp_path)
    saved = torch.load(tmp_path / "runs" / name / "checkpoints/last.ckpt", weights_only=True)
    (row,) = csv.DictReader((tmp_path / "runs" / name / "metrics.csv").open())
    return saved["state_dict"], row


def test_averaged_weights_are_what_is_validated_and_kept(drawn, tmp_path):
    """The average is the weights after the first step, then moves towards those after the second."""
    rate = ["--model.optimizer.lr", "0.1"]
    first, _ = briefly(drawn, tmp_path, "first", *rate, "--trainer.limit_train_batches", "1")
    second, plain = briefly(drawn, tmp_path, "second", *rate)
    both, averaged = briefly(drawn, tmp_path, "both", *rate, "--model.ema_decay", "0.1")
    name = "classifier.1.weight"
    assert torch.equal(both[f"trained.{name}"], second[f"model.network.{name}"])
    expected = first[f"model.network.{name}"] * 0.1 + second[f"model.network.{name}"] * 0.9
    torch.testing.assert_close(both[f"model.network.{name}"], expected, rtol=1e-5, atol=1e-7)
    assert averaged["train_loss"] == plain["train_loss"]
    assert averaged["val_loss"] != plain["val_loss"]
    run_here("validate", "--name", "both", "--ckpt_path", "last", cwd=tmp_path)
    found = json.loads((tmp_path / "runs/both/validate/metrics.json").read_text())
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(float(averaged["val_acc"]), abs=1e-6)


def test_only_training_images_are_augmented(drawn, tmp_path):
    """Without learning, augmentation shows in the training loss and must not in the validation loss."""
    _, plain = briefly(drawn, tmp_path, "plain")
    strong = ["--data.augmentation.brightness", "1", "--data.augmentation.erasing", "1"]
    _, augmented = briefly(drawn, tmp_path, "augmented", *strong)
    assert augmented["train_loss"] != plain["train_loss"]
    assert augmented["val_loss"] == plain["val_loss"]
    _, mixed = briefly(drawn, tmp_path, "mixed", "--data.augmentation.mixup", "0.4")
    assert mixed["train_loss"] != plain["train_loss"]
    assert mixed["val_loss"] == plain["val_loss"]


def test_the_loss_of_the_command_line_knows_the_class_frequencies(drawn, tmp_path):
    """Synthetic faces have equal frequencies, so the adjustment does nothing; a legend without some is another case."""
    rows = (drawn / "legend.csv").read_text().splitlines()
    kept = [row for number, row in enumerate(rows) if not row.endswith(",fear") or number % 3 == 0]
    (tmp_path / "legend.csv").write_text("\n".join(kept) + "\n")
    uneven = ["--data.legend", "legend.csv", "--data.images", drawn / "images"]
    _, plain = briefly(drawn, tmp_path, "plain", *uneven)
    for option in (["--model.loss.logit_adjustment", "1"], ["--model.loss", "WeightedCrossEntropy"]):
        _, adjusted = briefly(drawn, tmp_path, "adjusted", *uneven, *option)
        assert adjusted["train_loss"] != plain["train_loss"]
        assert adjusted["val_loss"] == plain["val_loss"]


def test_a_network_of_one_size_cannot_be_shown_small_images(drawn, tmp_path, capsys):
    words = ["fit", "--data.root", drawn, *TINY, "--data.augmentation.progressive_sizes", "[8, 12]"]
    words += ["--trainer.max_epochs", "2"]
    with pytest.raises(SystemExit):
        run_here(*words, cwd=tmp_path)
    assert "cannot take a batch of shape (1, 1, 8, 8)" in capsys.readouterr().err
    any_size = ["--model.network", "CompactResNet", "--trainer.limit_train_batches", "2"]
    run_here(*words, *any_size, cwd=tmp_path)
    assert len(list(csv.DictReader((tmp_path / "runs/default/metrics.csv").open()))) == 2
