"""Annotators' votes as targets of the training."""

from __future__ import annotations

import csv

import pytest

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import TESTING, TRAINING
from fer_lightning.errors import FERError


def voted(make_data, *extra, **votes_of):
    """A data set with votes for jolly and fear."""
    root = make_data([(f"p{number}.png", ("jolly", "fear")[number % 2]) for number in range(20)] + list(extra))
    rows = list(csv.reader((root / "legend.csv").open()))
    with open(root / "legend.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*rows[0], "fear", "jolly"])
        for row in rows[1:]:
            votes = votes_of.get(row[1][:-4], (2, 6) if row[2] == "jolly" else (9, 1))
            writer.writerow([*row, *votes])
    return root


def of_votes(root, tmp_path, **options) -> FERDataModule:
    fixed = {"classes": ["fear", "jolly"], "prepared_dir": str(tmp_path), "image_size": 8, "split": "stratified"}
    return FERDataModule(str(root), soft_labels=True, **fixed, **options)


def test_soft_labels_are_the_frequencies_of_the_votes(make_data, tmp_path):
    data = of_votes(voted(make_data), tmp_path)
    samples = data.samples(TRAINING)
    batch = samples.__getitems__(list(range(len(samples))))
    for label, target in zip(batch.labels.tolist(), batch.targets.tolist(), strict=True):
        assert target == pytest.approx([0.25, 0.75] if label == 1 else [0.9, 0.1])
    assert data.samples(TESTING).__getitems__([0]).targets is None


def test_a_relabelled_image_keeps_its_new_label(make_data, tmp_path):
    root = voted(make_data)
    split = of_votes(root, tmp_path).split
    image = split.legend.images[split.rows(TRAINING)[0]]
    (tmp_path / "relabel.csv").write_text(f"image,suggested\n{image},jolly\n")
    data = of_votes(root, tmp_path, relabel=str(tmp_path / "relabel.csv"))
    place = [data.split.legend.images[row] for row in data.split.rows(TRAINING)].index(image)
    assert data.samples(TRAINING).__getitems__([place]).targets.tolist() == [[0.0, 1.0]]


def test_soft_labels_need_votes(drawn, tmp_path):
    with pytest.raises(FERError, match="soft_labels needs a column of votes for each class"):
        FERDataModule(str(drawn), soft_labels=True, prepared_dir=str(tmp_path), image_size=8).train_dataloader()
