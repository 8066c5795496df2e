"""Accuracy, balanced accuracy and macro-F1 of many groups in many draws at once, from counts of each person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from fer_lightning.evaluation.bootstrap import DRAWS, redrawn
from fer_lightning.evaluation.divisions import Division
from fer_lightning.evaluation.measures import Measures
from fer_lightning.evaluation.predictions import Predictions

MEASURED = ("accuracy", "balanced_accuracy", "macro_f1")
"""What is measured of groups: the last axis of all figures here."""

_AT_ONCE = 50
"""Draws that are worked on at once, so that the memory they take has a bound."""


def figures(counts: np.ndarray) -> np.ndarray:
    """The measures in `MEASURED`, float64 `(..., 3)`.

    Balanced accuracy and macro-F1 are means over the classes of which there are images. In
    `fer_lightning.evaluation.measures`, macro-F1 also counts those that are only predicted, with 0: a small group, of
    few classes, would lose much by a single answer.

    Args:
        counts: float `(..., 3, c)`: for each class its right answers, its images, and the answers that name it; NaN
            comes of none.
    """
    right, true, claimed = np.moveaxis(counts.astype(float), -2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, f1 = right / true, np.where(true > 0, 2 * right / (true + claimed), np.nan)
        known = [(np.nansum(of, -1) / (~np.isnan(of)).sum(-1)) for of in (recall, f1)]
        return np.stack([right.sum(-1) / true.sum(-1), *known], -1)


@dataclass(frozen=True)
class Tally:
    """What each person adds to each group; `u` pairs of a person and a group, in the order of the groups."""

    counts: np.ndarray  # float32 `(u, 3, c)`, as `figures` takes them
    people: np.ndarray  # int64 `(u,)`
    ends: np.ndarray  # int64 `(g + 1,)`, where the pairs of each of the `g` groups start and end
    images: np.ndarray  # int64 `(g,)`

    @property
    def each(self) -> list[slice]:
        """The pairs of each group."""
        return [slice(start, end) for start, end in zip(self.ends[:-1], self.ends[1:], strict=True)]

    @property
    def persons(self) -> np.ndarray:
        """int64 `(g,)`, the people in each group."""
        return np.diff(self.ends)

    @cached_property
    def figures(self) -> np.ndarray:
        """float64 `(g, 3)`."""
        return figures(np.stack([self.counts[pairs].sum(0, float) for pairs in self.each]))

    def weighted(self, times: np.ndarray) -> np.ndarray:
        """The figures, float64 `(d, g, 3)`, where people count as often as `times`, float32 `(d, people)`, says."""
        classes = self.counts.shape[-1]
        flat, found = self.counts.reshape(len(self.counts), -1), []
        for pairs in self.each:
            added = times[:, self.people[pairs]] @ flat[pairs]
            found.append(figures(added.reshape(-1, 3, classes)))
        return np.stack(found, 1)

    def shuffled(self, groups: Sequence[int], shuffles: int, seed: int = 0) -> Iterator[np.ndarray]:
        """The figures of some groups, float64 `(len(groups), 3)`, as they would be with other people in them.

        Each shuffle deals the people of these groups out anew, so that a group has as many as before. Somebody who is
        in several groups is dealt out once for each.
        """
        rng = np.random.default_rng(seed)
        pairs = np.concatenate([np.arange(self.ends[group], self.ends[group + 1]) for group in groups])
        flat, ends = self.counts[pairs], np.cumsum(self.persons[list(groups)])[:-1]
        for _ in range(shuffles):
            dealt = np.split(rng.permutation(len(pairs)), ends)
            yield figures(np.stack([flat[some].sum(0, float) for some in dealt]))


def tally(measures: Measures, people: np.ndarray, division: Division) -> Tally:
    """Add up what each person has in each group.

    Args:
        measures: Those of `n` images.
        people: int64 `(n,)`, the number of who is in each.
        division: Their groups.
    """
    inside = division.codes >= 0
    codes, who = division.codes[inside], people[inside]
    labels, predicted, right = measures.labels[inside], measures.predicted[inside], measures.right[inside]
    total, classes = int(people.max()) + 1, measures.probabilities.shape[1]
    pairs, place = np.unique(codes * total + who, return_inverse=True)
    size = len(pairs) * classes
    added = [
        np.bincount(place * classes + of, weights, size).reshape(-1, classes)
        for of, weights in ((labels, right), (labels, None), (predicted, None))
    ]
    numbers = np.arange(len(division.names))
    ends = np.append(np.searchsorted(pairs // total, numbers), len(pairs))
    images = np.bincount(codes, minlength=len(numbers))
    return Tally(np.stack(added, 1).astype(np.float32), pairs % total, ends, images)


class Groups:
    """Predictions in groups, by one or several divisions, and what a bootstrap over people makes of them.

    Attributes:
        predictions: The predictions.
        divisions: How their images are divided.
        tallies: What each person adds to each group, one a division.
    """

    def __init__(self, predictions: Predictions, divisions: Sequence[Division]) -> None:
        self.predictions, self.divisions = predictions, list(divisions)
        people = np.unique(np.asarray(predictions.identities), return_inverse=True)[1]
        self.people = int(people.max()) + 1
        self.tallies = [tally(predictions.measures, people, division) for division in divisions]

    @cached_property
    def drawn(self) -> list[np.ndarray]:
        """For each division, the figures of its groups in each draw, float64 `(draws, g, 3)`; NaN for nobody.

        All people are redrawn, the same for all groups and divisions, and for all predictions of the same people: what
        is compared in a draw has the same luck with people (a paired cluster bootstrap). With one person there is none.
        """
        draws = redrawn(self.people, DRAWS)
        found: list[list[np.ndarray]] = [[np.zeros((0, len(one.names), 3))] for one in self.divisions]
        while self.divisions and (some := list(islice(draws, _AT_ONCE))):
            times = np.stack(some).astype(np.float32)
            for one, known in zip(self.tallies, found, strict=True):
                known.append(one.weighted(times))
        return [np.concatenate(known) for known in found]
