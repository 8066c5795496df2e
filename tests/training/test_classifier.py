"""The LightningModule with a Trainer in Python, with our data and with anybody's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from fer_lightning import (
    DataInfo,
    ExpressionClassifier,
    ExpressionCNN,
    ExpressionRecognizer,
    FERDataModule,
    FERError,
    InputSpec,
)
from fer_lightning.checkpoints.reading import load_model
from fer_lightning.data.data_info import TrainingData
from fer_lightning.training.losses import CrossEntropy

NAMES = ("anger", "fear", "jolly")
GRAY = InputSpec(24, "gray")


def small(**options) -> ExpressionClassifier:
    torch.manual_seed(0)
    return ExpressionClassifier(ExpressionCNN(3, 1, 24, hidden=16), DataInfo(NAMES, GRAY), **options)


def quiet(tmp_path, **options) -> Trainer:
    settings = {"max_epochs": 1, "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", default_root_dir=tmp_path, **settings | options)


def test_optimizer_and_scheduler_are_callables_and_frozen_weights_stay_out():
    model = small(
        optimizer=partial(torch.optim.SGD, lr=0.5),
        lr_scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=2),
    )
    model.trained_network.features.requires_grad_(False)
    found = model.configure_optimizers()
    assert len(found["optimizer"].param_groups[0]["params"]) == 4
    assert found["optimizer"].param_groups[0]["lr"] == 0.5
    assert found["lr_scheduler"]["interval"] == "epoch"
    assert isinstance(small().configure_optimizers(), torch.optim.Adam)


def data_of(drawn, tmp_path, **options) -> FERDataModule:
    small = {"prepared_dir": str(tmp_path / "trees"), "image_size": 24, "color": "rgb", "batch_size": 16}
    return FERDataModule(str(drawn), num_workers=0, **small, **options)


@pytest.fixture
def data(drawn, tmp_path) -> FERDataModule:
    return data_of(drawn, tmp_path)


def fitted(data: FERDataModule, tmp_path) -> tuple[ExpressionClassifier, Trainer]:
    torch.manual_seed(0)
    model = ExpressionClassifier(ExpressionCNN(8, 3, 24, hidden=16), data.info)
    trainer = quiet(tmp_path)
    trainer.fit(model, data)
    return model, trainer


def test_what_is_trained_in_python_is_saved_with_all_that_is_needed_to_use_it(data, drawn, tmp_path):
    classifier, trainer = fitted(data, tmp_path)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    checkpoint = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert checkpoint["fer_lightning"]["class_names"] == list(data.class_names)
    assert checkpoint["fer_lightning"]["input_spec"] == data.input_spec.to_dict()
    image = sorted((drawn / "images").iterdir())[0]
    answers = [ExpressionRecognizer(model).predict(image) for model in (classifier.model, tmp_path / "x.ckpt")]
    assert answers[0].faces[0].probabilities == pytest.approx(answers[1].faces[0].probabilities, abs=1e-6)
    parts = {"network": ExpressionCNN(8, 3, 24, hidden=16), "data": data.info}
    loaded = ExpressionClassifier.load_from_checkpoint(tmp_path / "x.ckpt", **parts)
    assert loaded.model.settings() == classifier.model.settings()
    images = torch.randint(0, 256, (5, 3, 24, 24), dtype=torch.uint8)
    torch.testing.assert_close(loaded.eval()(images), classifier.eval()(images))


def loader(count: int = 60, dtype: torch.dtype = torch.uint8, batch_size: int = 10) -> DataLoader:
    """A loader as anybody's: bright images are jolly, dark ones anger."""
    labels = torch.arange(count) % 3
    generator = torch.Generator().manual_seed(0)
    images = (labels.view(-1, 1, 1, 1) * 80 + torch.rand(count, 1, 24, 24, generator=generator) * 60).to(dtype)
    return DataLoader(TensorDataset(images, labels), batch_size=batch_size)


class Plain(LightningDataModule):
    def train_dataloader(self):
        return loader()

    def val_dataloader(self):
        return loader(30)

    test_dataloader = predict_dataloader = val_dataloader


