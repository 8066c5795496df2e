from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
import torch

from fer_lightning import ExpressionCNN, FERError, InputSpec
from fer_lightning.checkpoints.finding import PRETRAINED
from fer_lightning.checkpoints.info import FORMAT, CheckpointInfo
from fer_lightning.checkpoints.reading import info_of, load_model, read_checkpoint
from fer_lightning.checkpoints.weights import save_weights
from fer_lightning.data.data_info import TrainingData
from fer_lightning.model.expression_model import ExpressionModel

TRAINED = TrainingData(
    ("here", "there"), "CC0", (3, 4), (0.3, 0.7), (1.0, 2.0), 16, "grouped", "abc", ("0f", "1e"), validates_on_test=True
)
FULL = CheckpointInfo(
    class_names=("calm", "jolly"),
    input_spec=InputSpec(32, "rgb", "bicubic", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "detect", 0.1),
    network={"class_path": "fer_lightning.networks.ExpressionCNN", "init_args": {"hidden": 4}},
    temperature=1.5,
    learned_prior=(0.25, 0.75),
    class_prior=[0.5, 0.5],
    tta_flip=True,
    risk_curve=[[0.9, 0.1, 0.05]],
    training=TRAINED,
    started_from="a.safetensors",
    teacher="pretrained",
    measured={"images": 3},
    config="seed_everything: 0\n",
)


def test_nothing_is_lost_on_the_way_through_json_and_torch(tmp_path):
    plain = FULL.to_dict()
    torch.save(plain, tmp_path / "x.pt")
    for found in (json.loads(json.dumps(plain)), torch.load(tmp_path / "x.pt", weights_only=True)):
        assert CheckpointInfo.from_dict(found, "x") == FULL
    unset = [item.name for item in fields(FULL) if getattr(FULL, item.name) in ((), [], {}, "", None)]
    assert unset == []  # a new field has to be in this test


def test_what_an_older_file_does_not_say_has_a_default():
    least = {"format": FORMAT, "class_names": ["a", "b"], "input_spec": {"image_size": 32}}
    info = CheckpointInfo.from_dict(least | {"a field of": "tomorrow"}, "x")
    assert info.learned_prior == ()
    assert info.training is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 99, "version": "9.9"}, r"'x' was written by fer_lightning 9.9 in format 99; .* Update"),
        ({}, "'x' does not say how to use its weights"),
        ([], "'x' does not say how to use its weights"),
        ({"format": FORMAT}, "'x' is damaged"),
        ({"format": 1}, "'x' is damaged"),
        (FULL.to_dict() | {"input_spec": {"nonsense": 3}}, "'x' is damaged"),
        (FULL.to_dict() | {"training": {"names": 3, "more": 1}}, "'x' is damaged"),
    ],
)
def test_what_cannot_be_read_is_refused(values, message):
    with pytest.raises(FERError, match=message):
        CheckpointInfo.from_dict(values, "x")


def test_a_model_comes_back_from_a_file_as_it_was(tmp_path):
    settings = {name: getattr(FULL, name) for name in ("class_names", "learned_prior", "class_prior", "tta_flip")}
    spec = InputSpec(32, "gray")
    model = ExpressionModel(ExpressionCNN(2, 1, 32, hidden=4), input_spec=spec, temperature=1.5, **settings).eval()
    save_weights(info_of(model, training=TRAINED), model.network.state_dict(), tmp_path / "x.safetensors", half=False)
    again = load_model(tmp_path / "x.safetensors")
    images = torch.randint(0, 256, (4, 1, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(again.probabilities(images), model.probabilities(images), rtol=0, atol=0)
    assert again.settings() == model.settings()
    assert read_checkpoint(tmp_path / "x.safetensors")[0] == replace(info_of(model, training=TRAINED), config="")


def test_a_network_of_ours_has_its_full_name():
    model = ExpressionModel(ExpressionCNN(8, 1, 24, hidden=8), input_spec=InputSpec(24, "gray"))
    said = info_of(model, {"class_path": "fer_lightning.ExpressionCNN", "init_args": {"hidden": 8}}).network
    assert said == {"class_path": "fer_lightning.networks.ExpressionCNN", "init_args": {"hidden": 8}}


def test_a_network_that_a_file_does_not_name_is_given(tmp_path):
    model = ExpressionModel(ExpressionCNN(8, 1, 24, hidden=8), input_spec=InputSpec(24, "gray"))
    save_weights(info_of(model, network=None), model.network.state_dict(), tmp_path / "x.safetensors")
    with pytest.raises(FERError, match=r"x.safetensors' does not name its network"):
        load_model(tmp_path / "x.safetensors")
    with pytest.raises(FERError, match="are of another network than ExpressionCNN"):
        load_model(tmp_path / "x.safetensors", ExpressionCNN(8, 1, 24, hidden=9))
    assert load_model(tmp_path / "x.safetensors", ExpressionCNN(8, 1, 24, hidden=8)).class_names == model.class_names


def test_the_weights_of_the_package_say_all_there_is_to_say():
    info, _ = read_checkpoint(PRETRAINED)
    assert sum(info.learned_prior) == pytest.approx(1, abs=1e-5)
    assert info.training.license.startswith("labels: MIT")
    assert sum(info.training.class_counts) > 20_000
    assert len(info.training.leakage_fingerprint) == 128
    assert info.network["init_args"]["widths"] == [64, 128, 224]
