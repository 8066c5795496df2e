"""The original data set gives the original notebook's numbers."""

from __future__ import annotations

import pytest

from fer_lightning import FERDataModule
from fer_lightning.data.legend import EXPRESSIONS
from tests.conftest import FERPLUS, REAL_DATA

pytestmark = pytest.mark.real_data

TRAINING = [201, 7, 166, 16, 4553, 5490, 214, 294]
TESTING = [51, 2, 42, 5, 1140, 1374, 54, 74]


@pytest.mark.slow
def test_the_notebooks_split_file_for_file(tmp_path):
    data = FERDataModule(
        str(REAL_DATA), split="sequential", conflicts="keep", val_fraction=0, prepared_dir=str(tmp_path), num_workers=0
    )
    data.prepare_data()
    assert data.class_names == EXPRESSIONS
    for part, expected in (("training", TRAINING), ("testing", TESTING)):
        found = {folder.name: sum(1 for _ in folder.iterdir()) for folder in (data.subsets.tree_path / part).iterdir()}
        assert found == dict(zip(EXPRESSIONS, expected, strict=True))
    assert sum(TRAINING) == 10_941
    assert sum(TESTING) == 2_742
    assert not (data.subsets.tree_path / "validation").exists()
    assert len(data.test_dataloader().dataset) == 2_742


def test_the_default_split_is_identity_disjoint_with_the_classes_shares():
    split = FERDataModule(str(REAL_DATA)).split
    assert split.shared_identities()[0] == 0
    share = split.counts[2] / split.counts.sum(0)
    for label, name in enumerate(EXPRESSIONS):
        if split.counts[:, label].sum() >= 200:
            assert share[label] == pytest.approx(0.2, abs=0.005), name
    assert abs(split.counts[2].sum() - 0.2 * 13_681) < 15


def test_ferplus_is_read_with_its_split_and_votes():
    data = FERDataModule(str(FERPLUS), split="predefined")
    assert data.class_names == EXPRESSIONS
    assert data.split.counts[2].sum() == 3_134
    assert data.split.counts[:2].sum() == 23_509
    assert data.legend.votes is not None
    assert (data.legend.votes.argmax(1) == data.legend.labels).mean() > 0.99
