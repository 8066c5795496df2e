from __future__ import annotations

import copy

import pytest
import torch

from fer_lightning import ExpressionRecognizer
from fer_lightning.checkpoints.reading import info_of, load_model
from fer_lightning.errors import FERError
from fer_lightning.inference.model import GraphModel, open_model, rgb_images, trained_prior


def images(size=48):
    return torch.randint(0, 256, (5, 1, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_another_class_prior_is_bayes_rule_and_a_model_of_its_own(pretrained):
    before = pretrained.probabilities(images())
    learned = torch.tensor(trained_prior(info_of(pretrained)))
    expected = before / learned
    expected = expected / expected.sum(1, keepdim=True)
    even = ExpressionRecognizer(pretrained, class_prior="uniform", device="cpu")
    assert torch.allclose(even.model.probabilities(images()), expected, atol=1e-6)
    assert torch.equal(pretrained.probabilities(images()), before)
    again = ExpressionRecognizer(even, class_prior=learned.tolist())
    assert torch.allclose(again.model.probabilities(images()), before, atol=1e-6)
    for wrong in ([0.5, 0.5], [0.9] * 8):
        with pytest.raises(FERError, match="8 frequencies that add up to 1"):
            ExpressionRecognizer(pretrained, class_prior=wrong)


def test_a_prior_of_the_training_is_where_answers_start_from():
    """A number is a power of the frequencies that the training set up, not of those that it learned."""
    model = load_model("pretrained").with_prior("uniform")
    recognizer = ExpressionRecognizer(model, device="cpu")
    torch.testing.assert_close(recognizer.model.probabilities(images()), model.probabilities(images()))
    squared = ExpressionRecognizer(model, class_prior=2.0, device="cpu")
    torch.testing.assert_close(squared.model.probabilities(images()), model.probabilities(images()))


def test_a_graph_answers_as_its_function_does_and_is_copied_with_it(pretrained):
    """Its probabilities are neither calibrated nor mirrored again; zeros stay."""
    answers = torch.eye(8)[:5] * 0.9 + torch.eye(8)[1:6] * 0.1
    seen = []
    info = info_of(pretrained, class_prior="training", temperature=2.0, tta_flip=True)
    model = GraphModel(lambda given: (seen.append(given), answers)[1], info).eval()
    for one in (model, copy.deepcopy(model)):
        torch.testing.assert_close(one.probabilities(images()), answers)
    assert torch.equal(seen[0], rgb_images(images()))
    assert len(seen) == 2


def test_a_risk_is_for_the_prior_that_it_was_measured_for(pretrained):
    def threshold(risk, **options):
        return ExpressionRecognizer(pretrained, target_risk=risk, **options).threshold

    assert threshold(None) == 0
    assert 0 < threshold(0.05) <= threshold(0.0)
    with pytest.raises(FERError, match="omit --class_prior"):
        threshold(0.05, class_prior="uniform")
    with pytest.raises(FERError, match="Expected 0 to 1"):
        threshold(7)


@pytest.mark.parametrize("name", ["bad.onnx", "bad.pt2"])
def test_a_damaged_graph_is_one_message(name, tmp_path):
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(FERError, match="damaged, or not"):
        open_model(tmp_path / name)
