"""Measures of a classifier's probabilities, with weights so that a bootstrap can redraw them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fer_lightning.data.splits import MEASURABLE

ECE, ECE_BINS = "ece", 15
ONE_CLASS = "all images are of one class"
"""Why there is no ranking."""

NO_PROBABILITIES = "there are no probabilities"
"""Why measures of confidence are undefined for answers that are labels alone."""


class Measures:
    """What is known of `n` samples and `c` classes; what does not depend on weights is worked out once.

    Attributes:
        probabilities: float `(n, c)`, rows sum to 1.
        labels: int `(n,)`, the true classes.
        predicted: int `(n,)`, the most probable classes.
        confidence: float `(n,)`, their probabilities.
        right: bool `(n,)`, whether the predicted class is the true one.
        within_two: bool `(n,)`, whether the true class is one of the two most probable; of equal ones, the first.
        log_loss: float `(n,)`, the negative natural logarithm of the true class's probability.
        squared_error: float `(n,)`, 0..2, squared differences from the one-hot label, added up over the classes.
        bins: int `(n,)`, in which of `ECE_BINS` equal bins of confidence a sample is.
        enough: bool `(c,)`, whether a class has `MEASURABLE` samples.
        scored: Whether there are probabilities; else they are 1 for the answered class, and measures that need them
            are undefined.
    """

    def __init__(self, probabilities: np.ndarray, labels: np.ndarray, scored: bool = True) -> None:
        classes = np.arange(probabilities.shape[1])
        own = np.take_along_axis(probabilities, labels[:, None], 1)
        ahead = (probabilities > own) | ((probabilities == own) & (classes < labels[:, None]))
        self.probabilities, self.labels, self.scored = probabilities, labels, scored
        self.predicted, self.confidence = probabilities.argmax(1), probabilities.max(1)
        self.right = self.predicted == labels
        self.within_two = ahead.sum(1) < 2
        self.log_loss = -np.log(np.clip(own[:, 0], 1e-12, 1))
        self.squared_error = ((probabilities - (classes == labels[:, None])) ** 2).sum(1)
        self.bins = np.minimum((self.confidence * ECE_BINS).astype(int), ECE_BINS - 1)
        self.enough = np.bincount(labels, minlength=len(classes)) >= MEASURABLE

    @cached_property
    def orders(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each class: samples by falling probability, and where each run of equal probabilities starts."""
        orders = [np.argsort(-scores, kind="stable") for scores in self.probabilities.T]
        runs = [np.diff(self.probabilities[order, label], prepend=np.nan) for label, order in enumerate(orders)]
        return [(order, np.flatnonzero(steps)) for order, steps in zip(orders, runs, strict=True)]

    def drawn(self, weights: np.ndarray | None = None) -> Draw:
        """These samples, each counted as often as `weights`, float `(n,)`, says; None counts each once."""
        return self._whole if weights is None else Draw(self, weights)

    @cached_property
    def _whole(self) -> Draw:
        return Draw(self, np.ones(len(self.labels)))

    def values(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """The values of `drawn(weights)`."""
        return self.drawn(weights).values()


@dataclass(frozen=True)
class Draw:
    """Samples that count as often as `weights`, float `(n,)`, say: what one draw of a bootstrap is measured on."""

    samples: Measures
    weights: np.ndarray

    def mean(self, values: np.ndarray) -> float:
        """The weighted mean of one value a sample, `(n,)`."""
        return float(np.average(values, weights=self.weights))

    @cached_property
    def confusion(self) -> np.ndarray:
        """Float `(c, c)`: samples by true (row) and predicted (column) class."""
        classes = self.samples.probabilities.shape[1]
        cells = self.samples.labels * classes + self.samples.predicted
        return np.bincount(cells, self.weights, classes**2).reshape(classes, classes)

    @cached_property
    def apart(self) -> np.ndarray:
        """Float `(ECE_BINS,)`: what each bin adds to mean confidence less accuracy."""
        apart = (self.samples.confidence - self.samples.right) * self.weights
        parts: np.ndarray = np.bincount(self.samples.bins, apart, ECE_BINS) / self.weights.sum()
        return parts

    @cached_property
    def per_class(self) -> dict[str, np.ndarray]:
        """Precision, recall, F1, support, AUROC and average precision, float `(c,)`; NaN where undefined."""
        true, claimed, hit = self.confusion.sum(1), self.confusion.sum(0), self.confusion.diagonal()
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(claimed > 0, hit / claimed, np.where(true > 0, 0.0, np.nan))
            recall = np.where(true > 0, hit / true, np.nan)
            f1 = np.where(true + claimed > 0, 2 * hit / (true + claimed), np.nan)
        ranked = np.full((len(true), 2), np.nan)
        if self.samples.scored:
            ranked = np.array([self._ranking(label) for label in range(len(true))])
        return {
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "support": true,
            "auroc": ranked[:, 0],
            "average_precision": ranked[:, 1],
        }

    def _ranking(self, label: int) -> tuple[float, float]:
        """AUROC (ties count half) and average precision of one class against the rest."""
        order, starts = self.samples.orders[label]
        mine, weight = (self.samples.labels == label)[order], self.weights[order]
        positive = np.add.reduceat(mine * weight, starts)
        negative = np.add.reduceat(~mine * weight, starts)
        hits, misses = positive.sum(), negative.sum()
        if hits == 0 or misses == 0:
            return np.nan, np.nan
        found, wrong = positive.cumsum(), negative.cumsum()
        auroc = (positive * (misses - wrong + negative / 2)).sum() / (hits * misses)
        precision = found / np.maximum(found + wrong, 1e-12)
        return float(auroc), float((positive / hits * precision).sum())

    def values(self) -> dict[str, float]:
        """Every measure in `MEASURES`; NaN where it is undefined."""
        return dict(self._values)

    @cached_property
    def _values(self) -> dict[str, float]:
        known = self.samples.scored
        return {name: one.compute(self) if known or not one.scored else np.nan for name, one in MEASURES.items()}

    def why_undefined(self, name: str) -> str:
        """Why a measure may be, in a few words."""
        measure = MEASURES[name]
        return NO_PROBABILITIES if measure.scored and not self.samples.scored else measure.undefined


@dataclass(frozen=True)
class Measure:
    """One measure of the whole: what it says, in a few words for reports; its value, NaN where it is undefined."""

    says: str
    compute: Callable[[Draw], float]
    lower_is_better: bool = False
    undefined: str = ""  # why it may be, in a few words
    scored: bool = False  # whether it needs probabilities

    @property
    def meaning(self) -> str:
        """What it says, and which way is better where that is not up."""
        return self.says + ", lower is better" * self.lower_is_better


def _mean_of(name: str, measurable: bool = False) -> Callable[[Draw], float]:
    """The mean over the classes for which a figure is defined."""

    def compute(draw: Draw) -> float:
        values = draw.per_class[name]
        kept = values[~np.isnan(values) & (draw.samples.enough | (not measurable))]
        return float(kept.mean()) if len(kept) else float("nan")

    return compute


def _weighted_f1(draw: Draw) -> float:
    return float(np.nansum(draw.per_class["f1"] * draw.per_class["support"]) / draw.weights.sum())


def _kappa(draw: Draw) -> float:
    chance = float(draw.confusion.sum(1) @ draw.confusion.sum(0)) / float(draw.weights.sum()) ** 2
    return (draw.mean(draw.samples.right) - chance) / (1 - chance) if chance < 1 else 0.0


MEASURES: dict[str, Measure] = {
    "accuracy": Measure("fraction of right answers", lambda draw: draw.mean(draw.samples.right)),
    "balanced_accuracy": Measure("mean recall of the classes that occur: each counts the same", _mean_of("recall")),
    "macro_f1": Measure("mean F1 of the classes that occur or are predicted", _mean_of("f1")),
    "macro_f1_measurable": Measure(
        f"mean F1 of the classes with {MEASURABLE} images or more",
        _mean_of("f1", measurable=True),
        undefined=f"no class has {MEASURABLE} images",
    ),
    "weighted_f1": Measure("mean F1, weighted by the classes' images", _weighted_f1),
    "top2_accuracy": Measure(
        "the label is one of the two most probable", lambda draw: draw.mean(draw.samples.within_two), scored=True
    ),
    "macro_auroc": Measure(
        "mean area under the ROC curve, one class against the rest",
        _mean_of("auroc"),
        undefined=ONE_CLASS,
        scored=True,
    ),
    "macro_average_precision": Measure(
        "mean average precision, one class against the rest",
        _mean_of("average_precision"),
        undefined=ONE_CLASS,
        scored=True,
    ),
    "cohen_kappa": Measure("agreement beyond chance", _kappa),
    "nll": Measure(
        "negative log-likelihood, natural logarithm",
        lambda draw: draw.mean(draw.samples.log_loss),
        lower_is_better=True,
        scored=True,
    ),
    "brier": Measure(
        "Brier score (0 to 2; Brier 1950)",
        lambda draw: draw.mean(draw.samples.squared_error),
        lower_is_better=True,
        scored=True,
    ),
    ECE: Measure(
        f"expected calibration error ({ECE_BINS} equal bins; Guo et al. 2017)",
        lambda draw: float(np.abs(draw.apart).sum()),
        lower_is_better=True,
        scored=True,
    ),
}
"""All measures by name, in the order they are shown: a new one is an entry here and nothing else."""
