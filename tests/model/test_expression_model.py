"""A model by itself, in plain torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from fer_lightning import ExpressionCNN, FERError, InputSpec
from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.model.class_prior import prior_probabilities, prior_ratio
from fer_lightning.model.expression_model import ExpressionModel

NAMES = ("anger", "fear", "jolly")


def small(size: int = 24, **settings) -> ExpressionModel:
    torch.manual_seed(0)
    return ExpressionModel(
        ExpressionCNN(3, 3, size, hidden=16), NAMES, InputSpec(size, "rgb", mean=(0.2,), std=(0.3,)), **settings
    )


@pytest.fixture
def images():
    return torch.randint(0, 256, (5, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_forward_normalizes_and_probabilities_are_calibrated(images):
    model = small(temperature=2.0).eval()
    logits = model.network((images / 255 - 0.2) / 0.3)
    torch.testing.assert_close(model(images), logits)
    torch.testing.assert_close(model.probabilities(images), (logits / 2).softmax(1))


def test_a_network_that_does_not_fit_is_refused():
    expected = r"Expected an output of shape \(1, 3\) for anger, fear, jolly. Received: \(1, 8\)"
    with pytest.raises(FERError, match=expected):
        ExpressionModel(ExpressionCNN(8, 3, 24), NAMES, InputSpec(24, "rgb"))
    with pytest.raises(FERError, match=r"cannot take a batch of shape \(1, 3, 30, 30\)"):
        ExpressionModel(ExpressionCNN(3, 3, 24), NAMES, InputSpec(30, "rgb"))


def test_mirror_images_make_the_answer_symmetric(images):
    model = small(tta_flip=True).eval()
    torch.testing.assert_close(model(images), model(images.flip(-1)))
    assert not torch.allclose(model.train()(images), model(images.flip(-1)))


def test_another_class_prior_moves_answers_by_bayes_rule():
    model = small(learned_prior=[0.8, 0.1, 0.1], class_prior=[0.2, 0.7, 0.1], temperature=2.0)
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    expected = (logits / 2).softmax(1)[0] * torch.tensor([0.2 / 0.8, 0.7 / 0.1, 0.1 / 0.1])
    torch.testing.assert_close(model.calibrate(logits)[0], expected / expected.sum())
    assert model.adapt(logits).argmax() == 1
    assert small().adapt(logits).equal(logits)
    with pytest.raises(FERError, match=r"class_prior needs a model that knows the class frequencies it has learned"):
        small(class_prior="uniform").adapt(logits)
    for wrong in ([0.5, 0.4, 0.2], [0.9, 0.1], "even", -0.5, [0.5, "half", 0.1]):
        with pytest.raises(FERError, match=r"class_prior. Expected training, uniform, a number from 0 to 10"):
            small(class_prior=wrong)


def test_a_number_as_class_prior_lies_between_training_and_uniform():
    learned = [0.81, 0.16, 0.03]
    assert prior_probabilities(1, "abc", learned) == prior_probabilities("training", "abc", learned) == learned
    assert prior_probabilities(0, "abc", learned) == pytest.approx(prior_probabilities("uniform", "abc", learned))
    assert prior_probabilities(2, "abc", [0.9, 0.3, 0.1]) == pytest.approx([0.81 / 0.91, 0.09 / 0.91, 0.01 / 0.91])
    half = [0.9, 0.4, 0.03**0.5]
    assert prior_probabilities(0.5, "abc", learned) == pytest.approx([value / sum(half) for value in half])
    never = prior_probabilities([0.5, 0.5, 0], "abc", learned)
    assert np.isfinite(prior_ratio("uniform", "abc", never)).all()
    model = small(learned_prior=[0.64, 0.32, 0.04], class_prior=0.5)
    powers = torch.tensor([0.8, 0.32**0.5, 0.2])
    assert model.effective_prior == pytest.approx((powers / powers.sum()).tolist())
    clueless = torch.tensor([[0.64, 0.32, 0.04]]).log()  # of an image that says nothing
    assert model.calibrate(clueless)[0].tolist() == pytest.approx(model.effective_prior)


def test_models_with_other_priors_share_the_network_and_nothing_else(images):
    model = small(learned_prior=[0.8, 0.1, 0.1]).eval()
    before = model.probabilities(images)
    other = model.with_prior("uniform")
    assert other.network is model.network
    assert other.effective_prior == pytest.approx([1 / 3] * 3)
    assert not torch.allclose(other.probabilities(images), before)
    torch.testing.assert_close(model.probabilities(images), before, rtol=0, atol=0)
    with pytest.raises(FERError, match="Expected training, uniform"):
        model.with_prior([0.5, 0.5])


def test_it_needs_neither_lightning_nor_torchmetrics():
    code = "import sys, fer_lightning.model.expression_model, fer_lightning.checkpoints.reading as r; "
    code += "r.load_model('pretrained'); print(sorted({'lightning', 'torchmetrics', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("prior", ["uniform", 0.0, 0.5, 2.0, [0.2, 0.3, 0.5], [0.0, 0.0, 1.0]])
def test_a_class_without_training_images_stays_out_of_every_other_prior(prior):
    """The network may find it likely all the same: nobody has shown it what the class looks like."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    model = ExpressionModel(network, "abc", InputSpec(2, "gray"), learned_prior=(0.75, 0.25, 0.0))
    logits = torch.tensor([[0.0, 0.0, 8.0]])
    found = model.with_prior(prior).calibrate(logits)[0].tolist()
    assert found[2] < 1e-20
    assert sum(found) == pytest.approx(1)
    assert model.with_prior(prior).effective_prior[2] == 0
    if prior == "uniform":  # 0.5 / 0.75 to 0.5 / 0.25
        assert found[:2] == pytest.approx([0.25, 0.75])
        assert model.with_prior(prior).effective_prior == [0.5, 0.5, 0.0]
    torch.testing.assert_close(model.calibrate(logits), logits.softmax(1))  # as in training: its answers as they are


def test_earlier_versions_said_half_an_image_for_a_class_without_any():
    about = {"format": 2, "class_names": ["a", "b"], "input_spec": {}, "learned_prior": [0.995, 0.005]}
    training = {"class_counts": [100, 0], "target_prior": [1.0, 0.0]}
    assert CheckpointInfo.from_dict(about | {"training": training}, "x").learned_prior == (1.0, 0.0)
    votes = {"class_counts": [100, 0], "target_prior": [0.9, 0.1]}  # nobody's label, but some votes
    assert CheckpointInfo.from_dict(about | {"training": votes}, "x").learned_prior == (0.995, 0.005)
