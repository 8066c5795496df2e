from __future__ import annotations

import numpy as np
import pytest
import torch

from fer_lightning.model.calibration import fit_temperature, risk_coverage, stored_curve, threshold_for_risk


def nll(logits, labels, temperature):
    return torch.nn.functional.cross_entropy(logits / temperature, labels).item()


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_the_temperature_that_the_labels_were_drawn_with_is_found(true):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 5, generator=generator)
    labels = torch.multinomial((logits / true).softmax(1), 1, generator=generator)[:, 0]
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(true, rel=0.05)
    assert nll(logits, labels, found) <= min(nll(logits, labels, found * f) for f in (0.98, 0.995, 1.005, 1.02)) + 1e-7


def test_extremes_stay_within_bounds():
    logits = torch.eye(4).repeat(5, 1) * 3
    right = torch.arange(4).repeat(5)
    assert 0.05 <= fit_temperature(logits, right) < 0.2
    assert fit_temperature(logits, (right + 1) % 4) == pytest.approx(20)


def test_risk_and_coverage_by_hand():
    confidence = np.array([0.9, 0.6, 0.8, 0.6, 0.95])
    right = np.array([True, False, False, True, True])
    thresholds, coverage, risk = risk_coverage(confidence, right)
    assert thresholds.tolist() == [0.95, 0.9, 0.8, 0.6]
    assert coverage.tolist() == pytest.approx([0.2, 0.4, 0.6, 1.0])
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 5])


def test_the_threshold_keeps_to_the_risk_and_answers_as_much_as_it_can():
    curve = stored_curve(np.array([0.9, 0.6, 0.8, 0.6, 0.95]), np.array([True, False, False, True, True]))
    assert threshold_for_risk(curve, 0.0) == 0.9
    assert threshold_for_risk(curve, 0.35) == 0.8
    assert threshold_for_risk(curve, 0.5) == 0.6
    assert threshold_for_risk([[0.7, 1.0, 0.5]], 0.1) > 1
    assert all(isinstance(value, float) for row in curve for value in row)
