"""The same measures for slices of the test images: where is the network worse than its average?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_lightning.data.image_metadata import ImageMetadata
from fer_lightning.evaluation.bootstrap import interval, weights_of
from fer_lightning.evaluation.predictions import Predictions

SMALLEST = 30
"""Images that a slice needs to be compared."""


@dataclass(frozen=True)
class Slice:
    """Test images that have something in common."""

    attribute: str  # what the images were divided by
    value: str  # what these have in common
    images: int  # how many they are
    accuracy: float
    interval: tuple[float, float]  # 95 %, of the accuracy; NaN with one person only
    balanced_accuracy: float
    macro_f1: float
    majority: float  # accuracy of always answering the slice's own most frequent class


def slices_of(predictions: Predictions, metadata: Sequence[ImageMetadata]) -> list[Slice]:
    """Divide the images by their files' metadata, by annotator and by whether the person was seen in training."""
    divisions = {
        "color": ["color" if one.color else "gray" for one in metadata],
        "shorter side": [_size(min(one.width, one.height)) for one in metadata],
        "format": [f"{one.format or 'unreadable'} {one.mode}" for one in metadata],
        "user.id": predictions.users,
        "person seen in training": ["yes" if seen else "no" for seen in predictions.seen],
    }
    found = []
    for attribute, values in divisions.items():
        for name, count in Counter(sorted(values)).most_common(10):
            if count < len(values):
                rows = [row for row, value in enumerate(values) if value == name]
                found.append(_measured(predictions.take(rows), attribute, name))
    return found


def worst(slices: Sequence[Slice]) -> Slice | None:
    """The slice of at least `SMALLEST` images that lies furthest below what answering its majority class would give.

    A slice that holds nearly all images is the average, not a slice. Slices differ in how hard they are: one with 98 %
    neutral images is easy. So each is held against its own majority.
    """
    totals: Counter[str] = Counter()
    for one in slices:
        totals[one.attribute] += one.images
    whole = max(totals.values(), default=0)
    large = [one for one in slices if SMALLEST <= one.images <= 0.9 * whole]
    return min(large, key=lambda one: one.accuracy - one.majority, default=None)


def _size(side: int) -> str:
    return next((f"below {limit} px" for limit in (48, 100, 200, 400) if side < limit), "400 px or more")


def _measured(chosen: Predictions, attribute: str, value: str) -> Slice:
    measures = chosen.measures
    values = measures.values()
    draws = [float(np.average(measures.right, weights=weights)) for weights in weights_of(chosen.identities)]
    majority = float(np.bincount(measures.labels).max() / len(measures.labels))
    accuracy, balanced, f1 = (values[name] for name in ("accuracy", "balanced_accuracy", "macro_f1"))
    return Slice(attribute, value, len(chosen.images), accuracy, interval(draws), balanced, f1, majority)
