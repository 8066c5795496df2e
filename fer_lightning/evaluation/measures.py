"""Measures of a classifier's probabilities, with weights so that a bootstrap can redraw them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

MEASURABLE = 10
"""Images of a class that it takes before its own figures are worth quoting."""

ECE_BINS = 15

LOWER_IS_BETTER = frozenset({"nll", "brier", "ece"})


@dataclass(frozen=True)
class Measures:
    """All measures of `n` samples and `c` classes; what does not depend on weights is worked out once.

    Attributes:
        probabilities: float `(n, c)`, rows sum to 1.
        labels: int `(n,)`, the true classes.
    """

    probabilities: np.ndarray
    labels: np.ndarray

    @cached_property
    def predicted(self) -> np.ndarray:
        """Int `(n,)`: the most probable class."""
        return np.asarray(self.probabilities.argmax(1))

    @cached_property
    def confidence(self) -> np.ndarray:
        """Float `(n,)`: the probability of the predicted class."""
        return np.asarray(self.probabilities.max(1))

    @cached_property
    def right(self) -> np.ndarray:
        """Bool `(n,)`: whether the predicted class is the true one."""
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def _samples(self) -> dict[str, np.ndarray]:
        """What is a mean over samples."""
        own = self.probabilities[np.arange(len(self.labels)), self.labels]
        ties = np.arange(self.probabilities.shape[1]) < self.labels[:, None]
        ahead = ((self.probabilities > own[:, None]) | ((self.probabilities == own[:, None]) & ties)).sum(1)
        onehot = np.eye(self.probabilities.shape[1])[self.labels]
        return {
            "accuracy": self.right.astype(float),
            "top2_accuracy": (ahead < 2).astype(float),
            "nll": -np.log(np.clip(own, 1e-12, 1)),
            "brier": ((self.probabilities - onehot) ** 2).sum(1),
        }

    @cached_property
    def _bins(self) -> np.ndarray:
        return np.asarray(np.minimum((self.confidence * ECE_BINS).astype(int), ECE_BINS - 1))

    @cached_property
    def _orders(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each class: samples by falling probability, and where each run of equal probabilities starts."""
        orders = []
        for scores in self.probabilities.T:
            order = np.argsort(-scores, kind="stable")
            starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
            orders.append((order, starts))
        return orders

    def confusion(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Float `(c, c)`: samples by true (row) and predicted (column) class."""
        classes = self.probabilities.shape[1]
        cells = self.labels * classes + self.predicted
        return np.asarray(np.bincount(cells, weights, minlength=classes**2).reshape(classes, classes), float)

    def per_class(self, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Precision, recall, F1, support, AUROC and average precision, float `(c,)`; NaN where undefined."""
        matrix = self.confusion(weights)
        true, claimed, hit = matrix.sum(1), matrix.sum(0), matrix.diagonal()
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(claimed > 0, hit / claimed, np.where(true > 0, 0.0, np.nan))
            recall = np.where(true > 0, hit / true, np.nan)
            f1 = np.where(true + claimed > 0, 2 * hit / (true + claimed), np.nan)
        ranked = np.array([self._ranking(label, weights) for label in range(len(true))])
        return {
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "support": true,
            "auroc": ranked[:, 0],
            "average_precision": ranked[:, 1],
        }

    def _ranking(self, label: int, weights: np.ndarray | None) -> tuple[float, float]:
        """AUROC (ties count half) and average precision of one class against the rest."""
        order, starts = self._orders[label]
        mine = (self.labels == label)[order]
        weight = np.ones(len(order)) if weights is None else weights[order]
        positive = np.add.reduceat(mine * weight, starts)
        negative = np.add.reduceat(~mine * weight, starts)
        hits, misses = positive.sum(), negative.sum()
        if hits == 0 or misses == 0:
            return np.nan, np.nan
        found, wrong = positive.cumsum(), negative.cumsum()
        auroc = (positive * (misses - wrong + negative / 2)).sum() / (hits * misses)
        precision = found / np.maximum(found + wrong, 1e-12)
        return float(auroc), float((positive / hits * precision).sum())

    def values(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """The measures of the whole.

        accuracy, balanced_accuracy (mean recall of the classes that occur), macro_f1 (mean over classes that occur or
        are predicted), macro_f1_measurable (over classes with at least `MEASURABLE` samples), weighted_f1,
        top2_accuracy, macro_auroc and macro_average_precision (one class against the rest), cohen_kappa, nll (natural
        logarithm), brier (sum over classes, 0..2; Brier 1950), ece (15 equal bins of confidence; Guo et al. 2017).

        Args:
            weights: float `(n,)`, how often each sample counts; None counts each once.
        """
        total = float(len(self.labels)) if weights is None else float(weights.sum())
        each = self.per_class(weights)
        matrix = self.confusion(weights)
        support, claimed = each["support"], matrix.sum(0)
        enough = np.bincount(self.labels, minlength=len(support)) >= MEASURABLE
        chance = float(support @ claimed) / total**2
        values = {name: float(np.average(sample, weights=weights)) for name, sample in self._samples.items()}
        sums = [
            np.bincount(self._bins, part if weights is None else part * weights, minlength=ECE_BINS)
            for part in (self.confidence, self.right.astype(float))
        ]
        values |= {
            "balanced_accuracy": _mean(each["recall"]),
            "macro_f1": _mean(each["f1"]),
            "macro_f1_measurable": _mean(each["f1"][enough]),
            "weighted_f1": float(np.nansum(each["f1"] * support) / total),
            "macro_auroc": _mean(each["auroc"]),
            "macro_average_precision": _mean(each["average_precision"]),
            "cohen_kappa": (values["accuracy"] - chance) / (1 - chance) if chance < 1 else 0.0,
            "ece": float(np.abs(sums[0] - sums[1]).sum() / total),
        }
        return {name: values[name] for name in MEASURES}


MEASURES = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_f1_measurable",
    "weighted_f1",
    "top2_accuracy",
    "macro_auroc",
    "macro_average_precision",
    "cohen_kappa",
    "nll",
    "brier",
    "ece",
)
"""The names that `Measures.values` gives, in the order they are shown."""


def _mean(values: np.ndarray) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")
