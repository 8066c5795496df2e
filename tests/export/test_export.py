"""Exported files answer as the original does, and carry all that is needed to use them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image

from fer_lightning.checkpoints.finding import PRETRAINED
from fer_lightning.checkpoints.reading import info_of, load_model, read_checkpoint
from fer_lightning.checkpoints.weights import read_weights, save_weights
from fer_lightning.data.data_info import TrainingData
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.errors import FERError
from fer_lightning.export.export import TOLERANCE, CalibrationData, check_parity, export
from fer_lightning.inference.model import info_of_file, open_model, trained_prior
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.networks import CompactResNet
from tests.conftest import TINY, run_here

PRIOR = (0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model made in Python, mirrored and answering for another prior than it has learned, and its exports."""
    folder = tmp_path_factory.mktemp("formats")
    torch.manual_seed(0)
    network = CompactResNet(widths=[16, 24], blocks=[1, 1], in_channels=3, image_size=32)
    with torch.no_grad():
        for name, parameter in network.named_parameters():  # an untrained network answers nearly the same to all
            if name.endswith("weight") and parameter.ndim == 2:
                parameter.mul_(20)
    spec = InputSpec(32, "rgb")
    model = ExpressionModel(network, EXPRESSIONS, spec, 1.3, PRIOR, 0.5, True, [[0.9, 0.1, 0.0], [0.2, 1.0, 0.4]])
    training = TrainingData(("drawn",), "CC0", (18,) * 8, split="grouped")
    save_weights(info_of(model, training=training), network.state_dict(), folder / "model.safetensors", half=False)
    for name in ("a.onnx", "a.pt2", "a.safetensors"):
        run_here("export", "--ckpt_path", "model.safetensors", "--output", name, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def quantized(exported, drawn):
    words = ["--output", "int8.onnx", "--quantize", "int8", "--data.root", drawn]
    run_here("export", "--ckpt_path", "model.safetensors", *words, cwd=exported)
    return exported / "int8.onnx"


@pytest.fixture(scope="module")
def run(drawn, tmp_path_factory):
    """A run, tested, and exported."""
    folder = tmp_path_factory.mktemp("run")
    network = ["--model.network", "CompactResNet", "--model.network.widths", "[16, 24]"]
    network += ["--model.network.blocks", "[1, 1]", "--model.tta_flip", "true"]
    data = ["--data.root", drawn, "--data.license", "CC0", "--data.color", "rgb"]
    run_here("fit", *data, *TINY, *network, "--trainer.max_epochs", "2", cwd=folder)
    run_here("test", "--ckpt_path", "best", "--data.num_workers", "0", cwd=folder)
    run_here("export", "--ckpt_path", "best", "--output", "a.onnx", cwd=folder)
    run_here("export", "--ckpt_path", "best", "--output", "int8.onnx", "--quantize", "int8", cwd=folder)
    return folder


@pytest.mark.slow
def test_every_format_gives_the_same_rows(exported, drawn):
    answers = {}
    for given in ("model.safetensors", "a.onnx", "a.pt2", "a.safetensors"):
        out = f"{given}.csv"
        words = ["--input", drawn / "images", "--output", out, "--workers", "0"]
        run_here("predict", "--ckpt_path", given, *words, cwd=exported)
        with open(exported / out, newline="") as stream:
            answers[given] = {
                row["source"]: [float(row[name]) for name in EXPRESSIONS] for row in csv.DictReader(stream)
            }
    original = answers.pop("model.safetensors")
    assert np.ptp(list(original.values()), axis=0).max() > 0.1
    for given, found in answers.items():
        allowed = 0.01 if given.endswith("safetensors") else 1e-5  # half precision
        for source, probabilities in original.items():
            assert found[source] == pytest.approx(probabilities, abs=allowed)


def test_every_format_knows_which_prior_its_answers_are_for(exported):
    """And moves on from there: a graph, whose answers cannot be taken back, states it as what it has learned."""
    powers = np.sqrt(PRIOR) / np.sqrt(PRIOR).sum()
    images = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = open_model(exported / "model.safetensors").with_prior("uniform").probabilities(images)
    for name in ("a.onnx", "a.pt2", "a.safetensors"):
        assert trained_prior(info_of_file(exported / name)) == pytest.approx(powers.tolist())
        found = open_model(exported / name).with_prior("uniform").probabilities(images)
        torch.testing.assert_close(found, expected, atol=0.01 if name.endswith("safetensors") else 1e-5, rtol=0)
    weights, graph = info_of_file(exported / "a.safetensors"), info_of_file(exported / "a.onnx")
    assert (weights.learned_prior, weights.class_prior) == (PRIOR, 0.5)
    assert replace(graph, learned_prior=PRIOR, class_prior=0.5) == weights


def test_what_is_exported_answers_as_the_test_did(run):
    """Mirror images, temperature and weights: all that `test` used is in the file."""
    (folder,) = (run / "prepared_data").glob("*/testing")
    words = ["--input", folder, "--output", "tested.csv", "--workers", "0"]
    run_here("predict", "--ckpt_path", "a.onnx", *words, cwd=run)
    with open(run / "runs/default/test/predictions.csv", newline="") as stream:
        tested = {(row["image"], row["label"]): row for row in csv.DictReader(stream)}
    with open(run / "tested.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(tested)
    for row in rows:
        place = Path(row["source"])
        twin = tested[place.name, place.parent.name]
        for name in EXPRESSIONS:
            assert float(row[name]) == pytest.approx(float(twin[name]), abs=1e-4)


def test_a_file_of_a_newer_version_is_refused(exported, tmp_path):
    model = onnx.load(exported / "a.onnx")
    (entry,) = [entry for entry in model.metadata_props if entry.key == "fer_lightning"]
    entry.value = json.dumps(json.loads(entry.value) | {"format": 99, "version": "9.9"})
    onnx.save(model, tmp_path / "newer.onnx")
    with pytest.raises(FERError, match=r"newer.onnx' was written by fer_lightning 9.9 in format 99"):
        open_model(tmp_path / "newer.onnx")


def test_an_onnx_file_needs_nothing_of_ours(exported, drawn):
    """Raw images of any size go in; only onnxruntime is there."""
    session = onnxruntime.InferenceSession(exported / "a.onnx")
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["class_names"]) == list(EXPRESSIONS)
    assert metadata["license_of_the_training_data"] == "CC0"
    about = json.loads(metadata["fer_lightning"])
    assert about["input_spec"]["image_size"] == 32
    assert about["temperature"] == pytest.approx(1.3)
    model = open_model(exported / "a.safetensors", device="cpu")
    for path in sorted((drawn / "images").iterdir())[:5]:
        image = Image.open(path).convert("RGB")
        (found,) = session.run(None, {"image": np.asarray(image)[None]})
        expected = model.probabilities(model.input_spec.prepare(image)[None])
        assert torch.from_numpy(found).sub(expected).abs().max() < 0.02  # PIL rounds once more, and half precision


@pytest.mark.slow
def test_int8_is_smaller_and_says_what_it_costs(exported, quantized):
    assert quantized.stat().st_size < (exported / "a.onnx").stat().st_size
    assert "int8: accuracy on" in quantized.with_name("int8.onnx.md").read_text()
    plain, coarse = open_model(exported / "a.onnx"), open_model(quantized)
    pixels = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert 0 < (plain.probabilities(pixels) - coarse.probabilities(pixels)).abs().max() < 0.3


def test_int8_takes_the_images_of_the_training(run):
    assert "int8: accuracy on" in (run / "int8.onnx.md").read_text()


def test_a_card_lies_beside_every_file(exported):
    for name in ("a.onnx", "a.pt2", "a.safetensors"):
        card = (exported / f"{name}.md").read_text()
        for words in ("License of these data: CC0.", "neutral", "Barrett", "Art. 5(1)(f)", f"{name}: "):
            assert words in card
    assert read_weights(exported / "a.safetensors")[0].training.license == "CC0"


def test_the_card_of_a_tested_run_says_what_was_measured(run, drawn):
    for path in (run / "a.onnx.md", run / "runs/default/model_card.md"):
        card = path.read_text()
        metrics = json.loads((run / "runs/default/test/metrics.json").read_text())["metrics"]
        assert f"| accuracy | {metrics['accuracy']['value']:.3f} (" in card
        said = {one.metric_type: one.metric_value for one in ModelCard(card).data.eval_results}
        assert said["accuracy"] == round(metrics["accuracy"]["value"], 4)
        assert said["f1"] == round(metrics["macro_f1"]["value"], 4)
        assert f" people of {drawn.name}. In brackets: " in card
        for words in ("License of these data: CC0.", "neutral", "Barrett", "Art. 5(1)(f)", "image_size: 32"):
            assert words in card


def test_a_file_may_find_faces_though_the_training_took_images_whole(exported):
    words = ["--output", "found.safetensors", "--faces", "detect"]
    run_here("export", "--ckpt_path", "model.safetensors", *words, cwd=exported)
    assert open_model(exported / "found.safetensors").input_spec.faces == "detect"
    assert open_model(exported / "a.safetensors").input_spec.faces == "whole"


def test_found_faces_are_tested_though_the_training_took_images_whole(exported, drawn):
    export(str(exported / "model.safetensors"), str(exported / "found.safetensors"), faces="detect", overwrite=True)
    data = ["--data.root", drawn, "--data.num_workers", "0"]
    figures = []
    for given, more in (("found", []), ("a", ["--data.faces", "detect"]), ("a", [])):
        run_here("test", "--ckpt_path", f"{given}.safetensors", *data, *more, cwd=exported)
        figures.append(json.loads((exported / "runs" / given / "test" / "metrics.json").read_text()))
    assert [one["faces"] for one in figures] == ["detect", "detect", "whole"]
    nll = [one["metrics"]["nll"]["value"] for one in figures]
    assert nll[0] == pytest.approx(nll[1], abs=1e-6)
    assert nll[0] != pytest.approx(nll[2], abs=1e-6)


def test_a_file_that_answers_otherwise_is_not_kept(exported, tmp_path, monkeypatch):
    model = load_model(exported / "model.safetensors")
    assert "largest difference" in check_parity(model, exported / "a.pt2", half=False)
    with pytest.raises(FERError, match="it was not kept"):
        check_parity(load_model("pretrained"), _other(tmp_path), half=False)
    monkeypatch.setitem(TOLERANCE, "half", -1.0)
    (tmp_path / "b.safetensors").write_text("what stood there")
    with pytest.raises(FERError, match="answers otherwise than the original"):
        export(str(exported / "model.safetensors"), str(tmp_path / "b.safetensors"), overwrite=True)
    assert (tmp_path / "b.safetensors").read_text() == "what stood there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.safetensors", "other.safetensors"]


