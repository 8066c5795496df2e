from __future__ import annotations

import numpy as np
import pytest

from fer_lightning import FERDataModule
from fer_lightning.data.leakage import SIZE, leakage_fingerprint, leaked_fraction
from fer_lightning.data.splits import TESTING, TRAINING, make_split
from tests.data.test_splits import legend_of


def test_a_fingerprint_tells_how_many_training_images_are_tested_again():
    legend = legend_of([f"{number}.jpg" for number in range(2000)], [0, 1] * 1000)
    split, other = (make_split(legend, "stratified", seed=seed) for seed in (0, 1))
    seen = leakage_fingerprint(split)
    assert len(seen) == SIZE
    assert leaked_fraction(seen, split, TESTING) == 0
    assert leaked_fraction(seen, split, TRAINING) == 1
    true = np.mean(other.subsets[split.subsets == TRAINING] == TESTING)
    assert abs(leaked_fraction(seen, other, TESTING) - true) < 0.1  # about 0.2, with a standard error of 0.035


def test_images_are_known_again_in_combined_data_sets(make_data, tmp_path):
    rows = [(f"p{number}.png", ("jolly", "fear")[number % 2]) for number in range(40)]
    roots = [
        str(make_data([(f"{start}{image}", label) for image, label in rows], tmp_path / start)) for start in ("a", "b")
    ]
    both, alone = (FERDataModule(root, split="stratified", image_size=8) for root in (roots, roots[0]))
    seen = both.info.training.leakage_fingerprint
    assert leaked_fraction(seen, alone.split, TRAINING) == pytest.approx(0.5, abs=0.02)  # the other half is of b
    assert leaked_fraction(seen, alone.split, TESTING) == 0


def test_other_images_and_other_labels_do_not_leak():
    names = [f"{number}.jpg" for number in range(40)]
    seen = leakage_fingerprint(make_split(legend_of(names, [0, 1] * 20), "stratified"))
    assert len(seen) == 28  # all training images, as there are fewer than a fingerprint holds
    for images, labels in (([f"other{name}" for name in names], [0, 1] * 20), (names, [1, 0] * 20)):
        assert leaked_fraction(seen, make_split(legend_of(images, labels), "stratified", seed=1), TESTING) == 0
    assert leaked_fraction([], make_split(legend_of(names, [0, 1] * 20), "stratified"), TESTING) == 0
