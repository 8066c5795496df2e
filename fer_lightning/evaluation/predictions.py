"""Predictions of a test: one row an image, with what is needed to measure, slice and compare them."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fer_lightning.data.splits import Split
from fer_lightning.errors import FERError
from fer_lightning.evaluation.measures import Measures
from fer_lightning.files import replacing

_FIXED = ["image", "label", "predicted", "confidence", "identity", "user.id", "seen"]


@dataclass(frozen=True)
class Predictions:
    """What a network said about `n` images with `c` classes.

    Attributes:
        images: Image names, relative to the image folder.
        labels: int64 `(n,)`.
        probabilities: float64 `(n, c)`.
        class_names: Names of the classes.
        identities: Who is in each image.
        users: Who labelled each image.
        seen: bool `(n,)`, whether the identity is also in training (or validation, for images of the testing subset).
    """

    images: list[str]
    labels: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]
    identities: list[str]
    users: list[str]
    seen: np.ndarray

    @cached_property
    def measures(self) -> Measures:
        """The measures of these predictions."""
        return Measures(self.probabilities, self.labels)

    def take(self, rows: Sequence[int]) -> Predictions:
        """Some rows only, in the order of their numbers."""
        chosen = list(rows)
        return replace(
            self,
            images=[self.images[row] for row in chosen],
            labels=self.labels[chosen],
            probabilities=self.probabilities[chosen],
            identities=[self.identities[row] for row in chosen],
            users=[self.users[row] for row in chosen],
            seen=self.seen[chosen],
        )

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write them: seven columns about the image, then a column of probabilities a class, whatever its name."""
        guesses, names = self.measures.predicted, self.class_names
        with replacing(path, newline="", errors="backslashreplace") as stream:
            rows = csv.writer(stream)
            rows.writerow([*_FIXED, *names])
            for row, image in enumerate(self.images):
                values, guess = [f"{value:.9g}" for value in self.probabilities[row]], int(guesses[row])
                who = [self.identities[row], self.users[row], "yes" if self.seen[row] else "no"]
                rows.writerow([image, names[self.labels[row]], names[guess], values[guess], *who, *values])


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Read what `Predictions.write_csv` wrote.

    Columns are known by their place, so a class may have any name. Version 0.1.0 wrote the last three of the fixed ones
    behind the classes.

    Raises:
        FERError: If there is no such file, or it is not such a file.
    """
    if not Path(path).is_file():
        raise FERError(f"No predictions at '{path}'. Expected a predictions.csv that `test` or `crossval` wrote.")
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.reader(stream)
        try:
            head = next(reader, [])
            classes = range(7, len(head)) if head[:7] == _FIXED else range(4, len(head) - 3)
            order = [*(place for place in range(len(head)) if place not in classes), *classes]
            if [head[place] for place in order[:7]] != _FIXED:
                raise FERError(f"'{path}' is not a predictions.csv: expected columns {', '.join(_FIXED)} and classes.")
            names = {head[place]: number for number, place in enumerate(classes)}
            rows = [[row[place] for place in order] for row in reader]
            labels = np.array([names[row[1]] for row in rows], np.int64)
            probabilities = np.array([[float(value) for value in row[7:]] for row in rows])
        except (UnicodeDecodeError, csv.Error, ValueError, LookupError) as error:
            raise FERError(f"'{path}' is damaged: {error!r}, up to line {reader.line_num}. Make it again.") from None
    if not rows:
        raise FERError(f"'{path}' holds no predictions: expected a row an image below the heading.")
    columns = list(zip(*rows, strict=True))
    return Predictions(
        images=list(columns[0]),
        labels=labels,
        probabilities=probabilities,
        class_names=tuple(names),
        identities=list(columns[4]),
        users=list(columns[5]),
        seen=np.array(columns[6]) == "yes",
    )


def of_split(split: Split, rows: np.ndarray, probabilities: np.ndarray) -> Predictions:
    """Put probabilities beside what the split knows about the images.

    Args:
        split: The split that the images belong to.
        rows: int64 `(n,)`, their rows in it; all of one subset.
        probabilities: float `(n, c)`.
    """
    legend, chosen = split.legend, rows.tolist()
    subset = int(split.subsets[rows].max())
    known = {name for name, other in zip(split.identities, split.subsets.tolist(), strict=True) if other < subset}
    identities = [split.identities[row] for row in chosen]
    return Predictions(
        images=[legend.images[row] for row in chosen],
        labels=legend.labels[rows],
        probabilities=probabilities,
        class_names=legend.class_names,
        identities=identities,
        users=[legend.users[row] for row in chosen],
        seen=np.array([name in known for name in identities]),
    )


def joined(several: Sequence[Predictions]) -> Predictions:
    """Several sets of predictions with the same classes as one.

    Raises:
        FERError: If their classes differ.
    """
    first = several[0]
    if any(one.class_names != first.class_names for one in several):
        raise FERError(f"Predictions with different classes cannot be joined: {[p.class_names for p in several]}.")
    return replace(
        first,
        images=[image for one in several for image in one.images],
        labels=np.concatenate([one.labels for one in several]),
        probabilities=np.concatenate([one.probabilities for one in several]),
        identities=[name for one in several for name in one.identities],
        users=[user for one in several for user in one.users],
        seen=np.concatenate([one.seen for one in several]),
    )
