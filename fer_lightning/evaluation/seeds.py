"""The difference between two recipes of which there are several trainings each, measured on the same images."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_STEPS = 200_000
_MOST = 1000
"""Degrees of freedom that are as good as any more: the quantile is 1.962, and 1.960 without end."""


def difference(
    first: np.ndarray, other: np.ndarray, first_drawn: np.ndarray, other_drawn: np.ndarray, people: int
) -> tuple[float, float, float]:
    """The difference of the means (other less first) and its 95 % interval, for other seeds and other people.

    Seeds are to a recipe what readers are to a method of imaging, and people are the cases that all of them see: the
    analysis of Obuchowski and Rockette (1995, doi:10.1080/03610919508813243) with readers nested in methods (Hillis
    2014, doi:10.1002/sim.5926). The variance of the difference is

        s1^2 / n1 + s2^2 / n2 + max(c1 + c2 - 2 c12, 0)

    with the variances s^2 between n seeds, which hold what is due to seeds and what one seed makes of these people; and
    covariances c between two seeds of one recipe, and of both, when people are redrawn: what seeds have in common. The
    interval is Student's with Satterthwaite's degrees of freedom (1946), so few seeds make it wide. Where there is one
    training alone, nobody knows what its seed did, and it is taken as it is: then s is 0, and c its variance when
    people are redrawn.

    Args:
        first: float `(n1,)`, a measure of each training of the first recipe.
        other: float `(n2,)`, of the other one.
        first_drawn: float `(draws, n1)`, the same with people redrawn; NaN where it is undefined.
        other_drawn: float `(draws, n2)`, with the same people.
        people: How many people were redrawn.

    Returns:
        Difference, lower and upper end; NaN if the measure is undefined, or there is one person only.
    """
    change = float(other.mean() - first.mean())
    kept = ~(np.isnan(first_drawn).any(1) | np.isnan(other_drawn).any(1))
    if np.isnan(change) or kept.sum() < 2 or people < 2:
        return change, np.nan, np.nan
    draws = first_drawn[kept], other_drawn[kept]
    parts, within, uncertain = [], [], 0.0
    for values, drawn in zip((first, other), draws, strict=True):
        several = len(values) > 1
        parts.append(float(values.var(ddof=1)) / len(values) if several else 0.0)
        within.append(_between(drawn) if several else float(drawn.var(ddof=1)))
        uncertain += parts[-1] ** 2 / (len(values) - 1) if several else 0.0
    across = float(np.cov(draws[0].mean(1), draws[1].mean(1))[0, 1])
    common = max(sum(within) - 2 * across, 0.0)
    variance = sum(parts) + common
    uncertain += common**2 / (people - 1)
    if variance <= 0 or uncertain <= 0:
        return change, change, change
    reach = student(variance**2 / uncertain) * variance**0.5
    return change, change - reach, change + reach


def _between(drawn: np.ndarray) -> float:
    """The mean covariance of two of several columns, float `(draws, n)`."""
    count = drawn.shape[1]
    own = drawn.var(0, ddof=1).sum()
    return float((count**2 * drawn.mean(1).var(ddof=1) - own) / (count * (count - 1)))


def student(degrees: float) -> float:
    """What 95 % of Student's distribution with so many degrees of freedom, 1 or more, lie within, either side of 0."""
    return _student(round(min(max(degrees, 1.0), _MOST), 3))


@lru_cache(maxsize=4096)
def _student(degrees: float) -> float:
    angles = np.linspace(0, np.pi / 2, _STEPS)  # of which the tangents are the values, over the root of the degrees
    density = np.cos(angles) ** (degrees - 1)
    below = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return float(np.sqrt(degrees) * np.tan(np.interp(0.95 * below[-1], below, angles)))
