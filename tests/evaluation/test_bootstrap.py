"""Intervals hold what they promise."""

from __future__ import annotations

import numpy as np

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
