"""Exported files answer as the original does, and carry all that is needed to use them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image

from fer_lightning import ExpressionClassifier, ExpressionCNN, FERError, InputSpec
from fer_lightning.checkpoints.reading import load_classifier
from fer_lightning.checkpoints.weights import PRETRAINED, read_weights
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.export.export import _check
from fer_lightning.inference.model import open_model
from tests.conftest import TINY, run_here


@pytest.fixture(scope="module")
def exported(drawn, tmp_path_factory):
    """A run, tested, and its exports."""
    folder = tmp_path_factory.mktemp("formats")
    network = ["--model.network", "CompactResNet", "--model.network.widths", "[8, 16]"]
    network += ["--model.network.blocks", "[1, 1]", "--model.flip_at_test", "true"]
    data = ["--data.root", drawn, "--data.licence", "CC0", "--data.color", "rgb"]
    run_here("fit", *data, *TINY, *network, "--trainer.max_epochs", "2", cwd=folder)
    run_here("test", "--ckpt_path", "best", "--data.num_workers", "0", cwd=folder)
    for name in ("a.onnx", "a.pt2", "a.safetensors"):
        run_here("export", "--ckpt_path", "best", "--output", name, cwd=folder)
    run_here("export", "--ckpt_path", "best", "--output", "int8.onnx", "--quantize", "int8", cwd=folder)
    return folder


def test_every_format_gives_the_same_rows(exported, drawn):
    answers = {}
    for given in ("best", "a.onnx", "a.pt2", "a.safetensors"):
        out = f"{given}.csv"
        words = ["--input", drawn / "images", "--output", out, "--workers", "0"]
        run_here("predict", "--ckpt_path", given, *words, cwd=exported)
        with open(exported / out, newline="") as stream:
            answers[given] = {
                row["source"]: [float(row[name]) for name in EXPRESSIONS] for row in csv.DictReader(stream)
            }
    for given in ("a.onnx", "a.pt2", "a.safetensors"):
        allowed = 0.01 if given.endswith("safetensors") else 1e-5  # half precision
        for source, shares in answers["best"].items():
            assert answers[given][source] == pytest.approx(shares, abs=allowed)


def test_what_is_exported_answers_as_the_test_did(exported):
    """Mirror images, temperature and weights: all that `test` used is in the file."""
    (folder,) = (exported / "master_data").glob("*/testing")
    words = ["--input", folder, "--output", "tested.csv", "--workers", "0"]
    run_here("predict", "--ckpt_path", "a.onnx", *words, cwd=exported)
    with open(exported / "runs/default/test/predictions.csv", newline="") as stream:
        tested = {(row["image"], row["label"]): row for row in csv.DictReader(stream)}
    with open(exported / "tested.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(tested)
    for row in rows:
        place = Path(row["source"])
        twin = tested[place.name, place.parent.name]
        for name in EXPRESSIONS:
            assert float(row[name]) == pytest.approx(float(twin[name]), abs=1e-4)


def test_a_network_made_in_python_is_given_when_its_checkpoint_is_opened(tmp_path):
    network = ExpressionCNN(8, 1, 24, hidden=8)
    model = ExpressionClassifier(network, preprocessing=InputSpec(24, "grey"))
    trainer = Trainer(logger=False, enable_checkpointing=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "made.ckpt", weights_only=True)
    with pytest.raises(FERError, match=r"made.ckpt' does not name its network"):
        load_classifier(tmp_path / "made.ckpt")
    with pytest.raises(FERError, match="are of another network than ExpressionCNN"):
        load_classifier(tmp_path / "made.ckpt", ExpressionCNN(8, 1, 24, hidden=9))
    images = torch.randint(0, 256, (3, 1, 24, 24), dtype=torch.uint8)
    opened = load_classifier(tmp_path / "made.ckpt", ExpressionCNN(8, 1, 24, hidden=8))
    torch.testing.assert_close(opened(images), model.eval()(images))


def test_a_file_of_a_newer_version_is_refused(exported, tmp_path):
    model = onnx.load(exported / "a.onnx")
    (entry,) = [entry for entry in model.metadata_props if entry.key == "fer_lightning"]
    entry.value = json.dumps(json.loads(entry.value) | {"format": 99, "version": "9.9"})
    onnx.save(model, tmp_path / "newer.onnx")
    with pytest.raises(FERError, match=r"newer.onnx' was written by fer_lightning 9.9 in format 99"):
        open_model(tmp_path / "newer.onnx")


def test_an_onnx_file_needs_nothing_of_ours(exported, drawn):
    """Raw photographs of any size go in; only onnxruntime is there."""
    session = onnxruntime.InferenceSession(exported / "a.onnx")
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["class_names"]) == list(EXPRESSIONS)
    assert metadata["licence_of_the_training_data"] == "CC0"
    about = json.loads(metadata["fer_lightning"])
    assert about["preprocessing"]["image_size"] == 32
    assert about["temperature"] > 0
    model = open_model(exported / "a.safetensors", device="cpu")
    for path in sorted((drawn / "images").iterdir())[:5]:
        image = Image.open(path).convert("RGB")
        (found,) = session.run(None, {"image": np.asarray(image)[None]})
        expected = model(model.preprocessing.prepare(image)[None])
        assert torch.from_numpy(found).sub(expected).abs().max() < 0.02  # PIL rounds once more, and half precision


def test_int8_is_smaller_and_says_what_it_costs(exported, capsys):
    assert (exported / "int8.onnx").stat().st_size < (exported / "a.onnx").stat().st_size
    card = (exported / "int8.onnx.md").read_text()
    assert "int8: accuracy on" in card
    plain, quantised = open_model(exported / "a.onnx"), open_model(exported / "int8.onnx")
    pixels = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert 0 < (plain(pixels) - quantised(pixels)).abs().max() < 0.3


def test_a_card_lies_beside_every_file_and_in_the_run(exported, drawn):
    for path in (exported / "a.onnx.md", exported / "a.pt2.md", exported / "runs/default/model_card.md"):
        card = path.read_text()
        metrics = json.loads((exported / "runs/default/test/metrics.json").read_text())["metrics"]
        assert f"| accuracy | {metrics['accuracy']['value']:.3f} (" in card
        assert f" people of {drawn.name}. In brackets: " in card
        for words in ("Licence of these data: CC0.", "neutral", "Barrett", "Art. 5(1)(f)", "image_size: 32"):
            assert words in card
    assert "Licence of these data: CC0." in (exported / "a.safetensors.md").read_text()
    assert read_weights(exported / "a.safetensors")["fer_lightning"]["data"]["licence"] == "CC0"


def test_a_file_may_find_faces_though_the_training_took_images_whole(exported, drawn):
    words = ["--output", "found.safetensors", "--faces", "detect"]
    run_here("export", "--ckpt_path", "best", *words, cwd=exported)
    assert open_model(exported / "found.safetensors").preprocessing.faces == "detect"
    assert open_model(exported / "a.safetensors").preprocessing.faces == "whole"
    data = ["--data.root", drawn, "--data.num_workers", "0"]
    run_here("test", "--name", "found", "--ckpt_path", "found.safetensors", *data, cwd=exported)
    run_here("test", "--name", "found", "--ckpt_path", "a.safetensors", *data, "--data.faces", "detect", cwd=exported)


def test_a_file_that_answers_otherwise_is_not_kept(exported, tmp_path, monkeypatch, capsys):
    assert "largest difference" in _check(PRETRAINED, PRETRAINED, half=False)
    (tmp_path / "runs").symlink_to(exported / "runs")
    monkeypatch.setitem(__import__("fer_lightning.export.export", fromlist=["x"])._TOLERANCE, "half", -1.0)
    with pytest.raises(SystemExit):
        run_here("export", "--ckpt_path", "best", "--output", "b.safetensors", cwd=tmp_path)
    assert "it was not kept" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "a.bin"], "Expected a file ending in .safetensors, .onnx, .pt2. Received: a.bin"),
        (["--output", "a.onnx", "--format", "torch_export"], "Expected a file ending in .pt2. Received: a.onnx"),
        (["--output", "a.pt2", "--quantize", "int8"], "--quantize int8 makes an ONNX file"),
        (["--output", "a.onnx", "--quantize", "int8"], "give --data.root"),
        (["--output", "a.onnx", "--data.root", "x"], "--data options are for --quantize int8"),
        (["--output", "a.onnx", "--quantize", "int8", "--data.rot", "x"], "rot"),
    ],
)
def test_a_mistake_is_one_message(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_here("export", "--ckpt_path", "pretrained", *words, cwd=tmp_path)
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_explaining_an_exported_graph_is_refused(exported, drawn, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_here("predict", "--ckpt_path", "a.onnx", "--input", drawn / "images", "--explain", "why", cwd=exported)
    assert "--explain needs gradients" in capsys.readouterr().err
    for name in ("bad.onnx", "bad.pt2"):
        (exported / name).write_bytes(b"nonsense")
        with pytest.raises(SystemExit, match="2"):
            run_here("predict", "--ckpt_path", name, "--input", drawn / "images", cwd=exported)
        assert "damaged, or not" in capsys.readouterr().err


def test_predict_does_not_import_the_training_tools_it_does_not_need():
    code = "import fer_lightning.inference.command, sys; print('cv2' in sys.modules, 'onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
