"""A folder for a model hub: read back bit for bit, with a card that hubs understand, believed no more than weights."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors import safe_open

from fer_lightning import ExpressionRecognizer
from fer_lightning.checkpoints.finding import digest_of, find_checkpoint, name_of
from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.checkpoints.reading import info_of, load_model, read_checkpoint
from fer_lightning.checkpoints.saved_config import saved_settings
from fer_lightning.checkpoints.weights import save_weights
from fer_lightning.cli.configs import layers, named_classes
from fer_lightning.data.data_info import TrainingData
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.errors import FERError
from fer_lightning.export.export import export
from fer_lightning.inference.model import open_model
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.networks import CompactResNet
from tests.conftest import TINY, run_here

FILES = ["README.md", "config.json", "model.safetensors"]
ROW = {"value": 0.8125, "low": 0.75, "high": 0.85, "baseline": 0.5}
MEASURED = {
    "images": 100,
    "people": 40,
    "intervals": "95 %, bootstrap over 40 people, 1000 draws",
    "majority": "neutral",
    "metrics": {"accuracy": ROW, "macro_f1": ROW, "nll": ROW | {"value": None}},
    "recall": {},
    "data": ["FE", "FER+"],
    "how": {"command": "fer test --data.root '/home/me/my data/FE' '--ckpt_path=C:\\me\\best.ckpt' --name mine"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Weights in single precision, of a model in which everything is unusual, and their folder `mine`."""
    folder = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    network = CompactResNet(widths=[16, 24], blocks=[1, 1], in_channels=3, image_size=32)
    prior = (0.3, *(0.1,) * 7)
    model = ExpressionModel(
        network, EXPRESSIONS, InputSpec(32, "rgb", faces="whole"), 1.3, prior, 0.5, True, [[0.9, 0.1, 0.0]]
    )
    more = {"started_from": "../../me/first.ckpt", "teacher": "/home/me/teacher.ckpt", "measured": MEASURED}
    info = info_of(model, training=TrainingData(("drawn",), "CC0", (18,) * 8, split="grouped"), **more)
    save_weights(info, network.state_dict(), folder / "exact.safetensors", half=False)
    run_here("export", "--hub", "--ckpt_path", "exact.safetensors", "--output", "mine", cwd=folder)
    return folder


