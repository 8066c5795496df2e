"""Probabilities that mean what they say, and when to say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def fit_temperature(logits: Tensor, labels: Tensor, lowest: float = 0.05, highest: float = 20.0) -> float:
    """The temperature that minimises the negative log-likelihood of `softmax(logits / temperature)`.

    Temperature scaling (Guo et al. 2017, section 4.2). In the inverse temperature the likelihood is concave, so
    Newton's method finds the one optimum.

    Args:
        logits: float `(n, c)`.
        labels: int64 `(n,)`.
        lowest: Smallest temperature that is returned.
        highest: Largest temperature that is returned, as when the logits carry no information.
    """
    scores = logits.detach().cpu().double()  # not all devices have doubles
    own = scores.gather(1, labels.cpu()[:, None])[:, 0]
    inverse = 1.0
    for _ in range(50):
        probabilities = (scores * inverse).softmax(1)
        mean = (probabilities * scores).sum(1)
        slope = float((mean - own).mean())
        curve = float(((probabilities * scores**2).sum(1) - mean**2).mean())
        step = slope / max(curve, 1e-12)
        moved = min(max(inverse - step, inverse / 4, 1 / highest), inverse * 4, 1 / lowest)
        if abs(moved - inverse) < 1e-10:
            break
        inverse = moved
    return 1 / inverse


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What remains, and how often it is wrong, if only answers above a confidence are given (El-Yaniv and Wiener 2010).

    Args:
        confidence: float `(n,)`.
        right: bool `(n,)`.

    Returns:
        Thresholds (falling), coverage and risk at each, float `(k,)`; answers with a confidence of at least the
        threshold are given.
    """
    order = np.argsort(-confidence, kind="stable")
    given = np.arange(1, len(order) + 1)
    wrong = (~right[order]).cumsum()
    last = np.r_[np.diff(confidence[order]) != 0, True]
    return confidence[order][last], (given / len(order))[last], (wrong / given)[last]


def threshold_for_risk(curve: list[list[float]], target: float) -> float:
    """The lowest confidence at which at most `target`, 0..1, of the answers above it were wrong; above 1 if none is.

    `curve` has rows of threshold, coverage and risk, as the checkpoint stores them.
    """
    return min((threshold for threshold, _, risk in curve if risk <= target), default=1.01)


def stored_curve(confidence: np.ndarray, right: np.ndarray, points: int = 200) -> list[list[float]]:
    """`risk_coverage` thinned out to plain values for a checkpoint."""
    columns = np.stack(risk_coverage(confidence, right), 1)
    chosen = np.unique(np.linspace(0, len(columns) - 1, min(points, len(columns))).round().astype(int))
    rows: list[list[float]] = columns[chosen].tolist()
    return rows
