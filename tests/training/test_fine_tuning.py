"""What is held back of a network in training."""

from __future__ import annotations

import pytest
import torch

from fer_lightning.data.data_info import DataInfo
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.networks import CompactResNet, TorchvisionModel
from fer_lightning.training.classifier import ExpressionClassifier
from fer_lightning.training.fine_tuning import FineTuning, parts
from tests.conftest import TINY, run_here


def small(fine_tuning: FineTuning = FineTuning()) -> ExpressionClassifier:  # noqa: B008 (frozen)
    network, data = CompactResNet(2, 1, 16, 4, (8, 8), (1, 1)), DataInfo(("a", "b"), InputSpec(16, "gray"))
    return ExpressionClassifier(
        network, data, optimizer=lambda groups: torch.optim.SGD(groups, lr=1.0), fine_tuning=fine_tuning
    )


def test_what_is_frozen_does_not_change_and_the_rest_learns(drawn, tmp_path):
    words = ["--model.network", "CompactResNet", "--model.network.widths", "[8, 8]", "--model.network.blocks", "[1, 1]"]
    words += ["--data.root", drawn, *TINY, "--trainer.limit_train_batches", "3"]
    frozen = ["--model.fine_tuning.freeze", "[stem, stages.0]"]
    for name, more in (("longer", [*frozen, "--trainer.max_epochs", "2"]), ("frozen", frozen), ("free", [])):
        run_here("fit", *words, "--trainer.max_epochs", "1", *more, "--name", name, cwd=tmp_path)
    longer, held, free = (
        torch.load(tmp_path / "runs" / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("longer", "frozen", "free")
    )
    for name, value in longer.items():
        if name.startswith(("model.network.stem", "model.network.stages.0")):
            assert torch.equal(value, held[name]), name
            assert "weight" not in name or not torch.equal(value, free[name]), name
    assert not torch.equal(longer["model.network.head.3.weight"], held["model.network.head.3.weight"])
    with pytest.raises(FERError, match=r"nothing in the network starts with 'stm'. Expected stem.0, stem.1, stages.0"):
        small(FineTuning(freeze=["stm"]))
    with pytest.raises(FERError, match="leaves nothing to train"):
        small(FineTuning(freeze=["stem", "stages", "head"]))


def test_layer_decay_gives_each_part_its_fraction_of_the_rate():
    rates = [group["lr"] for group in small(FineTuning(layer_decay=0.5)).configure_optimizers().param_groups]
    assert rates == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0]  # stem.0, stem.1, stages.0, stages.1, head.3
    wrapped = TorchvisionModel("mobilenet_v3_small", num_classes=5, in_channels=1)
    features = [f"model.features.{number}" for number in range(13)]
    assert [*parts(wrapped)] == [*features, "model.classifier.0", "model.classifier.3"]
    (group,) = small().configure_optimizers().param_groups
    assert group["lr"] == 1.0