def test_it_is_read_back_bit_for_bit(place):
    assert sorted(path.name for path in (place / "mine").iterdir()) == FILES
    ours, theirs = load_model(place / "exact.safetensors"), load_model(place / "mine")
    faces = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours.probabilities(faces), theirs.probabilities(faces))
    assert ours.settings() == theirs.settings()
    info, _ = read_checkpoint(place / "exact.safetensors")
    assert read_checkpoint(place / "mine/model.safetensors")[0] == replace(
        info, started_from="first.ckpt", teacher="teacher.ckpt", measured=read_checkpoint_measured(place)
    )
    with safe_open(place / "mine/model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def read_checkpoint_measured(place):
    command = "fer test --data.root FE --ckpt_path=best.ckpt --name mine"
    return MEASURED | {"how": {"command": command}}


def test_no_file_of_it_knows_where_it_was_made(place):
    for name in ("README.md", "config.json"):
        text = (place / "mine" / name).read_text()
        assert not [word for word in ("/home", "my data", "me/", "C:", str(place), ".."[:1] * 2 + "/") if word in text]


def test_half_precision_is_for_who_asks_for_it(place):
    export(str(place / "exact.safetensors"), str(place / "half"), hub=True, half=True)
    assert (place / "half/model.safetensors").stat().st_size < 0.6 * (place / "mine/model.safetensors").stat().st_size


def test_predict_and_the_recognizer_take_it(place, drawn):
    words = ["--input", drawn / "images", "--workers", "0"]
    for given, out in (("exact.safetensors", "a.csv"), ("mine", "b.csv")):
        run_here("predict", "--ckpt_path", given, "--output", out, *words, cwd=place)
    assert (place / "a.csv").read_text() == (place / "b.csv").read_text()
    first = next(csv.DictReader((place / "a.csv").open()))
    answer = ExpressionRecognizer(place / "mine").predict(drawn / "images" / first["source"].rpartition("/")[2])
    assert answer.faces[0].label == first["label"]


def test_fit_and_test_take_it(place, drawn, capsys):
    network = ["--model.network", "CompactResNet", "--model.network.widths", "[16, 24]"]
    network += ["--model.network.blocks", "[1, 1]", "--data.color", "rgb", "--data.root", drawn, *TINY]
    brief = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1"]
    weights = ["--model.fine_tuning.weights", "mine"]
    run_here("fit", "--name", "tuned", *weights, *network, *brief, cwd=place)
    assert "tensors from mine" in capsys.readouterr().out
    run_here("test", "--ckpt_path", "mine", "--data.root", drawn, "--data.num_workers", "0", cwd=place)
    figures = json.loads((place / "runs/mine/test/metrics.json").read_text())
    assert figures["checkpoint_sha256"] == digest_of(place / "mine/model.safetensors")


def test_the_card_says_to_a_hub_what_it_needs(place):
    card = ModelCard.load(place / "mine" / "README.md")
    assert (card.data.license, card.data.library_name) == ("unknown", "fer_lightning")
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.metrics == ["accuracy", "f1"]
    assert card.data.model_name == "mine"
    first, second = card.data.eval_results
    assert (first.metric_type, first.metric_value, first.metric_args["low"]) == ("accuracy", 0.8125, 0.75)
    assert (first.dataset_name, first.dataset_type, first.dataset_split) == ("FE + FER+", "fe-fer", "test")
    assert first.dataset_args["command"].startswith("fer test --data.root FE")
    assert second.metric_type == "f1"
    assert "hf://OWNER/NAME" in card.text
    assert "## What it must not be used for" in card.text


def test_what_is_there_already(place):
    ours = str(place / "exact.safetensors")
    with pytest.raises(FERError, match="is there already"):
        export(ours, str(place / "mine"), hub=True)
    export(ours, str(place / "mine"), hub=True, license="Apache-2.0", overwrite=True)
    assert ModelCard.load(place / "mine/README.md").data.license == "apache-2.0"
    (place / "other").mkdir()
    (place / "other/config.json").write_text('{"somebody": "else"}')
    with pytest.raises(FERError, match=r"files that are of no such export, as 'config\.json'"):
        export(ours, str(place / "other"), hub=True, overwrite=True)
    assert (place / "other/config.json").read_text() == '{"somebody": "else"}'
    with pytest.raises(FERError, match=r"holds what is read"):
        export(str(place / "mine"), str(place / "mine"), hub=True, overwrite=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "a.onnx", "hub": True}, "--hub makes a folder"),
        ({"output": "app/", "license": "mit"}, "--license is for --hub"),
        ({"output": "app/", "hub": True, "quantize": "int8"}, "--quantize int8 makes an ONNX file"),
        ({"output": "app/", "hub": True, "opset": 17}, "--opset is for"),
        ({"output": "app/", "hub": True, "resize": False}, "--resize false is for"),
        ({"output": "a.onnx", "half": False}, "--half is for"),
    ],
)
def test_options_that_do_not_fit_each_other(options, message, workdir):
    with pytest.raises(FERError, match=message):
        export("pretrained", **options)
    assert not list(workdir.iterdir())


