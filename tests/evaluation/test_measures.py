"""Measures against scikit-learn, with and without weights, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from fer_lightning.evaluation.measures import ECE_BINS, MEASURES, Measures


@pytest.fixture(params=["unweighted", "weighted"])
def case(request):
    rng = np.random.default_rng(0)
    labels = rng.choice(6, 400, p=[0.3, 0.3, 0.2, 0.1, 0.08, 0.02])
    probabilities = np.round(rng.dirichlet(np.ones(6), 400) * 64) / 64 + 1 / 64  # exact ties, as in real life
    probabilities[np.arange(400), labels] += 16 / 64
    probabilities /= probabilities.sum(1, keepdims=True)
    weights = rng.integers(0, 4, 400).astype(float) if request.param == "weighted" else None
    return Measures(probabilities, labels), weights


def test_as_scikit_learn(case):
    measures, weights = case
    y, p, guess = measures.labels, measures.probabilities, measures.predicted
    values = measures.values(weights)
    assert list(values) == list(MEASURES)
    expected = {
        "accuracy": sk.accuracy_score(y, guess, sample_weight=weights),
        "balanced_accuracy": sk.balanced_accuracy_score(y, guess, sample_weight=weights),
        "macro_f1": sk.f1_score(y, guess, average="macro", sample_weight=weights),
        "weighted_f1": sk.f1_score(y, guess, average="weighted", sample_weight=weights),
        "top2_accuracy": sk.top_k_accuracy_score(y, p - 1e-9 * np.arange(6), k=2, sample_weight=weights),
        "macro_auroc": np.mean([sk.roc_auc_score(y == k, p[:, k], sample_weight=weights) for k in range(6)]),
        "macro_average_precision": np.mean(
            [sk.average_precision_score(y == k, p[:, k], sample_weight=weights) for k in range(6)]
        ),
        "cohen_kappa": sk.cohen_kappa_score(y, guess, sample_weight=weights),
        "nll": sk.log_loss(y, p, sample_weight=weights),
        "brier": np.average(((p - np.eye(6)[y]) ** 2).sum(1), weights=weights),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value), name
    each = measures.drawn(weights).per_class
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        y, guess, sample_weight=weights, zero_division=0
    )
    for name, column in (("precision", precision), ("recall", recall), ("f1", f1), ("support", support)):
        np.testing.assert_allclose(each[name], column, err_msg=name)


def test_expected_calibration_error_by_hand():
    # Two bins: confidence 0.9 and right in 1 of 2; confidence 0.6 and right in 2 of 2.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    measures = Measures(probabilities, np.array([0, 1, 0, 0]))
    assert measures.values()["ece"] == pytest.approx(0.5 * abs(0.9 - 0.5) + 0.5 * abs(0.6 - 1.0))
    assert int(0.9 * ECE_BINS) != int(0.6 * ECE_BINS)


def test_classes_that_are_missing_or_small():
    rng = np.random.default_rng(0)
    labels = np.array([0] * 20 + [1] * 10 + [2] * 3)
    probabilities = rng.dirichlet(np.ones(4), 33)
    probabilities[:, 3] = 0
    measures = Measures(probabilities / probabilities.sum(1, keepdims=True), labels)
    each, values = measures.drawn().per_class, measures.values()
    assert np.isnan(each["recall"][3])
    assert np.isnan(each["auroc"][3])
    assert values["macro_f1"] == pytest.approx(each["f1"][:3].mean())
    assert values["macro_f1_measurable"] == pytest.approx(each["f1"][:2].mean())
