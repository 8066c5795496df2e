from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from fer_lightning.data.data_info import TrainingData
from fer_lightning.errors import FERError
from fer_lightning.training.losses import CrossEntropy, FocalLoss, WeightedCrossEntropy

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 1.0], [0.0, 3.0, 0.0], [1.0, 1.0, 1.0]])
LABELS = torch.tensor([0, 2, 0, 1])
TARGETS = one_hot(LABELS, 3).float()
COUNTS = (80, 15, 5)


def prepared(loss: CrossEntropy, counts=COUNTS, prior=None, draws=()) -> CrossEntropy:
    """A loss that knows its data."""
    prior = prior or tuple(count / sum(counts) for count in counts)
    loss.prepare(TrainingData(class_counts=counts, target_prior=prior, draws=draws))
    return loss


def test_plain_and_smoothed_equal_torch():
    assert CrossEntropy()(LOGITS, TARGETS).item() == pytest.approx(cross_entropy(LOGITS, LABELS).item())
    smoothed = CrossEntropy(label_smoothing=0.1)(LOGITS, TARGETS)
    assert smoothed.item() == pytest.approx(cross_entropy(LOGITS, LABELS, label_smoothing=0.1).item())


def test_label_distributions_give_the_cross_entropy_between_distributions():
    votes = torch.tensor([[0.5, 0.5, 0.0]])
    total = math.e**2 + 1 + math.exp(-1)
    expected = -0.5 * (math.log(math.e**2 / total) + math.log(1 / total))
    assert CrossEntropy()(LOGITS[:1], votes).item() == pytest.approx(expected)


def test_logit_adjustment_adds_the_log_of_the_class_frequencies():
    adjusted = LOGITS + 0.5 * torch.log(torch.tensor([0.8, 0.15, 0.05]))
    found = prepared(CrossEntropy(logit_adjustment=0.5))(LOGITS, TARGETS)
    assert found.item() == pytest.approx(cross_entropy(adjusted, LABELS).item())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_unequal_draws_do_not_change_what_is_learned(smoothing):
    draws = (0.5, 2.0, 7.0)
    found = prepared(CrossEntropy(), draws=draws)(LOGITS, TARGETS)
    assert found.item() == pytest.approx(cross_entropy(LOGITS + torch.tensor(draws).log(), LABELS).item())
    votes = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.4, 0.6]])
    aims = votes * (1 - smoothing) + smoothing / 3
    logits = aims.clamp(min=1e-12).log().requires_grad_(True)
    prepared(CrossEntropy(smoothing), draws=draws)(logits, votes).backward()
    torch.testing.assert_close(logits.grad, torch.zeros(2, 3), atol=1e-6, rtol=0)


def test_class_weights():
    """Inverse: every class counts the same over the data set. Effective: (1 - beta) / (1 - beta^n)."""
    losses = cross_entropy(LOGITS, LABELS, reduction="none")
    inverse = torch.tensor([100 / 3 / 80, 100 / 3 / 15, 100 / 3 / 5])
    found = prepared(WeightedCrossEntropy("inverse"))(LOGITS, TARGETS)
    assert found.item() == pytest.approx((losses * inverse[LABELS]).mean().item())
    effective = torch.tensor([(1 - 0.999) / (1 - 0.999**count) for count in COUNTS])
    effective *= 100 / (effective * torch.tensor(COUNTS)).sum()
    found = prepared(WeightedCrossEntropy("effective"))(LOGITS, TARGETS)
    assert found.item() == pytest.approx((losses * effective[LABELS]).mean().item(), rel=1e-4)


def test_focal_loss_weighs_by_one_minus_p():
    chosen = LOGITS.softmax(1)[range(4), LABELS]
    expected = (-((1 - chosen) ** 2) * chosen.log()).mean()
    assert FocalLoss(gamma=2)(LOGITS, TARGETS).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    "loss", [CrossEntropy(logit_adjustment=1), WeightedCrossEntropy("inverse"), WeightedCrossEntropy("effective")]
)
def test_a_class_without_images_does_no_harm(loss):
    assert torch.isfinite(prepared(loss, counts=(10, 10, 0))(LOGITS, TARGETS))


def test_a_value_out_of_range_is_refused():
    with pytest.raises(FERError, match=r"--model.loss.label_smoothing. Expected 0 to 0.999. Received: 1.5"):
        CrossEntropy(label_smoothing=1.5)
    with pytest.raises(FERError, match=r"--model.loss.gamma. Expected 0 to 10. Received: -1"):
        FocalLoss(gamma=-1)


NEEDING = [CrossEntropy(logit_adjustment=1), WeightedCrossEntropy(), FocalLoss(logit_adjustment=1)]


@pytest.mark.parametrize("loss", NEEDING)
def test_class_counts_that_are_needed_and_not_there_are_no_silent_matter(loss):
    with pytest.raises(FERError, match="needs the number of training images of each class"):
        loss.prepare(TrainingData())


def test_the_prior_that_a_network_has_learned():
    def learned(loss: CrossEntropy, counts=(80, 20)) -> list[float]:
        return prepared(loss, counts).learned_prior()

    assert learned(CrossEntropy()) == pytest.approx([0.8, 0.2])
    assert learned(CrossEntropy(logit_adjustment=1.0)) == pytest.approx([0.5, 0.5])
    half = learned(CrossEntropy(logit_adjustment=0.5))
    assert half[0] / half[1] == pytest.approx(2)  # the root of 0.8 / 0.2
    assert learned(WeightedCrossEntropy("inverse")) == pytest.approx([0.5, 0.5])
    assert learned(CrossEntropy(), (100, 0)) == [1, 0]  # never shown: it stays out of every prior
    assert learned(FocalLoss(gamma=2)) == []  # its answers are no probabilities
    assert CrossEntropy().learned_prior() == []


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("adjustment", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", [CrossEntropy, WeightedCrossEntropy])
def test_the_learned_prior_is_what_a_network_without_a_clue_answers(kind, smoothing, adjustment):
    """Votes have other frequencies than labels; the loss must be least where every answer is `learned_prior`."""
    loss = kind(label_smoothing=smoothing, logit_adjustment=adjustment)
    prepared(loss, counts=(90, 10), prior=(0.8, 0.2))
    logits = torch.tensor(loss.learned_prior()).log()[None].requires_grad_()
    loss(logits, torch.tensor([[0.8, 0.2]])).backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.zeros(1, 2), atol=1e-6, rtol=0)