HOSTILE = {
    "nothing": None,
    "empty": "",
    "no JSON": "{",
    "another kind": '{"architectures": ["Bert"]}',
    "a list": "[1, 2]",
    "not UTF-8": b"\xff\xfe{",
    "deep": "[" * 100_000,
    "a later version": '{"format": 99, "version": "9.9"}',
    "numbers without end": '{"format": 1e400}',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_config_may_be_anything(kind, place, tmp_path):
    content = HOSTILE[kind]
    (tmp_path / "model.safetensors").symlink_to(place / "mine/model.safetensors")
    if content is not None:
        (tmp_path / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FERError, match=r"config\.json") as refused:
        open_model(tmp_path)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_a_config_is_a_file(kind, place, tmp_path):
    (tmp_path / "model.safetensors").symlink_to(place / "mine/model.safetensors")
    config = tmp_path / "config.json"
    make = {"folder": config.mkdir, "pipe": lambda: os.mkfifo(config), "device": lambda: config.symlink_to("/dev/zero")}
    make[kind]()
    with pytest.raises(FERError, match=r"config\.json"):
        open_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": {"class_path": "os.system", "init_args": {"command": "touch ran"}}}, "names os.system as its net"),
        ({"network": {"class_path": "my_parts.Net"}}, "--network my_parts.Net"),
        ({"network": {"class_path": "CompactResNet", "init_args": {"widths": [10**5] * 3}}}, "CompactResNet"),
        (
            {"network": {"class_path": "torch.nn.Linear", "init_args": {"in_features": 9**5, "out_features": 9**5}}},
            "numbe",
        ),
        ({"class_names": ["../a", "b"]}, "class_names"),
        ({"temperature": -1}, "temperature"),
        ({"input_spec": {"image_size": 10**9}}, "image_size"),
    ],
)
def test_a_config_is_believed_no_more_than_weights_are(change, message, place, tmp_path):
    about = json.loads((place / "mine/config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(about | change))
    (tmp_path / "model.safetensors").symlink_to(place / "mine/model.safetensors")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        with pytest.raises(FERError, match=message):
            open_model(tmp_path)
    finally:
        os.chdir(before)
    assert not (tmp_path / "ran").exists()


def test_weights_with_a_config_of_another_program_beside_them_are_read_as_before(place, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((place / "exact.safetensors").read_bytes())
    (tmp_path / "config.json").write_text('{"architectures": ["Bert"]}')
    assert load_model(tmp_path / "model.safetensors").class_names == EXPRESSIONS


def test_a_digest_is_of_weights_and_config(place, tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes((place / "mine" / name).read_bytes())
    path = find_checkpoint(tmp_path)
    before = digest_of(path)
    assert before == digest_of(place / "mine/model.safetensors")
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text().replace('"yunet"', '"other"'))
    assert digest_of(path) != before
    assert name_of(path) == tmp_path.name
    assert name_of(place / "exact.safetensors") == "exact"


def test_a_checkpoint_has_nothing_downloaded_that_its_user_did_not_name(tmp_path):
    config = "model: {fine_tuning: {weights: 'hf://a/b'}, distillation: {teacher: 'hf://evil/x', weight: 0.3}}\n"
    spec = {"image_size": 24, "color": "gray"}
    about = {"format": 2, "class_names": ["a", "b"], "input_spec": spec, "config": config}
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": {}, "fer_lightning": about}, path)
    with pytest.raises(FERError, match=r"names 'hf://evil/x' to be downloaded.*name it yourself"):
        saved_settings(path, everything=True)
    words = ["--model.distillation.teacher", "hf://evil/x"]
    listed = [words[0], "[hf://evil/x, hf://another/x]"]
    for said in (words, ["=".join(words)], listed, ["--config", "{model: {distillation: {teacher: 'hf://evil/x'}}}"]):
        given, others = layers(said, print)
        trusted = named_classes(given, others)
        found = saved_settings(path, everything=True, trusted=trusted)
        assert found["model"]["distillation"]["teacher"] == "hf://evil/x"
    assert saved_settings(path, everything=False)["model"]["fine_tuning"]["weights"] is None


def test_the_card_of_what_was_measured_on_images_it_was_chosen_by_has_no_figures_for_a_hub():
    from fer_lightning.reports.card_metadata import with_metadata

    info = CheckpointInfo(("a", "b"), InputSpec(), measured=MEASURED | {"tuned_on_test": True})
    assert ModelCard(with_metadata("text", "mine", info)).data.eval_results is None
    info = CheckpointInfo(("a", "b"), InputSpec(), started_from="hf://owner/name@" + "0" * 40)
    assert ModelCard(with_metadata("text", "mine", info, "My own terms")).data.to_dict() == {
        "license": "other",
        "license_name": "My own terms",
        "base_model": "owner/name",
        "library_name": "fer_lightning",
        "pipeline_tag": "image-classification",
        "tags": ["facial-expression-recognition", "emotion-recognition", "face"],
    }


def test_names_cannot_end_the_metadata():
    from fer_lightning.reports.card_metadata import with_metadata

    odd = "x\n---\n# Heading: {a: &b *b}"
    info = CheckpointInfo(("a", "b"), InputSpec(), measured=MEASURED | {"data": [odd], "intervals": odd})
    card = ModelCard(with_metadata("text\n", odd, info, odd))
    assert card.text.strip() == "text"
    assert card.data.eval_results[0].dataset_args["intervals"] == odd


@pytest.mark.parametrize(("faces", "said"), [("detect", True), ("whole", False)])
def test_a_detector_that_stays_behind_is_said(faces, said, tmp_path, capsys):
    network = CompactResNet(widths=[16, 24], blocks=[1, 1], image_size=32)
    spec = InputSpec(32, "gray", faces=faces, detector="/home/me/mine.onnx")
    model = ExpressionModel(network, EXPRESSIONS, spec)
    save_weights(info_of(model), network.state_dict(), tmp_path / "own.safetensors")
    run_here("export", "--hub", "--ckpt_path", "own.safetensors", "--output", "own", cwd=tmp_path)
    note = "Faces are found by yunet there, and not by /home/me/mine.onnx as in training"
    assert (note in " ".join(capsys.readouterr().out.split())) == said
    assert "/home/me" not in (tmp_path / "own" / "config.json").read_text()
