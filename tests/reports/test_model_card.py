"""A model card says what its file says about the model, in sentences."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from fer_lightning.checkpoints.finding import PRETRAINED
from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.checkpoints.reading import read_checkpoint
from fer_lightning.data.data_info import TrainingData
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.reports.model_card import measured_in, model_card

NAMES = ("anger", "jolly")


@pytest.fixture
def measured(tmp_path) -> dict:
    row = {"value": 0.8, "low": 0.75, "high": 0.85, "baseline": 0.5}
    slice_ = {"attribute": "color", "value": "gray", "images": 30, "accuracy": 0.6, "majority": 0.5}
    content = {
        "images": 100,
        "people": 40,
        "intervals": "95 %, bootstrap over 40 people, 1000 draws",
        "majority": "jolly",
        "metrics": {"accuracy": row, "brier": row, "nll": row | {"low": None, "high": None, "baseline": None}},
        "classes": {
            "anger": {"recall": row, "f1": row, "support": 60, "measurable": True},
            "jolly": {"recall": row, "f1": row, "support": 4, "measurable": False},
        },
        "worst_slice": slice_,
        "data": ["FE"],
        "faces": "detect",
        "class_prior": 0.5,
        "tuned_on_test": False,
        "how": {"command": "fer test", "torch": "2.9"},
        "checkpoint_sha256": hashlib.sha256(b"weights").hexdigest(),
    }
    (tmp_path / "x.ckpt").write_bytes(b"weights")
    (tmp_path / "run/test").mkdir(parents=True)
    (tmp_path / "run/test/metrics.json").write_text(json.dumps(content))
    return measured_in(tmp_path / "run", tmp_path / "x.ckpt")


def test_everything_that_is_known_is_said(measured):
    spec = InputSpec(64, "gray", faces="detect", margin=0.1)
    training = TrainingData(("FE", "FER+"), "CC0", (2000, 500), split="grouped")
    config = "seed_everything: 1\ndata: {root: FE, legend: null}\nckpt_path: null\n"
    info = CheckpointInfo(NAMES, spec, {"class_path": "my.Network"}, training=training, measured=measured)
    card = model_card("mine", info, "mine.onnx: 1.00 MB.")
    for words in (
        "# Model card: mine\n",
        f"fer_lightning {info.version}. mine.onnx: 1.00 MB.\n",
        "| network | `my.Network` |",
        "the largest face, found by yunet and cut out with a margin of 0.1; 64 x 64 pixels, gray, bilinear",
        "| answers | calibrated probabilities of anger, jolly |",
        "FE, FER+, 2,500 images (split: grouped): anger 2,000, jolly 500.",
        "License of these data: CC0.",
        "On 100 test images of 40 people of FE, faces detected, class frequencies assumed to be those in training to "
        "the power of 0.5. In brackets: 95 %, bootstrap over 40 people",
        "| accuracy | 0.800 (0.750 to 0.850) | 0.500 | fraction of right answers |",
        "| nll | 0.800 (no interval) | - | negative log-likelihood, natural logarithm, lower is better |",
        "| anger | 0.800 (0.750 to 0.850) | 60 |",
        "| jolly | too few to measure | 4 |",
        "Weakest slice: color = gray, accuracy 0.600 on 30 images.",
        "Measured with `fer test`; torch 2.9.",
        "Barrett",
        "Art. 5(1)(f)",
    ):
        assert words in card
    assert "too good" not in card
    assert "```yaml" not in card
    info = CheckpointInfo(NAMES, spec, config=config, started_from="a.safetensors", teacher="b.safetensors")
    card = model_card("mine", info)
    for words in (
        "a network that was made in Python",
        "Not known: the file does not say.",
        "Started from the weights `a.safetensors`.",
        "A part of every target was the answer of `b.safetensors`.",
        "```yaml\nseed_everything: 1\ndata:\n  root: FE\n```",
    ):
        assert words in card


def test_a_test_without_a_person_unseen_or_by_an_older_version(measured, tmp_path):
    older = measured | {"tuned_on_test": True, "class_prior": "uniform", "people": 100}
    older["worst_slice"] = {"fact": "user.id", "value": "me", "images": 30, "accuracy": None}
    card = model_card("mine", CheckpointInfo(NAMES, InputSpec(), measured=older))
    assert "Weakest slice: user.id = me, accuracy - on 30 images." in card
    assert "On 100 test images of FE, faces detected, class frequencies assumed to be uniform." in card
    assert "these figures are too good" in card
    assert measured_in(tmp_path / "nowhere", tmp_path / "x.ckpt") == {}
    (tmp_path / "x.ckpt").write_bytes(b"other weights")
    assert measured_in(tmp_path / "run", tmp_path / "x.ckpt") == {}


@pytest.mark.parametrize(
    ("called", "program"),
    [("/x/train.py", "python train.py"), ("C:\\x\\fer.exe", "fer"), ("/x/__main__.py", "python -m fer_lightning")],
)
def test_hints_name_the_program_that_was_called(called, program, monkeypatch):
    monkeypatch.setattr(sys, "argv", [called])
    card = model_card("mine", CheckpointInfo(NAMES, InputSpec(), config="data: {root: FE}"))
    assert f"Not measured on a testing subset yet: `{program} test` does that." in card
    assert f"`{program} fit --config config.yaml` with this configuration" in card


def test_names_from_files_are_no_markup(measured):
    odd = "`x` | <img src=//evil> [a](b) $y$\n# Heading"
    measured["majority"], measured["recall"][odd] = odd, measured["recall"].pop("jolly")
    measured["worst_slice"] |= {"value": odd}
    training = TrainingData((odd,), odd, (2000, 500))
    config = "data: {root: '```\\n# Heading'}\n"
    info = CheckpointInfo(("anger", odd), InputSpec(8), {"class_path": odd}, training=training, measured=measured)
    card = model_card(odd, replace(info, config=config))
    assert "\n# Heading" not in card.replace("# Model card", "", 1).partition("```yaml")[0]
    outside = re.sub(r"(`+)[^`].*?[^`]\1(?!`)", "", card, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<img|(?<!\\)\[a\]|(?<!\\)\$y", outside)
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3, 4, 5}
    assert card.count("````yaml") == 1


@pytest.mark.parametrize("text", ["[]", "7", "{}", '{"classes": [1]}', '{"classes": {"a": 1}}', "[" * 100_000])
def test_figures_that_are_damaged_count_as_none(tmp_path, text):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "metrics.json").write_text(text)
    assert measured_in(tmp_path, tmp_path / "x.ckpt") == {}


def test_the_card_of_the_weights_in_the_package_says_to_hubs_what_its_table_and_their_file_say():
    card = ModelCard.load(PRETRAINED.with_name("README.md"))
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "fer_lightning")
    text = card.text.partition("\n# pretrained-large")[0]
    lines = [re.findall(r"(\d\.\d{3}) \((\d\.\d{3}) to (\d\.\d{3})\)", line) for line in text.splitlines()]
    table = [tuple(map(float, figures)) for line in lines if len(line) == 3 for figures in line]
    said = [(one.metric_value, one.metric_args["low"], one.metric_args["high"]) for one in card.data.eval_results]
    assert said == table
    assert len(said) == 15
    measured = read_checkpoint(PRETRAINED)[0].measured["metrics"]
    for one, name in zip(card.data.eval_results, ("accuracy", "balanced_accuracy", "macro_f1"), strict=False):
        assert one.metric_value == round(measured[name]["value"], 3)
