from __future__ import annotations

from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from fer_lightning import ExpressionClassifier, ExpressionCNN, FERDataModule, FERError, InputSpec

NAMES = ("anger", "fear", "joy")


def small(size: int = 24, **options) -> ExpressionClassifier:
    torch.manual_seed(0)
    contract = InputSpec(size, mean=(0.2,), std=(0.3,))
    return ExpressionClassifier(ExpressionCNN(3, 3, size, hidden=16), NAMES, contract, **options)


def test_forward_normalises_uint8():
    model = small()
    images = torch.randint(0, 256, (5, 3, 24, 24), dtype=torch.uint8)
    torch.testing.assert_close(model(images), model.network((images / 255 - 0.2) / 0.3))


def test_a_network_that_does_not_fit_is_refused():
    with pytest.raises(
        FERError, match=r"Expected an output of shape \(1, 3\) for anger, fear, joy. Received: \(1, 8\)"
    ):
        ExpressionClassifier(ExpressionCNN(8, 3, 24), NAMES, InputSpec(24))
    with pytest.raises(FERError, match=r"cannot take a batch of shape \(1, 3, 30, 30\)"):
        ExpressionClassifier(ExpressionCNN(3, 3, 24), NAMES, InputSpec(30))


def test_optimizer_and_scheduler_are_callables_and_frozen_weights_stay_out():
    model = small(
        optimizer=partial(torch.optim.SGD, lr=0.5),
        lr_scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=2),
        lr_interval="step",
    )
    model.network.features.requires_grad_(False)
    found = model.configure_optimizers()
    assert len(found["optimizer"].param_groups[0]["params"]) == 4
    assert found["optimizer"].param_groups[0]["lr"] == 0.5
    assert found["lr_scheduler"]["interval"] == "step"
    assert isinstance(small().configure_optimizers(), torch.optim.Adam)


@pytest.fixture
def data(drawn, tmp_path) -> FERDataModule:
    return FERDataModule(
        str(drawn), tree_dir=str(tmp_path / "trees"), image_size=24, color="rgb", num_workers=0, batch_size=16
    )


def fitted(data: FERDataModule, tmp_path, **options) -> tuple[ExpressionClassifier, Trainer]:
    torch.manual_seed(0)
    model = ExpressionClassifier(ExpressionCNN(8, 3, 24, hidden=16), data.class_names, data.preprocessing)
    settings = {"max_epochs": 1, "logger": False, "enable_progress_bar": False, "default_root_dir": tmp_path} | options
    trainer = Trainer(accelerator="cpu", **settings)
    trainer.fit(model, data)
    return model, trainer


def test_the_python_way_saves_and_loads_without_running_code(data, tmp_path):
    model, trainer = fitted(data, tmp_path)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    checkpoint = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert checkpoint["fer_lightning"]["class_names"] == list(data.class_names)
    assert checkpoint["fer_lightning"]["preprocessing"] == data.preprocessing.as_dict()
    loaded = ExpressionClassifier.load_from_checkpoint(tmp_path / "x.ckpt", network=ExpressionCNN(8, 3, 24, hidden=16))
    assert loaded.preprocessing == data.preprocessing
    images = torch.randint(0, 256, (5, 3, 24, 24), dtype=torch.uint8)
    torch.testing.assert_close(loaded(images), model(images))


def test_metric_names_and_test_equals_validation_on_the_same_images(data, tmp_path):
    data.val_fraction = 0
    model, trainer = fitted(data, tmp_path)
    validated = trainer.validate(model, data, verbose=False)[0]
    tested = trainer.test(model, data, verbose=False)[0]
    assert set(tested) == {"test_loss", "test_acc", "test_balanced_acc", "test_macro_f1"}
    assert {name.removeprefix("test_"): value for name, value in tested.items()} == {
        name.removeprefix("val_"): value for name, value in validated.items()
    }
    labels = torch.cat([labels for _, labels, *_ in data.test_dataloader()])
    with torch.no_grad():
        logits = torch.cat([model.eval()(images) for images, *_ in data.test_dataloader()])
    assert tested["test_loss"] == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), abs=1e-5)
    assert tested["test_acc"] == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_another_contract_or_network_is_refused_on_load(data, tmp_path):
    _, trainer = fitted(data, tmp_path)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    load = partial(ExpressionClassifier.load_from_checkpoint, tmp_path / "x.ckpt")
    with pytest.raises(FERError, match="other preprocessing"):
        load(network=ExpressionCNN(8, 3, 30, hidden=16), preprocessing=InputSpec(30))
    with pytest.raises(FERError, match="other class names"):
        load(network=ExpressionCNN(8, 3, 24, hidden=16), class_names=list("abcdefgh"))
    with pytest.raises(FERError, match=r"another network than ExpressionCNN: '.*' is \(16.*\) in the checkpoint, \(32"):
        load(network=ExpressionCNN(8, 3, 24, hidden=32))
