"""Files that version 0.1.0 wrote answer as they did with it."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pytest
import torch
import yaml

from fer_lightning import ExpressionRecognizer
from fer_lightning.checkpoints.reading import read_checkpoint
from fer_lightning.inference.model import info_of_file, trained_prior
from tests.conftest import run_here

FORMAT1 = Path(__file__).parent / "format1"
FILES = ("a.onnx", "a.pt2", "a.safetensors", "best.ckpt", "plain.ckpt")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("format1")
    zipfile.ZipFile(FORMAT1 / "files.zip").extractall(folder)
    return {name: folder / name for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_the_rows_are_those_of_the_version_that_wrote_it(name, files, drawn):
    with open(FORMAT1 / f"{name}.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    recognizer = ExpressionRecognizer(files[name], faces="whole", workers=0, device="cpu")
    found = recognizer.predict([drawn / "images" / row["source"] for row in rows])
    assert len(rows) == 6
    for row, answer in zip(rows, found, strict=True):
        (face,) = answer.faces
        assert face.label == row["label"]
        expected = {label: float(row[label]) for label in face.probabilities}
        assert face.probabilities == pytest.approx(expected, abs=1e-5)


def test_what_they_say_is_understood(files):
    info, _ = read_checkpoint(files["best.ckpt"])
    assert info.network["class_path"].endswith("CompactResNet")
    assert (info.tta_flip, info.class_prior, info.input_spec.color) == (True, "uniform", "gray")
    assert info.training.license == "CC0"
    assert sum(info.training.class_counts) == 144
    for name in ("a.onnx", "a.pt2", "a.safetensors"):
        said = info_of_file(files[name])
        assert trained_prior(said) == trained_prior(info) == [1 / 8] * 8
        assert said.temperature == pytest.approx(info.temperature)
        assert said.training.license == "CC0"
        assert len(said.risk_curve) == len(info.risk_curve) > 5
    plain = info_of_file(files["plain.ckpt"])
    assert plain.network["class_path"].endswith("ExpressionCNN")
    assert (plain.tta_flip, plain.class_prior) == (False, "training")


def test_a_run_goes_on(files, drawn, tmp_path):
    """Optimizer, schedule, averaged weights, table and early stopping are taken up where they were."""
    before = torch.load(files["best.ckpt"], weights_only=True)
    rows = before["callbacks"]["EpochTable"]["rows"]
    words = ["--data.root", drawn, "--name", "again", "--trainer.max_epochs", str(before["epoch"] + 3)]
    run_here("fit", "--ckpt_path", files["best.ckpt"], *words, cwd=tmp_path)
    table = list(csv.DictReader((tmp_path / "runs/again/metrics.csv").open()))
    assert [int(row["epoch"]) for row in table] == list(range(before["epoch"] + 3))
    assert [float(row["val_loss"]) for row in table[: len(rows)]] == [row["val_loss"] for row in rows]
    after = torch.load(tmp_path / "runs/again/checkpoints/last.ckpt", weights_only=True)
    assert after["global_step"] == before["global_step"] // len(rows) * len(table)
    assert after["fer_lightning"]["format"] == 2
    assert {"model.temperature", "model.network.head.3.weight", "trained.head.3.weight"} <= set(after["state_dict"])
    config = yaml.safe_load((tmp_path / "runs/again/config.yaml").read_text())
    assert config["model"]["lr_scheduler"]["class_path"].endswith("WarmupCosine")
    assert config["data"]["augmentation"]["init_args"]["mixup"] == 0.2
    assert config["data"]["sampling"]["init_args"]["strength"] == 0.5
