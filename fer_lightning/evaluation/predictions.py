"""Predictions of a test: one row an image, with what is needed to measure, slice and compare them."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_lightning.data.splits import Split
from fer_lightning.errors import FERError
from fer_lightning.evaluation.measures import Measures

_FIXED = ("image", "label", "predicted", "confidence", "identity", "user.id", "seen")


@dataclass(frozen=True)
class Predictions:
    """What a network said about `n` images with `c` classes.

    Attributes:
        images: Image names, relative to the image folder.
        labels: int64 `(n,)`.
        probabilities: float64 `(n, c)`.
        class_names: Names of the classes.
        identities: Who is in each picture.
        users: Who labelled each picture.
        seen: bool `(n,)`, whether the identity also stands in training (or validation, for images of the testing part).
    """

    images: list[str]
    labels: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]
    identities: list[str]
    users: list[str]
    seen: np.ndarray

    @property
    def measures(self) -> Measures:
        """The measures of these predictions."""
        return Measures(self.probabilities, self.labels)

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write them, with one column of probabilities a class."""
        measures, names = self.measures, self.class_names
        with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
            rows = csv.writer(stream)
            rows.writerow([*_FIXED[:4], *names, *_FIXED[4:]])
            for row, image in enumerate(self.images):
                shares = [f"{share:.9g}" for share in self.probabilities[row]]
                guess = int(measures.predicted[row])
                who = [self.identities[row], self.users[row], "yes" if self.seen[row] else "no"]
                rows.writerow([image, names[self.labels[row]], names[guess], shares[guess], *shares, *who])


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Read what `Predictions.write_csv` wrote.

    Raises:
        FERError: If there is no such file or it has other columns.
    """
    if not Path(path).is_file():
        raise FERError(f"No predictions at '{path}'. Expected a predictions.csv that `test` or `crossval` wrote.")
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not set(_FIXED) <= set(rows[0]):
        raise FERError(f"'{path}' is not a predictions.csv: expected rows with columns {', '.join(_FIXED)}.")
    names = tuple(name for name in rows[0] if name not in _FIXED)
    return Predictions(
        images=[row["image"] for row in rows],
        labels=np.array([names.index(row["label"]) for row in rows], np.int64),
        probabilities=np.array([[float(row[name]) for name in names] for row in rows]),
        class_names=names,
        identities=[row["identity"] for row in rows],
        users=[row["user.id"] for row in rows],
        seen=np.array([row["seen"] == "yes" for row in rows]),
    )


def of_split(split: Split, places: list[tuple[str, int]], probabilities: np.ndarray) -> Predictions:
    """Put probabilities beside what the split knows about the images.

    Args:
        split: The split that the images belong to.
        places: Image name and label of each row of `probabilities`; all of one part.
        probabilities: float `(n, c)`.
    """
    legend = split.legend
    rows = {place: row for row, place in enumerate(zip(legend.images, legend.labels.tolist(), strict=True))}
    chosen = [rows[place] for place in places]
    last = int(split.parts[chosen].max())
    known = {name for name, part in zip(split.identities, split.parts.tolist(), strict=True) if part < last}
    identities = [split.identities[row] for row in chosen]
    return Predictions(
        images=[image for image, _ in places],
        labels=np.array([label for _, label in places], np.int64),
        probabilities=probabilities,
        class_names=legend.class_names,
        identities=identities,
        users=[legend.users[row] for row in chosen],
        seen=np.array([name in known for name in identities]),
    )


def joined(parts: list[Predictions]) -> Predictions:
    """Several sets of predictions with the same classes as one."""
    first = parts[0]
    if any(part.class_names != first.class_names for part in parts):
        raise FERError(f"Predictions with different classes cannot be joined: {[p.class_names for p in parts]}.")
    return replace(
        first,
        images=[image for part in parts for image in part.images],
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        identities=[name for part in parts for name in part.identities],
        users=[user for part in parts for user in part.users],
        seen=np.concatenate([part.seen for part in parts]),
    )
