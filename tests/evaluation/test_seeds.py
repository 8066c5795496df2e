"""Differences between groups of seeds: by hand, against another library, and what level they keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from fer_lightning.evaluation.compare import compared
from fer_lightning.evaluation.divisions import divisions_of
from fer_lightning.evaluation.measures import ECE, MEASURES
from fer_lightning.evaluation.recipes import Recipe, compared_recipes, compared_slices
from fer_lightning.evaluation.seeds import difference, student
from fer_lightning.evaluation.slices import slices_of


@pytest.mark.parametrize("degrees", [1, 1.5, 2, 4, 7.25, 30, 500])
def test_the_quantile_is_students(degrees):
    assert student(degrees) == pytest.approx(t.ppf(0.975, degrees), rel=1e-4)


def test_the_interval_is_obuchowskis_and_rocketts():
    """Seeds 0, 2 and 1, 5: variances 2 and 8. Of the draws, covariances within are 1 and 4/3, across 0."""
    one, two = np.array([0.0, 2.0]), np.array([1.0, 5.0])
    signs = np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]]) * 1.0
    first = signs[:, [0, 0]] * np.sqrt(3) / 2  # two seeds that move together: covariance 1
    other = signs[:, [1, 1]]
    change, low, high = difference(one, two, first, other, people=11)
    common = 1 + 4 / 3
    variance = 2 / 2 + 8 / 2 + common
    degrees = variance**2 / (1**2 / 1 + 4**2 / 1 + common**2 / 10)
    reach = t.ppf(0.975, degrees) * variance**0.5
    assert change == 2
    assert (low, high) == pytest.approx((2 - reach, 2 + reach), rel=1e-3)


def test_seeds_that_move_with_the_same_people_are_not_counted_twice():
    drawn = np.random.default_rng(0).normal(0, 1, 4000)
    alike = np.stack([drawn, drawn, drawn], 1)
    change, low, high = difference(np.array([0.0, 0.1, 0.2]), np.array([0.0, 0.1, 0.2]), alike, alike, 1000)
    reach = t.ppf(0.975, 4) * np.sqrt(2 * 0.01 / 3)
    assert (change, low, high) == pytest.approx((0, -reach, reach), rel=1e-3, abs=1e-12)


def test_one_training_is_taken_as_it_is():
    rng = np.random.default_rng(0)
    first, other = np.repeat(rng.normal(0, 1, (4000, 1)), 2, 1), rng.normal(0, 2, (4000, 1))
    _, low, high = difference(np.array([0.0, 0.0]), np.array([1.0]), first, other, 1001)
    assert (high - low) / 2 == pytest.approx(1.962 * np.sqrt(1 + 4), rel=0.05)


def test_what_is_undefined_has_no_interval():
    drawn = np.zeros((10, 2))
    assert np.isnan(difference(np.array([np.nan, 1]), np.array([1.0, 1]), drawn, drawn, 9)).all()
    assert np.isnan(difference(np.array([1.0, 2]), np.array([1.0, 1]), drawn[:0], drawn[:0], 1)[1:]).all()
    assert difference(np.array([1.0, 1]), np.array([2.0, 2]), drawn, drawn, 9) == (1, 1, 1)


def noisy(predictions, seed: int, by: float):
    rng = np.random.default_rng(seed)
    changed = predictions.probabilities + by * rng.dirichlet(np.ones(3), 60)
    return replace(predictions, probabilities=changed / changed.sum(1, keepdims=True))


def test_recipes_have_means_spreads_and_differences(predictions):
    first = Recipe([noisy(predictions, seed, 1) for seed in range(3)])
    other = Recipe([noisy(predictions, seed, 1) for seed in range(3, 6)])
    summary = first.summary()
    values = [one.measures.values()["nll"] for one in first.seeds]
    assert summary["metrics"]["nll"] == pytest.approx(np.mean(values))
    assert summary["sd"]["nll"] == pytest.approx(np.std(values, ddof=1))
    found = compared_recipes(first, other)
    assert set(found) == set(MEASURES)
    means = [np.mean([one.measures.values()["accuracy"] for one in each.seeds]) for each in (first, other)]
    row = found["accuracy"]
    assert row["value"] == pytest.approx(means[1] - means[0])
    assert row["low"] < row["value"] < row["high"]
    labels = replace(other.seeds[0], scored=False)
    assert compared_recipes(first, Recipe([labels, labels]))["nll"]["why"] == "there are no probabilities"


def test_groups_of_images_are_compared_as_all_are(predictions):
    divided = replace(predictions, attributes={"half": ["a"] * 30 + ["b"] * 30})
    first = Recipe([noisy(divided, seed, 1) for seed in range(2)])
    other = Recipe([noisy(divided, seed, 1) for seed in range(2, 4)])
    divisions, _ = divisions_of(divided, None, ["half"])
    ours, theirs = first.grouped(divisions), other.grouped(divisions)
    one, two = compared_slices(ours, theirs, slices_of(ours[0]))
    assert (one["value"], two["value"]) == ("a", "b")
    right = [np.mean([each.measures.right[:30].mean() for each in recipe.seeds]) for recipe in (first, other)]
    assert one["accuracy"]["difference"] == pytest.approx(right[1] - right[0])
    assert one["accuracy"]["low"] < one["accuracy"]["difference"] < one["accuracy"]["high"]


@pytest.mark.slow
def test_the_level_is_kept_where_redrawing_people_alone_does_not():
    """Seeds of one recipe differ by more than people make: experiments/compare_level.py has the whole table."""
    rng = np.random.default_rng(0)
    wrong = {"ours": 0, "people": 0}
    trials = 1000
    for _ in range(trials):
        cases = rng.normal(0, 1, 40)
        shifts = rng.normal(0, 0.3, 6)
        each = cases + shifts[:, None] + rng.normal(0, 0.5, (6, 40))
        weights = rng.multinomial(40, np.ones(40) / 40, 200) / 40
        drawn = weights @ each.T
        values = each.mean(1)
        _, low, high = difference(values[:3], values[3:], drawn[:, :3], drawn[:, 3:], 40)
        wrong["ours"] += low > 0 or high < 0
        low, high = np.percentile(drawn[:, 3:].mean(1) - drawn[:, :3].mean(1), [2.5, 97.5])
        wrong["people"] += low > 0 or high < 0
    assert wrong["ours"] / trials < 0.07
    assert wrong["people"] / trials > 0.3


def test_a_single_pair_is_compared_as_before(predictions):
    """Only people are redrawn for two runs, and the calibration error has the interval of its own."""
    found = compared(predictions, noisy(predictions, 0, 0.5))
    assert found["differences"][ECE]["low"] <= found["differences"][ECE]["value"] <= found["differences"][ECE]["high"]
    assert 0 < found["mcnemar_p"] <= 1
