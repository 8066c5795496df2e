"""Settings of version 0.1.0 in the words of this one."""

from __future__ import annotations

import pytest
import torch
import yaml

from fer_lightning.checkpoints.compatibility import upgraded_config, upgraded_state
from fer_lightning.deprecations import ENDS, SETTINGS


def upgraded(text: str) -> tuple[dict, list[str]]:
    told: list[str] = []
    return upgraded_config(yaml.safe_load(text), told.append), told


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{model: {weights: x}}", {"model": {"fine_tuning": {"weights": "x"}}}),
        ("{model: {teacher: x, teacher_share: 0.1}}", {"model": {"distillation": {"teacher": "x", "weight": 0.1}}}),
        ("{model: {teacher: null, teacher_share: 0.3}}", {"model": {"distillation": None}}),
        ("{model: {mixup: 0.2}}", {"model": {}, "data": {"augmentation": {"mixup": 0.2}}}),
        ("{model: {mixup: 0.0}}", {"model": {}, "data": {"augmentation": {"mixup": 0.0}}}),
        ("{model: {compile: true, lr_interval: step}}", {"model": {}}),
        ("{model: {schedule: constant, warmup: 0.1}}", {"model": {}}),
        ("{model: {flip_at_test: true}}", {"model": {"tta_flip": True}}),
        ("{data: {color: grey, licence: CC0}}", {"data": {"color": "gray", "license": "CC0"}}),
        ("{data: {balance: 0.5}}", {"data": {"sampling": {"strength": 0.5}}}),
        (
            "{data: {augmentation: {fade: 0.2, sizes: [8], flip: true}}}",
            {"data": {"augmentation": {"cooldown": 0.2, "progressive_sizes": [8], "flip": True}}},
        ),
        (
            "{model: {schedule: cosine, warmup: 0.05}}",
            {
                "model": {
                    "lr_scheduler": {
                        "class_path": "fer_lightning.training.schedules.WarmupCosine",
                        "init_args": {"warmup": 0.05},
                    }
                }
            },
        ),
        (
            "{model: {loss: {class_weights: inverse, label_smoothing: 0.1, focal_gamma: 0.0}}}",
            {
                "model": {
                    "loss": {
                        "class_path": "fer_lightning.training.losses.WeightedCrossEntropy",
                        "init_args": {"weighting": "inverse", "label_smoothing": 0.1},
                    }
                }
            },
        ),
    ],
)
def test_old_settings_have_new_names(old, new):
    found, told = upgraded(old)
    assert found == new
    assert told
    assert upgraded_config(found) == found


def test_what_an_old_loss_did_not_use_is_left_out():
    assert upgraded("{model: {loss: {focal_gamma: 0.0, class_weights: none}}}") == ({"model": {"loss": {}}}, [])


def test_settings_of_today_stay_as_they_are_and_nothing_is_said():
    text = "{model: {ema_decay: 0.9, loss: {logit_adjustment: 0.5}}, data: {color: gray, sampling: {strength: 1}}}"
    found, told = upgraded(text)
    assert found == yaml.safe_load(text)
    assert told == []


def test_each_old_name_is_said_once_with_its_new_one():
    _, told = upgraded("{model: {weights: x, layer_decay: 0.5}, data: {tree_dir: here}}")
    assert told == [
        f"Note   --{old} is now --{SETTINGS[old]}; the old name ends in version {ENDS}."
        for old in ("model.weights", "model.layer_decay", "data.tree_dir")
    ]


def test_weights_of_format_1_have_their_new_names():
    one, two = torch.ones(1), torch.full((1,), 2.0)
    plain = upgraded_state({"temperature": two, "network.head.weight": one})
    assert plain == {"model.temperature": two, "model.network.head.weight": one}
    averaged = {
        "temperature": two,
        "network.a": one,
        "averaged.n_averaged": torch.tensor(3),
        "averaged.module.a": two,
    }
    found = upgraded_state(averaged)
    assert found == {"model.temperature": two, "trained.a": one, "model.network.a": two}
    assert upgraded_state(found) == found
