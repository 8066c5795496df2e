"""Intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from fer_lightning.evaluation.bootstrap import described, intervals, weights_of
from fer_lightning.evaluation.measures import Draw, Measures


def test_the_bootstrap_redraws_people_not_images():
    groups = ["ann"] * 50 + ["bob"] * 50 + [f"p{number}" for number in range(100)]
    for weights in weights_of(groups, draws=20):
        assert len(set(weights[:50])) == 1
        assert len(set(weights[50:100])) == 1
        assert len(set(weights[100:])) > 1
    again = list(weights_of(groups, draws=3))
    np.testing.assert_array_equal(again, list(weights_of(groups, draws=3)))


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """95 % intervals of the accuracy of a classifier that is right with probability 0.7."""
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(40):
        right = rng.random(150) < 0.7
        probabilities = np.where(right[:, None], [0.8, 0.2], [0.2, 0.8])
        measures = Measures(probabilities, np.zeros(150, np.int64))
        low, high = intervals(measures, [str(n) for n in range(150)], draws=200, seed=trial)[0]["accuracy"]
        held += low <= 0.7 <= high
    assert 34 <= held <= 40


def test_one_person_is_no_basis_for_an_interval():
    measures = Measures(np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([0, 1]))
    overall, classes = intervals(measures, ["ann", "ann"])
    assert all(np.isnan(bounds).all() for bounds in overall.values())
    assert np.isnan(classes["f1"]).all()
    assert classes["f1"].shape == (2, 2)
    assert described(["ann", "ann"]).startswith("none, as all 2 images are of one person")
    assert described(["ann"]).startswith("none, as there is only one image")
    assert described(["ann", "bob"]) == "95 %, bootstrap over 2 images, 1000 draws"
    assert described(["ann", "bob", "ann"]) == "95 %, bootstrap over 2 people, 1000 draws"


def test_one_person_makes_the_interval_wider():
    rng = np.random.default_rng(1)
    right = np.repeat(rng.random(20) < 0.7, 10)
    measures = Measures(np.where(right[:, None], [0.8, 0.2], [0.2, 0.8]), np.zeros(200, np.int64))
    widths = []
    for groups in ([str(n) for n in range(200)], [str(n // 10) for n in range(200)]):
        low, high = intervals(measures, groups, draws=300)[0]["accuracy"]
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_intervals_of_classes_by_hand():
    """Two people, always right or always wrong: recall is 0 or 1 when one of them is drawn twice."""
    measures = Measures(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1]))
    overall, classes = intervals(measures, ["ann", "bob"], draws=200)
    assert overall["accuracy"] == (0, 1)
    assert classes["recall"].T.tolist() == [[1, 1], [0, 0]]
    assert classes["support"].T.tolist() == [[0, 2], [0, 2]]


def test_the_costly_ranking_of_a_class_is_done_once_a_draw(monkeypatch):
    calls, whole = [], Draw._ranking
    monkeypatch.setattr(Draw, "_ranking", lambda self, label: calls.append(label) or whole(self, label))
    measures = Measures(np.random.default_rng(0).dirichlet(np.ones(3), 30), np.arange(30) % 3)
    intervals(measures, [str(number) for number in range(30)], draws=10)
    assert len(calls) == 3 * (10 + 1)  # ten draws, and the samples as they are


def over_confident(confidence):
    return 0.25 + 0.6 * confidence**2


@pytest.mark.parametrize("truth", [lambda confidence: confidence, over_confident])
@pytest.mark.parametrize("each", [1, 8])
def test_intervals_of_the_calibration_error_hold_the_truth(truth, each):
    """Networks whose error is known: one perfectly calibrated, one not; images of their own people, or of a few."""
    rng = np.random.default_rng(0)

    def seen(people):
        """Confidence and whether it is right; images of one person share half of their luck."""
        confidence = 0.5 + 0.5 * rng.beta(2, 1.2, people * each)
        noise, shared = rng.random(people * each), np.repeat(rng.random(people), each)
        luck = np.where(rng.random(people * each) < (0.5 if each > 1 else 0), shared, noise)
        return confidence, luck < truth(confidence)

    def measured(confidence, right):
        answers = np.stack([confidence, 1 - confidence], 1)
        return Measures(np.where(right[:, None], answers, answers[:, ::-1]), np.zeros(len(right), int))

    confidence, _ = seen(400_000 // each)
    bins = np.minimum((confidence * 15).astype(int), 14)
    known = np.abs(np.bincount(bins, confidence - truth(confidence))).sum() / len(bins)
    held, people = 0, 400 // each
    for trial in range(40):
        measures = measured(*seen(people))
        names = np.repeat(np.arange(people), each).astype(str).tolist()
        low, high = intervals(measures, names, draws=150, seed=trial)[0]["ece"]
        assert low <= measures.values()["ece"] <= high
        held += low - 1e-12 <= known <= high
    assert held >= 35  # 38 are due