@pytest.mark.parametrize("as_module", [True, False])
def test_plain_loaders_of_images_and_labels_train_test_and_predict(tmp_path, as_module):
    model, trainer = small(optimizer=partial(torch.optim.Adam, lr=0.01)), quiet(tmp_path, max_epochs=5)
    if as_module:
        trainer.fit(model, datamodule=Plain())
        tested, predicted = trainer.test(model, Plain(), verbose=False), trainer.predict(model, Plain())
    else:
        trainer.fit(model, loader(), loader(30))
        tested = trainer.test(model, loader(30), verbose=False)
        predicted = trainer.predict(model, DataLoader(loader(30).dataset.tensors[0], 10))  # images alone
    assert tested[0]["test_acc"] == 1
    probabilities = torch.cat(predicted)
    assert probabilities.shape == (30, 3)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(30))
    assert (probabilities.argmax(1) == torch.arange(30) % 3).all()
    trainer.save_checkpoint(tmp_path / "plain.ckpt")
    images = loader(30).dataset.tensors[0]
    torch.testing.assert_close(load_model(tmp_path / "plain.ckpt").probabilities(images), probabilities)


def test_images_whose_range_nobody_knows_are_refused(tmp_path):
    floats = loader(dtype=torch.float32)
    with pytest.raises(FERError, match=r"uint8 \(n, channels, h, w\), such as torchvision.transforms.PILToTensor"):
        quiet(tmp_path).fit(small(), floats, loader(30))


def test_the_testing_subset_is_predicted_in_its_order(data, tmp_path):
    model, trainer = fitted(data, tmp_path)
    predicted = torch.cat(trainer.predict(model, data))
    labels = torch.cat([labels for _, labels, *_ in data.test_dataloader()])
    accuracy = (predicted.argmax(1) == labels).float().mean()
    assert trainer.test(model, data, verbose=False)[0]["test_acc"] == pytest.approx(accuracy.item())


class Somebodys(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.network = ExpressionCNN(8, 3, 24, hidden=4)

    def training_step(self, batch, batch_idx):
        images, labels, *_ = batch
        return nn.functional.cross_entropy(self.network(images / 255), labels)

    validation_step = training_step

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


def test_our_data_train_somebodys_module(data, tmp_path):
    module, trainer = Somebodys(), quiet(tmp_path, limit_train_batches=3)
    before = [value.clone() for value in module.parameters()]
    trainer.fit(module, data)
    assert trainer.global_step == 3
    assert not all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_any_module_is_a_loss_and_what_it_teaches_is_unknown(tmp_path):
    for loss, known in ((nn.CrossEntropyLoss(label_smoothing=0.1), False), (CrossEntropy(), True), (None, True)):
        classifier = small(loss=loss)
        classifier.data_info = DataInfo(NAMES, GRAY, replace(TrainingData(), target_prior=(0.2, 0.3, 0.5)))
        quiet(tmp_path).fit(classifier, loader(), loader(30))
        assert bool(classifier.model.learned_prior) == known
    with pytest.raises(FERError, match="class_prior needs a model that knows"):
        quiet(tmp_path).fit(small(loss=nn.CrossEntropyLoss(), class_prior="uniform"), loader(), loader(30))


def test_metric_names_and_test_equals_validation_on_the_same_images(drawn, tmp_path):
    data = data_of(drawn, tmp_path, val_fraction=0)
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


def test_another_input_or_network_is_refused_on_load(data, tmp_path):
    _, trainer = fitted(data, tmp_path)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    load = partial(ExpressionClassifier.load_from_checkpoint, tmp_path / "x.ckpt")
    with pytest.raises(FERError, match="another input specification"):
        load(network=ExpressionCNN(8, 3, 30, hidden=16), data=DataInfo(data.class_names, InputSpec(30, "rgb")))
    with pytest.raises(FERError, match="other class names"):
        load(network=ExpressionCNN(8, 3, 24, hidden=16), data=DataInfo(tuple("abcdefgh"), data.input_spec))
    with pytest.raises(FERError, match=r"another network than ExpressionCNN: '.*' is \(16.*\) in the checkpoint, \(32"):
        load(network=ExpressionCNN(8, 3, 24, hidden=32), data=data.info)
