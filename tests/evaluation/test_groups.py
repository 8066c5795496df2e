"""Groups are measured as everything else is, and gaps are held against chance."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from fer_lightning.evaluation.bootstrap import redrawn
from fer_lightning.evaluation.divisions import divisions_of
from fer_lightning.evaluation.gaps import Gap, Side, gaps_of
from fer_lightning.evaluation.groups import MEASURED, Groups
from fer_lightning.evaluation.predictions import Predictions
from fer_lightning.evaluation.slices import Slice, slices_of, worst


def made(people, right, labels=None, **columns) -> Predictions:
    """Predictions for images of `people` that are right or wrong; a wrong answer names the other of two classes."""
    labels = np.zeros(len(people), int) if labels is None else np.array(labels)
    answers = np.where(right, labels, 1 - labels)
    texts = {name: [str(value) for value in values] for name, values in columns.items()}
    n = len(people)
    names = [f"{number}.png" for number in range(n)]
    return Predictions(
        names, labels, np.eye(2)[answers] * 0.8 + 0.1, ("a", "b"), [str(x) for x in people], [""] * n,
        np.zeros(n, bool), texts,
    )  # fmt: skip


def grouped(predictions) -> tuple[Groups, dict[str, Slice], list[Gap], dict[str, Gap]]:
    groups = Groups(predictions, divisions_of(predictions, None)[0])
    slices = slices_of(groups)
    return groups, {f"{one.attribute}={one.value}": one for one in slices}, *gaps_of(groups, slices)


def f1_of_its_own(predictions, weights=None) -> float:
    """The mean F1 over the classes of which there are images."""
    known = predictions.measures.drawn(weights).per_class
    return known["f1"][known["support"] > 0].mean()


def test_figures_and_draws_are_those_of_the_measures(predictions):
    divided = replace(predictions, attributes={"x": ["a"] * 10 + ["b"] * 20 + [""] * 30})
    groups = Groups(divided, divisions_of(divided, None, ["x"])[0])
    codes = np.unique(divided.identities, return_inverse=True)[1]
    some = list(redrawn(20, 3))
    for number in range(3):
        rows = np.flatnonzero(groups.divisions[0].codes == number)
        chosen = divided.take(rows.tolist())
        values = chosen.measures.values()
        values["macro_f1"] = f1_of_its_own(chosen)
        assert groups.tallies[0].figures[number].tolist() == pytest.approx([values[name] for name in MEASURED])
        for draw, counts in enumerate(some):
            weights = counts[codes][rows].astype(float)
            values = chosen.measures.values(weights)
            values["macro_f1"] = f1_of_its_own(chosen, weights)
            assert groups.drawn[0][draw, number].tolist() == pytest.approx([values[name] for name in MEASURED])
    assert groups.drawn[0].shape == (1000, 3, 3)


def test_a_slice_by_hand():
    """Forty women with one image each, 30 right; ten men with four images each, of whom five are always right."""
    people = [*range(40), *np.repeat(range(40, 50), 4)]
    right = np.array([1] * 30 + [0] * 10 + [1] * 20 + [0] * 20, bool)
    _, slices, gaps, largest = grouped(made(people, right, gender=["f"] * 40 + ["m"] * 40))
    f, m = slices["gender=f"], slices["gender=m"]
    assert (f.images, f.people, m.images, m.people) == (40, 40, 40, 10)
    assert (f.measurable, m.measurable) == (True, True)
    assert (f.accuracy, m.accuracy, m.balanced_accuracy) == (0.75, 0.5, 0.5)
    assert m.macro_f1 == pytest.approx(2 * 20 / (40 + 20))
    assert f.majority == 1
    width = {one.value: one.intervals["accuracy"][1] - one.intervals["accuracy"][0] for one in (f, m)}
    assert width["m"] > 1.8 * width["f"]  # people are redrawn, not images
    assert abs(f.intervals["accuracy"][0] - (0.75 - 1.96 * (0.75 * 0.25 / 40) ** 0.5)) < 0.03
    accuracy = next(gap for gap in gaps if gap.measure == "accuracy")
    assert (accuracy.attribute, accuracy.value, accuracy.groups) == ("gender", 0.25, 2)
    assert (accuracy.best, accuracy.worst) == (Side("f", 0.75, 40, 40), Side("m", 0.5, 40, 10))
    assert accuracy.low < 0.25 < accuracy.high
    assert largest["accuracy"] == accuracy
    assert [gap.measure for gap in gaps] == list(MEASURED)


def test_an_answer_that_names_a_class_without_images_in_a_group_costs_it_no_class():
    """Two groups of one class each; each has as many wrong answers, but only one names a class that it has."""
    right = np.array([1] * 39 + [0] + [1] * 40 + [0], bool)
    known = made(range(81), right, [0] * 40 + [1] * 40 + [0], group=["a"] * 40 + ["b"] * 41)
    _, slices, gaps, _ = grouped(known)
    a, b = slices["group=a"], slices["group=b"]
    assert a.macro_f1 == pytest.approx(2 * 39 / (40 + 39))
    assert a.intervals["macro_f1"][0] > 0.9
    assert b.macro_f1 == pytest.approx(2 * 40 / (40 + 41) / 2)  # it has an image of the other class
    assert next(gap.value for gap in gaps if gap.measure == "macro_f1") == pytest.approx(a.macro_f1 - b.macro_f1)


def test_small_slices_are_not_measurable_and_never_named():
    """29 images; 40 images of 9 people; and two large groups, the better of which has the larger slices."""
    people = [*range(29), *(100 + n % 9 for n in range(40)), *range(200, 260), *range(300, 360), 400]
    right = [0] * 69 + [1] * 60 + [1] * 30 + [0] * 30 + [0]
    value = ["29"] * 29 + ["nine"] * 40 + ["good"] * 60 + ["fair"] * 60 + ["one"]
    labels = [n % 2 for n in range(190)]
    _, slices, gaps, _ = grouped(made(people, np.array(right, bool), labels, group=value))
    assert (slices["group=29"].measurable, slices["group=29"].why) == (False, "fewer than 30 images")
    assert (slices["group=nine"].measurable, slices["group=nine"].why) == (False, "fewer than 10 people")
    assert np.isnan(slices["group=one"].intervals["accuracy"]).all()  # one person cannot be redrawn
    assert slices["group=nine"].accuracy == 0
    assert worst(list(slices.values())).value == "fair"
    assert {(gap.best.value, gap.worst.value, gap.groups) for gap in gaps} == {("good", "fair", 2)}


def test_the_same_people_are_redrawn_for_both_groups():
    """Everybody is seen by two cameras, which are right about the same people: there is no gap, and no doubt."""
    right = np.arange(40) % 2 == 0
    people = [*range(40), *range(40)]
    gaps = grouped(made(people, np.concatenate([right, right]), camera=["left"] * 40 + ["right"] * 40))[2]
    assert (gaps[0].value, gaps[0].low, gaps[0].high) == (0, 0, 0)
    gaps = grouped(made(people, np.repeat([True, False], 40), camera=["left"] * 40 + ["right"] * 40))[2]
    assert (gaps[0].value, gaps[0].low, gaps[0].high) == (1, 1, 1)
    assert gaps[0].larger_than_chance


def test_what_chance_makes_of_two_groups_by_hand():
    """Twenty of forty people are right. With k of them in the first group, the gap is |2k - 20| / 20; by the
    hypergeometric distribution |k - 10| is at most 0, 1, 2, 3 with probability 0.25, 0.66, 0.89, 0.97."""
    people, group = np.repeat(range(40), 3), np.repeat(["a"] * 20 + ["b"] * 20, 3)
    for first, larger in ((12, False), (13, False), (14, True)):
        right = np.repeat([1] * first + [0] * (20 - first) + [1] * (20 - first) + [0] * first, 3)
        gap = grouped(made(people, right == 1, group=group))[2][0]
        assert gap.value == pytest.approx((2 * first - 20) / 20)
        assert gap.chance == pytest.approx(0.1)
        assert gap.chance_95 == pytest.approx(0.3)
        assert gap.larger_than_chance == larger


def test_a_gap_that_its_interval_doubts_is_not_larger_than_chance_makes():
    """Of ten people in the small group one has half of the images, all wrong; the large group is always right."""
    people = [*[0] * 20, *np.repeat(range(1, 10), 3), *np.repeat(range(10, 400), 5)]
    right = np.arange(len(people)) >= 20
    gap = grouped(made(people, right, group=["few"] * 47 + ["many"] * (len(people) - 47)))[2][0]
    assert gap.value == pytest.approx(20 / 47)
    assert gap.value > gap.chance_95
    assert gap.low == 0  # in one draw of three, that person is not there
    assert not gap.larger_than_chance


@pytest.mark.slow
def test_groups_that_mean_nothing_seldom_make_more_than_chance():
    """Six columns of noise: the largest of their gaps is beyond chance in about one of twenty."""
    rng, found = np.random.default_rng(3), []
    people = np.repeat(range(150), 2)
    for _ in range(40):
        columns = {f"c{number}": np.repeat(rng.integers(0, 4, 150), 2) for number in range(6)}
        right = np.repeat(rng.random(150) < 0.7, 2)
        gaps, largest = grouped(made(people, right, **columns))[2:]
        assert largest["accuracy"].attributes == 6
        assert largest["accuracy"].value == max(gap.value for gap in gaps if gap.measure == "accuracy")
        found.append(largest["accuracy"].larger_than_chance)
        assert largest["accuracy"].chance > min(gap.chance for gap in gaps if gap.measure == "accuracy")
    assert sum(found) <= 6


def test_columns_are_compared_and_files_only_without_columns():
    people, right = range(80), np.arange(80) % 2 == 0
    known = replace(made(people, right), seen=np.arange(80) < 40, users=["me"] * 30 + ["you"] * 50)
    assert {gap.attribute for gap in grouped(known)[2]} == {"user.id", "person seen in training"}
    known = replace(known, attributes={"gender": ["f"] * 30 + ["m"] * 20 + [""] * 30})
    assert {gap.attribute for gap in grouped(known)[2]} == {"user.id"}  # whose gender is not stated is no group
    known = replace(known, attributes={"gender": ["f"] * 30 + ["m"] * 50})
    assert {gap.attribute for gap in grouped(known)[2]} == {"gender", "user.id"}


def test_one_person_or_no_division_gives_no_gap():
    known = made(["ann"] * 80, np.arange(80) % 2 == 0, gender=["f"] * 40 + ["m"] * 40)
    _, slices, gaps, largest = grouped(known)
    assert not slices["gender=f"].measurable
    assert (gaps, largest) == ([], {})
    assert grouped(made(range(80), np.arange(80) % 2 == 0))[1:] == ({}, [], {})


def test_ten_attributes_take_seconds():
    rng = np.random.default_rng(0)
    people = rng.integers(0, 1500, 3000)
    columns = {f"c{number}": rng.integers(0, 4, 1500)[people] for number in range(10)}
    started = time.monotonic()
    grouped(made(people, rng.random(3000) < 0.7, **columns))
    assert time.monotonic() - started < 20  # 0.5 s on a core of its own
