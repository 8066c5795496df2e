from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from fer_lightning.errors import FERError
from fer_lightning.training.losses import LossOptions

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 1.0], [0.0, 3.0, 0.0], [1.0, 1.0, 1.0]])
LABELS = torch.tensor([0, 2, 0, 1])
TARGETS = one_hot(LABELS, 3).float()
COUNTS = torch.tensor([80.0, 15.0, 5.0])


def test_plain_and_smoothed_equal_torch():
    assert LossOptions()(LOGITS, TARGETS).item() == pytest.approx(cross_entropy(LOGITS, LABELS).item())
    smoothed = LossOptions(label_smoothing=0.1)(LOGITS, TARGETS)
    assert smoothed.item() == pytest.approx(cross_entropy(LOGITS, LABELS, label_smoothing=0.1).item())


def test_label_distributions_give_the_cross_entropy_between_distributions():
    votes = torch.tensor([[0.5, 0.5, 0.0]])
    expected = -0.5 * (
        math.log(math.e**2 / (math.e**2 + 1 + math.exp(-1))) + math.log(1 / (math.e**2 + 1 + math.exp(-1)))
    )
    assert LossOptions()(LOGITS[:1], votes).item() == pytest.approx(expected)


def test_logit_adjustment_adds_the_log_of_the_class_shares():
    adjusted = LOGITS + 0.5 * torch.log(torch.tensor([0.8, 0.15, 0.05]))
    found = LossOptions(logit_adjustment=0.5)(LOGITS, TARGETS, COUNTS)
    assert found.item() == pytest.approx(cross_entropy(adjusted, LABELS).item())


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}])
def test_unequal_draws_do_not_change_what_is_learnt(options):
    draws = torch.tensor([0.5, 2.0, 7.0])
    found = LossOptions()(LOGITS, TARGETS, draws=draws)
    assert found.item() == pytest.approx(cross_entropy(LOGITS + draws.log(), LABELS).item())
    votes = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.4, 0.6]])
    aims = votes * (1 - options.get("label_smoothing", 0)) + options.get("label_smoothing", 0) / 3
    logits = aims.clamp(min=1e-12).log().requires_grad_(True)
    LossOptions(**options)(logits, votes, draws=draws).backward()
    torch.testing.assert_close(logits.grad, torch.zeros(2, 3), atol=1e-6, rtol=0)


def test_class_weights():
    """Inverse: every class counts the same over the data set. Effective: (1 - beta) / (1 - beta^n)."""
    losses = cross_entropy(LOGITS, LABELS, reduction="none")
    inverse = torch.tensor([100 / 3 / 80, 100 / 3 / 15, 100 / 3 / 5])
    found = LossOptions(class_weights="inverse")(LOGITS, TARGETS, COUNTS)
    assert found.item() == pytest.approx((losses * inverse[LABELS]).mean().item())
    effective = torch.tensor([(1 - 0.999) / (1 - 0.999**count) for count in (80, 15, 5)])
    effective *= 100 / (effective * COUNTS).sum()
    found = LossOptions(class_weights="effective")(LOGITS, TARGETS, COUNTS)
    assert found.item() == pytest.approx((losses * effective[LABELS]).mean().item(), rel=1e-4)


def test_focal_loss_weighs_by_one_minus_p():
    chosen = LOGITS.softmax(1)[range(4), LABELS]
    expected = (-((1 - chosen) ** 2) * chosen.log()).mean()
    assert LossOptions(focal_gamma=2)(LOGITS, TARGETS).item() == pytest.approx(expected.item())


def test_a_class_without_images_does_no_harm():
    counts = torch.tensor([10.0, 10.0, 0.0])
    for options in (
        LossOptions(logit_adjustment=1),
        LossOptions(class_weights="inverse"),
        LossOptions(class_weights="effective"),
    ):
        assert torch.isfinite(options(LOGITS, TARGETS, counts))


def test_a_value_out_of_range_is_refused():
    with pytest.raises(FERError, match=r"--model.loss.label_smoothing. Expected 0 to 0.999. Received: 1.5"):
        LossOptions(label_smoothing=1.5)


@pytest.mark.parametrize("options", [{"logit_adjustment": 1}, {"class_weights": "inverse"}])
def test_class_shares_that_are_needed_and_not_there_are_no_silent_matter(options):
    with pytest.raises(FERError, match="need the number of images of each class"):
        LossOptions(**options)(LOGITS, TARGETS)


def test_the_shares_that_a_network_has_learnt():
    shares, counts = torch.tensor([0.8, 0.2]), torch.tensor([80.0, 20.0])
    assert LossOptions().learnt_shares(shares, counts).tolist() == pytest.approx([0.8, 0.2])
    assert LossOptions(logit_adjustment=1.0).learnt_shares(shares, counts).tolist() == pytest.approx([0.5, 0.5])
    half = LossOptions(logit_adjustment=0.5).learnt_shares(shares, counts)
    assert (half[0] / half[1]).item() == pytest.approx(2)  # the root of 0.8 / 0.2
    assert LossOptions(class_weights="inverse").learnt_shares(shares, counts).tolist() == pytest.approx([0.5, 0.5])
    empty = LossOptions().learnt_shares(torch.tensor([1.0, 0.0]), torch.tensor([100.0, 0.0]))
    assert empty[1] > 0


@pytest.mark.parametrize(
    "options", [{"logit_adjustment": 0.5}, {"label_smoothing": 0.2}, {"label_smoothing": 0.1, "logit_adjustment": 1.0}]
)
def test_the_learnt_shares_are_what_a_network_without_a_clue_answers(options):
    """Votes have other shares than labels; the loss must be least where every answer is `learnt_shares`."""
    loss, votes, counts = LossOptions(**options), torch.tensor([0.8, 0.2]), torch.tensor([90.0, 10.0])
    logits = loss.learnt_shares(votes, counts).log()[None].requires_grad_()
    loss(logits, votes[None], counts).backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.zeros(1, 2), atol=1e-6, rtol=0)
