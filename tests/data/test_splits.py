from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_lightning import FERError
from fer_lightning.data.held_out import hold_out, numbered
from fer_lightning.data.legend import SUBSETS, Legend
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.data.splits import TESTING, TRAINING, VALIDATION, make_split


def legend_of(images: list[str], labels: list[int], names: tuple[str, ...] = ("a", "b"), **columns) -> Legend:
    array = np.array(labels, np.int64)
    ranks = np.array([labels[:row].count(label) for row, label in enumerate(labels)], np.int64)
    fields = dict.fromkeys(("declared", "identities", "votes")) | columns
    rows = np.bincount(array, minlength=len(names))
    users = ["u"] * len(images)
    return Legend(Path("legend.csv"), Path("images"), images, array, names, users, ranks, rows, warnings=(), **fields)


@pytest.fixture
def crowd() -> Legend:
    """2,000 images of 400 people, classes of 1,600, 380 and 20 images."""
    rng = np.random.default_rng(0)
    people = np.sort(np.concatenate([np.arange(400), rng.integers(0, 400, 1600) ** 2 // 400]))
    images = [f"person{person}_{number:04d}.jpg" for number, person in enumerate(people)]
    labels = rng.permutation([0] * 1600 + [1] * 380 + [2] * 20).tolist()
    return legend_of(images, labels, ("big", "small", "tiny"))


def test_sequential_takes_the_first_int_of_fraction_times_rows_of_each_class():
    legend = legend_of([f"{number}.jpg" for number in range(18)], [0] * 11 + [1] * 7)
    split = make_split(legend, "sequential", val_fraction=0)
    assert (
        split.subsets.tolist() == [TRAINING] * 8 + [TESTING] * 3 + [TRAINING] * 5 + [TESTING] * 2
    )  # int(8.8), int(5.6)
    split = make_split(legend, "sequential", val_fraction=0.25)
    assert split.counts.tolist() == [[6, 3], [2, 2], [3, 2]]  # int(0.75 * 8), int(0.75 * 5)
    assert split.subsets[6:8].tolist() == [VALIDATION] * 2


def test_stratified_gives_every_class_its_share_to_the_image(crowd):
    split = make_split(crowd, "stratified", val_fraction=0.1)
    assert split.counts[TESTING].tolist() == [320, 76, 4]
    assert split.counts[VALIDATION].tolist() == [128, 30, 2]  # halves are rounded up
    assert make_split(crowd, "stratified", seed=1).fingerprint != split.fingerprint


def test_grouped_puts_nobody_on_two_sides_and_keeps_learned_prior(crowd):
    split = make_split(crowd, "grouped", val_fraction=0.1)
    sides: dict[str, set[int]] = {}
    for name, part in zip(split.identities, split.subsets.tolist(), strict=True):
        sides.setdefault(name, set()).add(part)
    assert all(len(parts) == 1 for parts in sides.values())
    assert split.shared_identities()[0] == 0
    share = split.counts[TESTING] / crowd.class_rows
    np.testing.assert_allclose(share, 0.2, atol=0.06)
    assert abs(split.counts[TESTING].sum() / len(crowd) - 0.2) < 0.02
    assert abs(split.counts[VALIDATION].sum() / (0.8 * len(crowd)) - 0.1) < 0.02


def test_a_split_depends_on_names_and_seed_not_on_the_order_of_rows(crowd):
    backwards = legend_of(crowd.images[::-1], crowd.labels.tolist()[::-1], crowd.class_names)
    for rule in ("stratified", "grouped"):
        one, other = make_split(crowd, rule), make_split(backwards, rule)
        assert one.subsets.tolist() == other.subsets.tolist()[::-1]
        assert one.fingerprint == other.fingerprint == make_split(crowd, rule).fingerprint
        assert one.fingerprint != make_split(crowd, rule, seed=1).fingerprint


def test_a_known_split_stays_as_it_is():
    legend = legend_of([f"p{n // 3}_{n}.jpg" for n in range(30)], [n % 2 for n in range(30)])
    split = make_split(legend, "grouped", val_fraction=0)
    held = sorted({name for name, part in zip(split.identities, split.subsets, strict=True) if part == TESTING})
    assert held == ["p0", "p5"]  # a changed value means that everybody's published splits change


def test_tiny_classes_stand_on_both_sides_if_they_can_and_never_crash():
    legend = legend_of([f"p{n}_1.jpg" for n in range(13)], [0] * 10 + [1] * 2 + [2], ("many", "two", "one"))
    for rule in ("sequential", "stratified", "grouped"):
        split = make_split(legend, rule, val_fraction=0)
        assert split.counts.sum() == 13
        assert any("'two' has too few test images to measure: 1 " in w for w in split.warnings) or rule == "sequential"
    assert split.counts[TESTING].tolist() == [2, 1, 0]
    assert split.counts[TRAINING].tolist() == [8, 1, 1]


def test_predefined_follows_the_column_and_draws_validation_from_training():
    images = [f"{number}.jpg" for number in range(40)]
    declared = np.array([0] * 30 + [2] * 10, np.int8)
    legend = legend_of(images, [0, 1] * 20, declared=declared)
    split = make_split(legend, "predefined", val_fraction=0.2)
    assert split.counts.tolist() == [[12, 12], [3, 3], [5, 5]]
    assert (split.subsets[30:] == TESTING).all()
    own = declared.copy()
    own[:4] = VALIDATION
    assert make_split(legend_of(images, [0, 1] * 20, declared=own), "predefined").subsets.tolist() == own.tolist()
    with pytest.raises(FERError, match="needs a column 'split'"):
        make_split(legend_of(images, [0, 1] * 20), "predefined")


def test_the_identity_pattern_and_column():
    images = ["ann-1.png", "ann-2.png", "bob-1.png", "odd.png"]
    legend = legend_of(images, [0, 1, 0, 1])
    assert make_split(legend, "stratified", 0.5, 0, identity=r"^(\w+)-").identities == ["ann", "ann", "bob", "odd.png"]
    column = legend_of(images, [0, 1, 0, 1], identities=["x", "x", "y", "y"])
    assert make_split(column, "grouped", 0.5, 0).identities == ["x", "x", "y", "y"]
    with pytest.raises(FERError, match=r"--data\.identity"):
        make_split(legend, identity="(")


def test_identities_come_from_the_file_name_whatever_the_folder():
    images = [f"{('hap', 'neu')[n % 2]}/ann{n // 2}_{n}.jpg" for n in range(200)]
    split = make_split(legend_of(images, [0, 1] * 100), "grouped")
    assert set(split.identities) == {f"ann{n}" for n in range(100)}
    assert split.shared_identities()[0] == 0


def test_that_nobody_repeats_is_pointed_out():
    split = make_split(legend_of([f"{n}.jpg" for n in range(50)], [0, 1] * 25), "grouped")
    assert any("no identity repeats" in warning for warning in split.warnings)


def test_two_hundred_classes():
    names = tuple(f"c{number:03d}" for number in range(200))
    legend = legend_of([f"{n}.jpg" for n in range(1000)], [n % 200 for n in range(1000)], names)
    for rule in ("sequential", "stratified", "grouped"):
        assert make_split(legend, rule).counts.sum(0).tolist() == [5] * 200


def test_a_pattern_that_makes_everybody_one_person_is_pointed_out():
    legend = legend_of([f"img_{number}.jpg" for number in range(50)], [0, 1] * 25)
    with pytest.raises(
        FERError, match=r"subset empty: 50 images, 1 identities.* largest is 'i' with 50.*--data\.identity"
    ):
        make_split(legend, "grouped", identity="(.)")
    names = [f"img_{number}.jpg" for number in range(30)] + [f"{number}.jpg" for number in range(70)]
    split = make_split(legend_of(names, [0, 1] * 50), "grouped", identity=r"(img)|.*")
    assert any("30 of 100 images are taken for one identity, 'img'" in warning for warning in split.warnings)


@pytest.mark.parametrize(
    "option", [{"train_fraction": 1.0}, {"train_fraction": 0}, {"val_fraction": 1}, {"val_fraction": -0.1}]
)
def test_fractions_out_of_range(option, crowd):
    with pytest.raises(FERError, match=rf"--data\.{next(iter(option))}"):
        make_split(crowd, **option)


def test_people_on_both_sides_are_counted(crowd):
    split = make_split(crowd, "stratified")
    training = {name for name, part in zip(split.identities, split.subsets, strict=True) if part != TESTING}
    known = sum(n in training for n, p in zip(split.identities, split.subsets, strict=True) if p == TESTING)
    assert split.shared_identities() == (known, 400)
    assert any(f"{known} of 400 test images" in warning for warning in split.warnings)


def test_the_written_split_reads_back_as_a_predefined_one(make_data, tmp_path):
    root = make_data([(f"p{n // 2}_{n}.png", ("anger", "fear", "jolly")[n % 3]) for n in range(60)])
    split = make_split(read_legend(root / "legend.csv", root / "images"), "grouped", val_fraction=0.2, seed=3)
    split.write_csv(tmp_path / "split.csv")
    again = make_split(read_legend(tmp_path / "split.csv", root / "images"), "predefined")
    assert again.fingerprint == split.fingerprint
    assert again.identities == split.identities
    assert len(SUBSETS) == len({*split.subsets.tolist()})


def test_folds_are_those_of_before_and_more_than_there_are_people_are_refused_at_once(crowd):
    groups, keys = numbered(make_split(crowd, "grouped").identities, 0)
    left = np.ones(len(crowd), bool)
    for fold in range(5):  # each is held out of what the ones before it have left
        expected = left if fold == 4 else hold_out(groups, keys, crowd, left, 1 / (5 - fold))
        assert ((make_split(crowd, "grouped", fold=(fold, 5)).subsets == TESTING) == expected).all()
        left = left & ~expected
    few = legend_of([f"p{number // 2}_{number}.jpg" for number in range(20)], [0, 1] * 10)
    for folds in (11, 20, 10**9):
        with pytest.raises(FERError, match=rf"--data.folds. Expected fewer, at most 10. Received: {folds}"):
            make_split(few, "grouped", fold=(0, folds))
    assert make_split(few, "grouped", fold=(0, 10)).counts[TESTING].sum() == 2
