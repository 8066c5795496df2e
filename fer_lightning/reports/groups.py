"""Groups of people, in words and tables."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

WORDS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1"}
"""How the measures of groups are called in a sentence."""


def tables(slices: Sequence[Mapping[str, Any]], gaps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each attribute its slices, its gaps, and whether it is a column of the legend."""
    return [
        {
            "attribute": attribute,
            "slices": (own := list(some)),
            "column": own[0]["kind"] == "column",
            "gaps": [gap for gap in gaps if gap["attribute"] == attribute],
        }
        for attribute, some in groupby(slices, key=lambda one: one["attribute"])
    ]


def leading(largest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The gap to name first: in the first measure where it is larger than chance makes, else in accuracy."""
    return next((gap for gap in largest.values() if gap["larger_than_chance"]), largest.get("accuracy"))


def gap_sentence(gap: Mapping[str, Any]) -> str:
    """The largest gap in a measure, with the gap that chance makes, in words."""
    best, worst = (
        f"{side['value']} with {side['measured']:.3f} ({side['images']:,} images of {side['people']:,} people)"
        for side in (gap["best"], gap["worst"])
    )
    among = f", the largest of {gap['attributes']} attributes" if gap["attributes"] > 1 else ""
    return (
        f"Largest gap in {WORDS[gap['measure']]}: {gap['value']:.3f} ({interval_of(gap)}), by {gap['attribute']}{among}"
        f": {best} and {worst}. With people dealt out to the groups at random it is about {gap['chance']:.3f}, and at "
        f"most {gap['chance_95']:.3f} in 95 % of the cases: this one is {verdict(gap)}."
    )


def verdict(gap: Mapping[str, Any]) -> str:
    """Whether chance alone would make such a gap, in words."""
    if gap["larger_than_chance"]:
        return "larger than chance makes"
    return "in doubt, as its interval holds 0" if gap["value"] > gap["chance_95"] else "no larger than chance makes"


def interval_of(gap: Mapping[str, Any]) -> str:
    """The interval of a gap, in words."""
    return "no interval" if gap["low"] is None else f"95 % {gap['low']:.3f} to {gap['high']:.3f}"
