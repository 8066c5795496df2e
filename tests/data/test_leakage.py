from __future__ import annotations

import numpy as np
import pytest

from fer_lightning import FERDataModule
from fer_lightning.data.leakage import SIZE, overlap, sketch
from fer_lightning.data.splits import TESTING, TRAINING, make_split
from tests.data.test_splits import legend_of


def test_a_sketch_tells_how_many_training_images_are_tested_again():
    legend = legend_of([f"{number}.jpg" for number in range(2000)], [0, 1] * 1000)
    split, other = (make_split(legend, "stratified", seed=seed) for seed in (0, 1))
    seen = sketch(split)
    assert len(seen) == SIZE
    assert overlap(seen, split, TESTING) == 0
    assert overlap(seen, split, TRAINING) == 1
    true = np.mean(other.parts[split.parts == TRAINING] == TESTING)
    assert abs(overlap(seen, other, TESTING) - true) < 0.1  # about 0.2, with a standard error of 0.035


def test_images_are_known_again_in_a_pool_of_data_sets(make_data, tmp_path):
    rows = [(f"p{number}.png", ("joy", "fear")[number % 2]) for number in range(40)]
    roots = [
        str(make_data([(f"{start}{image}", label) for image, label in rows], tmp_path / start)) for start in ("a", "b")
    ]
    pooled, alone = (FERDataModule(root, split="stratified", image_size=8) for root in (roots, roots[0]))
    seen = pooled.facts()["sketch"]
    assert overlap(seen, alone.split, TRAINING) == pytest.approx(0.5, abs=0.02)  # the other half is of b
    assert overlap(seen, alone.split, TESTING) == 0


def test_other_images_and_other_labels_do_not_overlap():
    names = [f"{number}.jpg" for number in range(40)]
    seen = sketch(make_split(legend_of(names, [0, 1] * 20), "stratified"))
    assert len(seen) == 28  # all training images, as there are fewer than a sketch holds
    for images, labels in (([f"other{name}" for name in names], [0, 1] * 20), (names, [1, 0] * 20)):
        assert overlap(seen, make_split(legend_of(images, labels), "stratified", seed=1), TESTING) == 0
    assert overlap([], make_split(legend_of(names, [0, 1] * 20), "stratified"), TESTING) == 0