def _other(folder):
    """`pretrained` with one number changed."""
    info, state = read_checkpoint(PRETRAINED)
    name = next(name for name, value in reversed(state.items()) if value.is_floating_point())
    state[name] = state[name].clone()
    state[name].view(-1)[0] += 5
    save_weights(info, state, folder / "other.safetensors", half=False)
    return folder / "other.safetensors"


def test_data_of_one_s_own_take_the_place_of_those_of_the_training(exported, tmp_path):
    with pytest.raises(FERError, match="nowhere"):
        export(
            str(exported / "model.safetensors"),
            str(tmp_path / "a.onnx"),
            quantize="int8",
            data=CalibrationData(root="nowhere"),
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "a.bin"], "ending in .safetensors, .onnx, .pt2, or a folder such as app/. Received: a.bin"),
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


@pytest.mark.parametrize("name", ["a.safetensors", "a.onnx", "a.pt2"])
def test_nothing_that_is_there_is_replaced_unasked(name, tmp_path, capsys):
    for there in (name, f"{name}.md"):
        (tmp_path / there).write_text("mine")
        with pytest.raises(SystemExit, match="2"):
            run_here("export", "--ckpt_path", "pretrained", "--output", name, cwd=tmp_path)
        assert "--overwrite" in capsys.readouterr().err
        assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
        (tmp_path / there).unlink()


