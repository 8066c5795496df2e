"""Intervals: how far would a measure move with other people in the test set?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fer_lightning.evaluation.measures import MEASURES, Measures

DRAWS = 1000


def weights_of(groups: Sequence[str], draws: int = DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """Redraw whole groups with replacement: how often each sample counts in each draw, float `(n,)`.

    Images of one person are not independent of each other, so people are redrawn, not images (the cluster bootstrap;
    Field and Welsh 2007).

    Args:
        groups: `n` names, such as identities.
        draws: Number of draws.
        seed: Draws others.
    """
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    number = int(codes.max()) + 1
    for _ in range(draws):
        yield np.bincount(rng.integers(0, number, number), minlength=number)[codes].astype(float)


def intervals(
    measures: Measures, groups: Sequence[str], draws: int = DRAWS, seed: int = 0
) -> tuple[dict[str, tuple[float, float]], dict[str, np.ndarray]]:
    """95 % percentile intervals of every measure, by redrawing groups; NaN if there is only one group.

    Returns:
        For each measure of `Measures.values` its interval, and for each of `Measures.per_class` an array `(2, c)`.
    """
    if len(set(groups)) < 2:
        unknown = (float("nan"), float("nan"))
        blank = np.full((2, measures.probabilities.shape[1]), np.nan)
        return dict.fromkeys(MEASURES, unknown), dict.fromkeys(measures.per_class(), blank)
    drawn: list[dict[str, float]] = []
    drawn_classes: list[dict[str, np.ndarray]] = []
    for weights in weights_of(groups, draws, seed):
        drawn.append(measures.values(weights))
        drawn_classes.append(measures.per_class(weights))
    overall = {name: _between(np.array([draw[name] for draw in drawn])) for name in drawn[0]}
    classes = {
        name: np.array([_between(column) for column in np.array([draw[name] for draw in drawn_classes]).T]).T
        for name in drawn_classes[0]
    }
    return overall, classes


def _between(values: np.ndarray) -> tuple[float, float]:
    kept = values[~np.isnan(values)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(low), float(high)
