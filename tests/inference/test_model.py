from __future__ import annotations

import dataclasses

import pytest
import torch

from fer_lightning.checkpoints.reading import load_model
from fer_lightning.errors import FERError
from fer_lightning.inference.model import Model, open_model, trained_prior


def images(size=48):
    return torch.randint(0, 256, (5, 1, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_another_class_prior_is_bayes_rule_and_a_model_of_its_own(pretrained):
    before = pretrained(images())
    learned = torch.tensor(trained_prior(pretrained.info))
    expected = before / learned
    expected = expected / expected.sum(1, keepdim=True)
    even = pretrained.with_prior("uniform")
    assert torch.allclose(even(images()), expected, atol=1e-6)
    assert torch.equal(pretrained(images()), before)
    assert even.module is pretrained.module
    assert torch.allclose(even.with_prior(learned.tolist())(images()), before, atol=1e-6)
    for wrong in ([0.5, 0.5], [0.9] * 8):
        with pytest.raises(FERError, match="8 frequencies that add up to 1"):
            pretrained.with_prior(wrong)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pretrained.prior = "uniform"


def test_a_prior_of_the_training_is_where_answers_start_from():
    """A number is a power of the frequencies that the training set up, not of those that it learned."""
    module = load_model("pretrained").with_prior("uniform")
    model = Model.of(module, device="cpu")
    assert trained_prior(model.info) == [1 / 8] * 8
    torch.testing.assert_close(model(images()), module.probabilities(images()))
    torch.testing.assert_close(model.with_prior(2.0)(images()), model(images()))


def test_a_risk_is_for_the_prior_that_it_was_measured_for(pretrained):
    assert pretrained.threshold(None) == 0
    assert 0 < pretrained.threshold(0.05) <= pretrained.threshold(0.0)
    with pytest.raises(FERError, match="omit --class_prior"):
        pretrained.with_prior("uniform").threshold(0.05)
    with pytest.raises(FERError, match="Expected a number from 0 to 1"):
        pretrained.threshold(7)


@pytest.mark.parametrize("name", ["bad.onnx", "bad.pt2"])
def test_a_damaged_graph_is_one_message(name, tmp_path):
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(FERError, match="damaged, or not"):
        open_model(tmp_path / name)
