"""The same measures for parts of the test images: where is the network worse than its average?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_lightning.data.image_metadata import ImageMetadata
from fer_lightning.evaluation.bootstrap import weights_of
from fer_lightning.evaluation.measures import Measures
from fer_lightning.evaluation.predictions import Predictions

SMALLEST = 30
"""Images that a slice needs to be compared."""


@dataclass(frozen=True)
class Slice:
    """One part of the test images.

    Attributes:
        fact: What the images were divided by.
        value: What these have in common.
        images: How many they are.
        accuracy: Share of right answers.
        interval: 95 % interval of the accuracy.
        balanced_accuracy: Mean recall of the classes that occur.
        macro_f1: Mean F1 of the classes that occur or are predicted.
        majority: Accuracy of always answering the slice's own most frequent class.
    """

    fact: str
    value: str
    images: int
    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    majority: float


def slices_of(predictions: Predictions, facts: Sequence[ImageMetadata]) -> list[Slice]:
    """Divide the images by source facts, by annotator and by whether the person was seen in training."""
    sides = [min(fact.width, fact.height) for fact in facts]
    divisions = {
        "colour": ["colour" if fact.colour else "grey" for fact in facts],
        "shorter side": [_size(side) for side in sides],
        "format": [f"{fact.format or 'unreadable'} {fact.mode}" for fact in facts],
        "user.id": predictions.users,
        "person seen in training": ["yes" if seen else "no" for seen in predictions.seen],
    }
    found = []
    for fact, values in divisions.items():
        array = np.array(values)
        names, counts = np.unique(array, return_counts=True)
        if len(names) > 1:
            largest = names[np.argsort(-counts, kind="stable")][:10]
            found += [_measured(predictions, fact, str(name), array == name) for name in largest]
    return found


def worst(slices: Sequence[Slice]) -> Slice | None:
    """The slice of at least `SMALLEST` images that lies furthest below what answering its majority class would give.

    A slice that holds nearly all images is the average, not a slice. Slices differ in how hard they are: one with 98 %
    neutral images is easy. So each is held against its own majority.
    """
    whole = max(
        (sum(part.images for part in slices if part.fact == fact) for fact in {p.fact for p in slices}), default=0
    )
    large = [part for part in slices if SMALLEST <= part.images <= 0.9 * whole]
    return min(large, key=lambda part: part.accuracy - part.majority, default=None)


def _size(side: int) -> str:
    for limit in (48, 100, 200, 400):
        if side < limit:
            return f"below {limit} px"
    return "400 px or more"


def _measured(predictions: Predictions, fact: str, value: str, chosen: np.ndarray) -> Slice:
    measures = Measures(predictions.probabilities[chosen], predictions.labels[chosen])
    values = measures.values()
    groups = [name for name, here in zip(predictions.identities, chosen.tolist(), strict=True) if here]
    drawn = [float(np.average(measures.right, weights=weights)) for weights in weights_of(groups, 300)]
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(set(groups)) > 1 else (np.nan, np.nan)
    counts = np.bincount(measures.labels)
    return Slice(
        fact=fact,
        value=value,
        images=int(chosen.sum()),
        accuracy=values["accuracy"],
        interval=(float(low), float(high)),
        balanced_accuracy=values["balanced_accuracy"],
        macro_f1=values["macro_f1"],
        majority=float(counts.max() / counts.sum()),
    )
