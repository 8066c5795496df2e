"""The difference between two networks' predictions on the same images, and whether it is more than luck."""

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np

from fer_lightning.evaluation.bootstrap import DRAWS, errors_of_ece, interval, weights_of
from fer_lightning.evaluation.gaps import Gap
from fer_lightning.evaluation.groups import MEASURED, Groups
from fer_lightning.evaluation.measures import ECE, MEASURES, NO_PROBABILITIES
from fer_lightning.evaluation.predictions import Predictions
from fer_lightning.evaluation.slices import Slice


def compared(first: Predictions, other: Predictions) -> dict[str, Any]:
    """Measure two networks on the same images, in the same order.

    Returns:
        `metrics` of the other; `differences` (other less first) with 95 % intervals from a bootstrap that redraws the
        same people for both, NaN if there is only one person; how many images each alone has right; `mcnemar_p`. The
        interval of the expected calibration errors' difference is a wide one, see `errors_of_ece`.
    """
    one, two = first.measures, other.measures
    drawn = [(one.drawn(weights), two.drawn(weights)) for weights in weights_of(first.identities, DRAWS)]
    draws = [(ours.values(), theirs.values()) for ours, theirs in drawn]
    before, after = one.values(), two.values()
    differences: dict[str, dict[str, Any]] = {}
    for name in after:
        low, high = interval([theirs[name] - ours[name] for ours, theirs in draws])
        differences[name] = {"value": after[name] - before[name], "low": low, "high": high}
        if not (one.scored and two.scored) and MEASURES[name].scored:
            differences[name]["why"] = NO_PROBABILITIES
    if drawn and one.scored and two.scored:
        people, moved = len(set(first.identities)), np.array([[each.apart for each in pair] for pair in drawn])
        ours, theirs = (errors_of_ece(own.drawn().apart, moved[:, k], people) for k, own in enumerate((one, two)))
        least, most = interval(theirs[1] - ours[0])[0], interval(theirs[0] - ours[1])[1]
        change = differences[ECE]["value"]
        differences[ECE] |= {"low": change - most, "high": change - least}
    only_first, only_other = int((one.right & ~two.right).sum()), int((two.right & ~one.right).sum())
    return {
        "metrics": after,
        "differences": differences,
        "only_first_right": only_first,
        "only_this_right": only_other,
        "mcnemar_p": mcnemar(only_first, only_other),
    }


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value for two classifiers that alone are right this often (McNemar 1947, binomial form)."""
    total, fewer = only_first + only_second, min(only_first, only_second)
    tail: float = sum(comb(total, k) for k in range(fewer + 1)) / 2**total
    return min(1.0, 2 * tail)


def compared_groups(first: Groups, other: Groups, slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """For each group and measure, what both networks have, and the difference (other less first).

    Args:
        first: The predictions of one network in groups.
        other: Those of another for the same images in the same groups: the same people are redrawn for both, so the
            95 % intervals are of pairs. NaN with one person.
        slices: The groups, as `slices_of` has them.
    """
    rest, found = iter(slices), []
    for place, division in enumerate(first.divisions):
        for group in range(len(division.names)):
            about = next(rest)
            row: dict[str, Any] = {
                name: getattr(about, name) for name in ("attribute", "value", "images", "people", "measurable", "why")
            }
            for number, measure in enumerate(MEASURED):
                before, after = (float(one.tallies[place].figures[group, number]) for one in (first, other))
                draws = other.drawn[place][:, group, number] - first.drawn[place][:, group, number]
                low, high = interval(draws if about.people > 1 else draws[:0])
                row[measure] = _change(before, after, low, high)
            found.append(row)
    return found


def compared_gaps(first: Groups, other: Groups, gaps: Sequence[Gap], others: Sequence[Gap]) -> list[dict[str, Any]]:
    """For each attribute and measure, the largest gap of both networks, and the difference (other less first).

    Args:
        first: The predictions of one network in groups.
        other: Those of another for the same images in the same groups.
        gaps: The gaps of the first, as `gaps_of` has them; the two groups of a gap may be others for the other network.
        others: Those of the other.
    """
    places = {division.attribute: place for place, division in enumerate(first.divisions)}
    found = []
    for one, two in zip(gaps, others, strict=True):
        place, number = places[one.attribute], MEASURED.index(one.measure)
        names = first.divisions[place].names
        draws = []
        for groups, gap in ((first, one), (other, two)):
            best, worst = (groups.drawn[place][:, names.index(side.value), number] for side in (gap.best, gap.worst))
            draws.append(best - worst)
        change = _change(one.value, two.value, *interval(draws[1] - draws[0]))
        found.append({"attribute": one.attribute, "measure": one.measure} | change)
    return found


def _change(before: float, after: float, low: float, high: float) -> dict[str, float]:
    return {"first": before, "this": after, "difference": after - before, "low": low, "high": high}
