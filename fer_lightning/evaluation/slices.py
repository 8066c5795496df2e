"""The same measures for slices of the test images: where is the network worse than its average?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fer_lightning.evaluation.bootstrap import interval
from fer_lightning.evaluation.divisions import Kind
from fer_lightning.evaluation.groups import MEASURED, Groups

SMALLEST = 30
"""Images that a slice needs to be compared."""

FEWEST_PEOPLE = 10
"""People that a slice needs to be compared: with fewer, it is about them and not about what they have in common."""


@dataclass(frozen=True)
class Slice:
    """Test images that have something in common."""

    attribute: str  # what the images were divided by
    value: str  # what these have in common
    kind: Kind  # whether the attribute is a column of the legend, the annotator, or a fact about the file
    images: int  # how many they are
    people: int  # how many people are in them
    measurable: bool  # whether they are enough to be compared
    why: str  # why not, in a few words
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    intervals: Mapping[str, tuple[float, float]]  # 95 %, of these three; NaN with one person only
    majority: float  # accuracy of always answering the slice's own most frequent class


def slices_of(groups: Groups) -> list[Slice]:
    """Measure every group of images; intervals come from a bootstrap over people (see `Groups.drawn`)."""
    found = []
    labels = groups.predictions.labels
    for division, tally, drawn in zip(groups.divisions, groups.tallies, groups.drawn, strict=True):
        for number, value in enumerate(division.names):
            images, people = int(tally.images[number]), int(tally.persons[number])
            why = "" if people >= FEWEST_PEOPLE else f"fewer than {FEWEST_PEOPLE} people"
            why = why if images >= SMALLEST else f"fewer than {SMALLEST} images"
            draws = drawn[:, number] if people > 1 else drawn[:0, number]
            bounds = {name: interval(draws[:, place]) for place, name in enumerate(MEASURED)}
            majority = float(np.bincount(labels[division.codes == number]).max() / images)
            accuracy, balanced, f1 = tally.figures[number].tolist()
            about = (division.attribute, value, division.kind, images, people, not why, why)
            found.append(Slice(*about, accuracy, balanced, f1, bounds, majority))
    return found


def worst(slices: Sequence[Slice]) -> Slice | None:
    """The measurable slice that lies furthest below what answering its majority class would give.

    A slice that holds nearly all images is the average, not a slice. Slices differ in how hard they are: one with 98 %
    neutral images is easy. So each is held against its own majority.
    """
    totals: Counter[str] = Counter()
    for one in slices:
        totals[one.attribute] += one.images
    whole = max(totals.values(), default=0)
    large = [one for one in slices if one.measurable and one.images <= 0.9 * whole]
    return min(large, key=lambda one: one.accuracy - one.majority, default=None)
