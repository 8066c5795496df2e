"""Recipes with several trainings each: what their seeds have in common, and how two of them differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fer_lightning.evaluation.bootstrap import weights_of
from fer_lightning.evaluation.divisions import Division
from fer_lightning.evaluation.groups import MEASURED, Groups
from fer_lightning.evaluation.measures import MEASURES, NO_PROBABILITIES
from fer_lightning.evaluation.predictions import Predictions
from fer_lightning.evaluation.seeds import difference
from fer_lightning.evaluation.slices import Slice


@dataclass(frozen=True)
class Recipe:
    """What the trainings of one recipe, which differ in their seeds alone, predict for the same images."""

    seeds: Sequence[Predictions]  # one or more, with the same images, labels, people and classes

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """Each measure of each seed, float `(seeds,)`."""
        several = [one.measures.values() for one in self.seeds]
        return {name: np.array([values[name] for values in several]) for name in MEASURES}

    @cached_property
    def drawn(self) -> dict[str, np.ndarray]:
        """The same with people redrawn, float `(draws, seeds)`; the same people for every recipe."""
        several = [[one.measures.values(weights) for one in self.seeds] for weights in weights_of(self.people)]
        return {
            name: np.array([[v[name] for v in row] for row in several]).reshape(-1, len(self.seeds))
            for name in MEASURES
        }

    @property
    def people(self) -> list[str]:
        """Who is in each image."""
        return self.seeds[0].identities

    @property
    def scored(self) -> bool:
        """Whether all of them have probabilities."""
        return all(one.scored for one in self.seeds)

    def summary(self) -> dict[str, Any]:
        """How many seeds there are; mean, and standard deviation over seeds (NaN for one), of every measure."""
        spread = {name: values.std(ddof=1) if len(values) > 1 else np.nan for name, values in self.values.items()}
        means = {name: float(values.mean()) for name, values in self.values.items()}
        return {"seeds": len(self.seeds), "metrics": means, "sd": {name: float(of) for name, of in spread.items()}}

    def grouped(self, divisions: Sequence[Division]) -> list[Groups]:
        """The predictions of each seed in groups."""
        return [Groups(one, divisions) for one in self.seeds]


def compared_recipes(first: Recipe, other: Recipe) -> dict[str, dict[str, Any]]:
    """The difference in every measure (other less first) with its 95 % interval over seeds and people."""
    people, found = len(set(first.people)), {}
    for name, measure in MEASURES.items():
        one, two = first.values[name], other.values[name]
        found[name] = _row(*difference(one, two, first.drawn[name], other.drawn[name], people))
        if measure.scored and not (first.scored and other.scored):
            found[name]["why"] = NO_PROBABILITIES
    return found


def compared_slices(first: Sequence[Groups], other: Sequence[Groups], slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """The same for each group of images and measure of groups; means over seeds stand beside it.

    Args:
        first: The predictions of each seed of one recipe in groups.
        other: Those of another for the same images in the same groups.
        slices: The groups, as `slices_of` has them.
    """
    rest, found = iter(slices), []
    for place, division in enumerate(first[0].divisions):
        for group in range(len(division.names)):
            about = next(rest)
            row: dict[str, Any] = {
                name: getattr(about, name) for name in ("attribute", "value", "images", "people", "measurable", "why")
            }
            for number, measure in enumerate(MEASURED):
                one, two = (
                    np.array([each.tallies[place].figures[group, number] for each in some]) for some in (first, other)
                )
                drawn, moved = (
                    np.stack([each.drawn[place][:, group, number] for each in some], 1) for some in (first, other)
                )
                change = _row(*difference(one, two, drawn, moved, about.people))
                ends = {"low": change["low"], "high": change["high"]}
                means = {"first": float(one.mean()), "this": float(two.mean())}
                row[measure] = means | {"difference": change["value"]} | ends
            found.append(row)
    return found


def _row(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high}
