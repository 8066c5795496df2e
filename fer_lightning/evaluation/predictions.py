"""Predictions of a test: one row an image, with what is needed to measure, slice and compare them."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.data.splits import Split
from fer_lightning.errors import FERError
from fer_lightning.evaluation.measures import Measures
from fer_lightning.files import replacing
from fer_lightning.names import cell, column, complaint, of_cell, of_column

_FIXED = ["image", "label", "predicted", "confidence", "identity", "user.id", "seen"]
_BEFORE = 6
"""Fixed columns in front of those of attributes; the last one stands behind them."""
_ATTRIBUTE = "attribute:"
_COLUMNS = ("images", "labels", "probabilities", "identities", "users", "seen")


@dataclass(frozen=True)
class Predictions:
    """What a network said about `n` images with `c` classes."""

    images: list[str]  # `n` names, relative to the image folder
    labels: np.ndarray  # int64 `(n,)`
    probabilities: np.ndarray  # float64 `(n, c)`
    class_names: tuple[str, ...]
    identities: list[str]  # who is in each image
    users: list[str]  # who labelled each image
    seen: np.ndarray  # bool `(n,)`, whether the identity is also in training (or validation, for a testing image)
    attributes: Mapping[str, list[str]] = field(default_factory=dict)  # further columns of the legend, `n` texts each
    scored: bool = True  # whether there are probabilities; else the answered class has 1 and the others 0

    @cached_property
    def measures(self) -> Measures:
        """The measures of these predictions."""
        return Measures(self.probabilities, self.labels, self.scored)

    def take(self, rows: Sequence[int]) -> Predictions:
        """Some rows only, in the order of their numbers."""
        chosen = list(rows)
        picked: dict[str, Any] = {}
        for name in _COLUMNS:
            values = getattr(self, name)
            picked[name] = values[chosen] if isinstance(values, np.ndarray) else [values[row] for row in chosen]
        attributes = {name: [values[row] for row in chosen] for name, values in self.attributes.items()}
        return replace(self, **picked, attributes=attributes)

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write them: seven columns about the image, then a column of probabilities a class.

        Attributes stand before the seventh, `attribute:` and their name. The column of a class that is called as
        another one is `class:` and its name; what a spreadsheet would take for a formula has an apostrophe in front
        (`names.column`, `names.cell`). Where there are no probabilities, their columns are empty.
        """
        guesses, names, further = self.measures.predicted, self.class_names, self.attributes
        with replacing(path, newline="", errors="backslashreplace") as stream:
            rows = csv.writer(stream)
            head = [*_FIXED[:_BEFORE], *(_ATTRIBUTE + name for name in further), *_FIXED[_BEFORE:]]
            rows.writerow([*head, *(cell(column(name, head)) for name in names)])
            for row, image in enumerate(self.images):
                values, guess = [f"{value:.9g}" for value in self.probabilities[row]], int(guesses[row])
                values = values if self.scored else [""] * len(names)
                who = [cell(self.identities[row]), cell(self.users[row])]
                who += [*(cell(known[row]) for known in further.values()), "yes" if self.seen[row] else "no"]
                answer = [cell(names[self.labels[row]]), cell(names[guess]), values[guess]]
                rows.writerow([cell(image), *answer, *who, *values])


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Read what `Predictions.write_csv` wrote.

    Columns are known by their place, so a class and an attribute may have any name. Version 0.1.0 wrote the last
    three of the fixed ones behind the classes.

    Raises:
        FERError: If there is no such file, or it is not such a file.
    """
    if not Path(path).is_file():
        raise FERError(f"No predictions at '{path}'. Expected a predictions.csv that test or crossval wrote.")
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.reader(stream)
        try:
            head = next(reader, [])
            further, classes = _places(head)
            fixed_places = (place for place in range(len(head)) if place not in further and place not in classes)
            order = [*fixed_places, *classes]
            if [head[place] for place in order[:7]] != _FIXED:
                raise FERError(f"'{path}' is not a predictions.csv: expected columns {', '.join(_FIXED)} and classes.")
            names = {of_column(of_cell(head[place])): number for number, place in enumerate(classes)}
            table = list(reader)
            rows = [[row[place] for place in order] for row in table]
            attributes = {
                head[place].removeprefix(_ATTRIBUTE): [of_cell(row[place]) for row in table] for place in further
            }
            labels = np.array([names[of_cell(row[1])] for row in rows], np.int64)
            scored = any(value for row in rows for value in row[7:])
            if scored:
                probabilities = np.array([[float(value) for value in row[7:]] for row in rows])
            else:
                probabilities = np.eye(len(names))[[names[of_cell(row[2])] for row in rows]]
        except (UnicodeDecodeError, csv.Error, ValueError, LookupError) as error:
            said = f"{type(error).__name__}, {str(error)[:200]}, up to line {reader.line_num}"
            raise FERError(f"'{path}' is damaged: {said}. Make it again.") from None
    if not rows:
        raise FERError(f"'{path}' holds no predictions: expected a row an image below the heading.")
    if len(names) < len(classes) or any(map(complaint, names)):
        raise FERError(f"'{path}' is damaged: its classes do not have names of their own. Make it again.")
    if len(attributes) < len(further):
        raise FERError(f"'{path}' is damaged: its attributes do not have names of their own. Make it again.")
    bad = ~((probabilities >= 0) & (probabilities <= 1.001)).all(1) | (np.abs(probabilities.sum(1) - 1) > 0.01)
    if bad.any():  # NaN is in no range
        line = int(bad.argmax()) + 2
        raise FERError(f"'{path}' is damaged: line {line} has no probabilities that add up to 1. Make it again.")
    fixed = list(zip(*(row[:7] for row in rows), strict=True))
    images, identities, users = ([of_cell(text) for text in fixed[place]] for place in (0, 4, 5))
    seen = np.array(fixed[6]) == "yes"
    return Predictions(images, labels, probabilities, tuple(names), identities, users, seen, attributes, scored)


def _places(head: Sequence[str]) -> tuple[range, range]:
    """The columns of attributes, and those of classes."""
    before, last = _FIXED[:_BEFORE], _FIXED[_BEFORE]
    of_0_1_0 = head[:7] != _FIXED and head[-3:] == _FIXED[4:]  # since, a class with such a name is under another one
    if head[:_BEFORE] == before and last in head[_BEFORE:] and not of_0_1_0:
        end = head.index(last, _BEFORE)
        if all(name.startswith(_ATTRIBUTE) for name in head[_BEFORE:end]):
            return range(_BEFORE, end), range(end + 1, len(head))
    return range(0), range(4, len(head) - 3)


def of_split(
    split: Split, rows: np.ndarray, probabilities: np.ndarray, class_names: tuple[str, ...] = (), scored: bool = True
) -> Predictions:
    """Put probabilities beside what the split knows about the images.

    Args:
        split: The split that the images belong to.
        rows: int64 `(n,)`, their rows in it; all of one subset.
        probabilities: float `(n, c)`.
        class_names: The `c` names, where there are more than the split has, behind those.
        scored: Whether they are probabilities; else answers without any.
    """
    legend = split.legend.take(rows)
    known = set(np.array(split.identities)[split.subsets < split.subsets[rows].max()].tolist())
    identities = [split.identities[row] for row in rows.tolist()]
    seen = np.array([name in known for name in identities])
    facts = class_names or legend.class_names, identities, legend.users, seen, legend.attributes
    return Predictions(legend.images, legend.labels, probabilities, *facts, scored)


def of_classes(predictions: Predictions, class_names: tuple[str, ...]) -> Predictions:
    """The same predictions with all of their classes, in another order and among others, which are never answered."""
    if class_names == predictions.class_names:
        return predictions
    places = np.array([class_names.index(name) for name in predictions.class_names])
    probabilities = np.zeros((len(predictions.images), len(class_names)))
    probabilities[:, places] = predictions.probabilities
    return replace(predictions, class_names=class_names, labels=places[predictions.labels], probabilities=probabilities)


def joined(several: Sequence[Predictions]) -> Predictions:
    """Several sets of predictions with the same classes as one; an attribute is empty where one does not have it.

    Raises:
        FERError: If their classes differ.
    """
    first = several[0]
    if any(one.class_names != first.class_names for one in several):
        raise FERError(f"Predictions with different classes cannot be joined: {[p.class_names for p in several]}.")
    together: dict[str, Any] = {}
    for name in _COLUMNS:
        columns = [getattr(one, name) for one in several]
        together[name] = np.concatenate(columns) if isinstance(columns[0], np.ndarray) else [*chain(*columns)]
    attributes = {
        name: [*chain.from_iterable(one.attributes.get(name, [""] * len(one.images)) for one in several)]
        for name in dict.fromkeys(chain.from_iterable(one.attributes for one in several))
    }
    return replace(first, **together, attributes=attributes)
