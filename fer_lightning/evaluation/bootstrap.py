"""Intervals: how far would a measure move with other people in the test set?"""

from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from fer_lightning.evaluation.measures import ECE, Measures

DRAWS = 1000


def weights_of(groups: Sequence[str], draws: int = DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """Redraw whole groups with replacement: how often each sample counts in each draw, float `(n,)`.

    Images of one person are not independent of each other, so people are redrawn, not images (the cluster bootstrap;
    Field and Welsh 2007).

    Args:
        groups: `n` names, such as identities. With one group only there is nothing to draw: no weights are given.
        draws: Number of draws.
        seed: Draws others.
    """
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    for counts in redrawn(int(codes.max()) + 1, draws, seed):
        yield counts[codes].astype(float)


def redrawn(number: int, draws: int = DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each of so many groups comes in each draw, int64 `(number,)`; of one group there are no draws."""
    rng = np.random.default_rng(seed)
    for _ in tqdm(range(draws if number > 1 else 0), "Redrawing people", delay=1, leave=False):
        yield np.bincount(rng.integers(0, number, number), minlength=number)


def intervals(
    measures: Measures, groups: Sequence[str], draws: int = DRAWS, seed: int = 0
) -> tuple[dict[str, tuple[float, float]], dict[str, np.ndarray]]:
    """95 % intervals of every measure, by redrawing groups; NaN if there is only one group.

    They are percentile intervals, but for the expected calibration error: see `errors_of_ece`.

    Returns:
        For each measure of `Draw.values` its interval, and for each of `Draw.per_class` an array `(2, c)`.
    """
    values, per_class, apart = [], [], []
    for weights in weights_of(groups, draws, seed):
        draw = measures.drawn(weights)
        values.append(draw.values())
        per_class.append(draw.per_class)  # worked out already, for the values
        apart.append(draw.apart)
    whole = measures.drawn()
    overall = {name: interval([each[name] for each in values]) for name in whole.values()}
    if apart and measures.scored:
        most, least = errors_of_ece(whole.apart, np.array(apart), len(set(groups)))
        found = float(np.abs(whole.apart).sum())
        overall[ECE] = max(0.0, found - interval(most)[1]), min(1.0, found - interval(least)[0])
    classes = {}
    for name, column in whole.per_class.items():
        table = np.array([each[name] for each in per_class]).reshape(-1, len(column))
        classes[name] = np.array([interval(one) for one in table.T]).T
    return overall, classes


def errors_of_ece(apart: np.ndarray, drawn: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """By how much the expected calibration error of the samples may miss that of all the world: from above, from below.

    Percentiles of the redrawn error itself are of no use: each draw adds noise to every bin, and noise of either sign
    makes a sum of absolute values larger, so that they lie above the truth, the more so the better calibrated a network
    is. The bins' means are plain means, which the bootstrap handles; the sum of their absolute values is convex and has
    a derivative in each direction. Where a bin is clearly apart from 0, that is the signed change. Where it is not, the
    change is at most its absolute value, and at least the signed one. (Fang and Santos 2019, doi:10.1093/restud/rdy049,
    with the side that is sure taken for each end.)

    Args:
        apart: float `(bins,)`, `Draw.apart` of the samples.
        drawn: float `(draws, bins)`, that of each draw.
        groups: How many groups were redrawn.

    Returns:
        Two arrays of float `(draws,)`: the error of the estimate is at most the first and at least the second.
    """
    change = drawn - apart
    signed = change * np.sign(apart)
    clear = np.abs(apart) > np.sqrt(2 * np.log(groups)) * drawn.std(0)
    return np.where(clear, signed, np.abs(change)).sum(1), signed.sum(1)


def interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The central 95 % of the values that are defined; NaN if none is."""
    kept = np.asarray(values, float)
    kept = kept[~np.isnan(kept)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(low), float(high)


def described(groups: Sequence[str]) -> str:
    """How `intervals` of these groups are made, or why there are none, in words for reports."""
    if why := no_interval(groups):
        return f"none, as {why} and intervals come from redrawing people"
    people = len(set(groups))
    return f"95 %, bootstrap over {people:,} {'people' if people < len(groups) else 'images'}, {DRAWS} draws"


def no_interval(groups: Sequence[str]) -> str:
    """Why `intervals` of these groups cannot be, in a few words; empty if they can."""
    if len(set(groups)) > 1:
        return ""
    return "there is only one image" if len(groups) == 1 else f"all {len(groups):,} images are of one person"