def test_what_is_exported_is_not_what_is_read(exported, tmp_path, capsys):
    (tmp_path / "m.safetensors").write_bytes((exported / "model.safetensors").read_bytes())
    (tmp_path / "link.safetensors").symlink_to("m.safetensors")
    before = (tmp_path / "m.safetensors").read_bytes()
    words = ["--ckpt_path", "m.safetensors", "--overwrite"]
    for output in ("m.safetensors", "link.safetensors"):
        with pytest.raises(SystemExit, match="2"):
            run_here("export", *words, "--output", output, cwd=tmp_path)
        assert "is what is read" in capsys.readouterr().err
    assert (tmp_path / "m.safetensors").read_bytes() == before
    run_here("export", *words, "--output", "new.safetensors", cwd=tmp_path)
    run_here("export", *words, "--output", "new.safetensors", cwd=tmp_path)  # with --overwrite


def test_onnx_is_of_a_version_that_older_runtimes_read(exported, quantized):
    for path in (exported / "a.onnx", quantized):
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert model.ir_version <= 8
        assert {one.domain: one.version for one in model.opset_import}[""] == 18


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(exported, tmp_path):
    """A limit on the size of files stands for it: the system refuses to write more, as it does on a full disk."""
    code = """
import resource, signal
from fer_lightning.cli.main import main

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
main(["export", "--ckpt_path", "MODEL", "--output", "a.pt2"])
""".replace("MODEL", str(exported / "model.safetensors"))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "disk is full" in done.stderr
    assert "--ckpt_path last" not in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
