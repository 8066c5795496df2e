"""Fairness: the largest gap between groups, and the gap that chance alone would make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_lightning.evaluation.bootstrap import interval
from fer_lightning.evaluation.divisions import NOT_STATED, Division
from fer_lightning.evaluation.groups import MEASURED, Groups
from fer_lightning.evaluation.slices import Slice

SHUFFLES = 200


@dataclass(frozen=True)
class Side:
    """One of the two groups of a gap."""

    value: str  # of the attribute
    measured: float
    images: int
    people: int


@dataclass(frozen=True)
class Gap:
    """The largest difference between two groups of an attribute in a measure."""

    attribute: str
    measure: str  # one of `MEASURED`
    value: float  # of the best group less that of the worst
    low: float  # 95 % interval of the difference between these two
    high: float
    best: Side
    worst: Side
    groups: int  # how many groups there are to choose two from
    chance: float  # the largest gap if groups meant nothing: the median over shuffles
    chance_95: float  # 95 % of the shuffles stay below this
    larger_than_chance: bool  # whether it is above that, and its interval above 0
    attributes: int = 1  # how many attributes there were to choose from


def gaps_of(groups: Groups, slices: Sequence[Slice], shuffles: int = SHUFFLES) -> tuple[list[Gap], dict[str, Gap]]:
    """The largest gap within each attribute, and over all of them.

    Compared are the columns of the legend and the annotators; where there are no columns, what is known of files. Only
    measurable groups count, and not those of whom the value is not stated.

    The interval is that of the difference between the two groups, in a bootstrap that redraws the same people for both
    (cluster bootstrap; Field and Welsh 2007). Two groups that were chosen because they are far apart are far apart by
    chance as well, so the gap is also held against chance: group membership is shuffled among people, and the largest
    gap between any two groups taken again (a permutation test of fairness: DiCiccio et al. 2020, arXiv 2007.05124).
    Over several attributes, the largest of the largest gaps is compared with the largest of theirs in each shuffle
    (Westfall and Young 1993). Somebody in several groups is shuffled as one person for each. Shuffling takes groups of
    many and of few people to vary alike, and the bootstrap does not; so only a gap that both find is called larger than
    chance makes it.

    A gap says that groups differ, not why: one may have harder expressions, or worse images.

    Args:
        groups: The predictions in groups.
        slices: What `slices_of` says of them, in the same order.
        shuffles: How often membership is shuffled.

    Returns:
        The gaps, for each attribute one a measure; and the largest for each measure, with its chance over all
        attributes. None where no attribute has two groups to compare.
    """
    rest, gaps, by_chance = iter(slices), [], []
    for division, tally, drawn in zip(groups.divisions, groups.tallies, groups.drawn, strict=True):
        own = [next(rest) for _ in division.names]
        there = [place for place, one in enumerate(own) if one.measurable and one.value != NOT_STATED]
        if len(there) < 2 or not is_compared(division, groups.divisions):
            continue
        chance = np.array([np.ptp(found, 0) for found in tally.shuffled(there, shuffles)])
        by_chance.append(chance)
        for number, measure in enumerate(MEASURED):
            known = tally.figures[:, number]
            best, worst = max(there, key=known.__getitem__), min(there, key=known.__getitem__)
            top, bottom = (Side(own[x].value, float(known[x]), own[x].images, own[x].people) for x in (best, worst))
            low, high = interval(drawn[:, best, number] - drawn[:, worst, number])
            value = float(known[best] - known[worst])
            against = _against(value, low, chance[:, number])
            gaps.append(Gap(division.attribute, measure, value, low, high, top, bottom, len(there), *against))
    largest = {}
    for number, measure in enumerate(MEASURED) if gaps else ():
        gap = max((one for one in gaps if one.measure == measure), key=lambda one: one.value)
        median, most, larger = _against(gap.value, gap.low, np.max(by_chance, 0)[:, number])
        whole = replace(gap, chance=median, chance_95=most, larger_than_chance=larger, attributes=len(by_chance))
        largest[measure] = whole
    return gaps, largest


def is_compared(division: Division, divisions: Sequence[Division]) -> bool:
    """Whether the groups of a division are held against each other, and not only shown."""
    return division.kind != "file" or all(one.kind != "column" for one in divisions)


def _against(value: float, low: float, chance: np.ndarray) -> tuple[float, float, bool]:
    median, most = np.percentile(chance, [50, 95]).tolist()
    return median, most, value > most and low > 0
