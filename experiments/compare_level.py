"""Does `compare` keep its level between groups of seeds? `python experiments/compare_level.py [--trials 2000]`.

Two recipes are invented, each with several seeds that are tested on the same invented people, again and again. Where
the recipes are the same, a test at 5 % should call them different in one of 20 trials, whether or not seeds differ by
more than what they make of single images. Printed is how often the interval of the difference in accuracy and in
macro-F1 leaves 0 out: of one seed against one, with people redrawn as `compare a b` does; of the means over seeds with
only people redrawn, and with people and seeds redrawn (a hierarchical bootstrap), for comparison; and of `compare 'a/*'
'b/*'` (`fer_lightning.evaluation.seeds.difference`). Then the same where one recipe is better: the power.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from fer_lightning.evaluation.bootstrap import interval
from fer_lightning.evaluation.divisions import Division
from fer_lightning.evaluation.groups import tally
from fer_lightning.evaluation.measures import Measures
from fer_lightning.evaluation.seeds import difference

PEOPLE, IMAGES_EACH, CLASSES = 150, 5, 4
DRAWS = 400
TESTS = ("one seed each", "people redrawn", "people and seeds redrawn", "compare 'a/*' 'b/*'")


class Case(NamedTuple):
    """What is invented."""

    seeds: tuple[int, int]
    spread: tuple[float, float]  # standard deviations between seeds, in logits, of both recipes
    better: float  # by how much the second recipe is, in logits


def answers(case: Case, rng: np.random.Generator) -> list[list[Measures]]:
    """What every seed of both recipes says about the same people.

    An image is as hard as its person and itself, some more than others; a recipe finds some images easier; a seed is
    better or worse in all, and in single images.
    """
    count = PEOPLE * IMAGES_EACH
    labels = rng.choice(CLASSES, count, p=[0.45, 0.3, 0.15, 0.1])
    hard = rng.normal(0, 0.7, PEOPLE).repeat(IMAGES_EACH) + rng.normal(0, 1.5, count)
    alike = rng.normal(0, 1, (count, CLASSES))  # which other class an image looks like
    recipes = []
    for seeds, spread, better in zip(case.seeds, case.spread, (0.0, case.better), strict=True):
        own = rng.normal(0, spread, seeds)
        recipe = []
        for shift in own:
            logits = alike + rng.normal(0, 0.5, (count, CLASSES))
            logits[np.arange(count), labels] += 2.8 + better + shift - hard + rng.normal(0, 0.7, count)
            shares = np.exp(logits - logits.max(1, keepdims=True))
            recipe.append(Measures(shares / shares.sum(1, keepdims=True), labels))
        recipes.append(recipe)
    return recipes


def trial(case: Case, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether each test calls the recipes different in accuracy and macro-F1, bool `(tests, 2)`; mean accuracies."""
    rng = np.random.default_rng(seed)
    people = np.arange(PEOPLE).repeat(IMAGES_EACH)
    everything = Division("", ("all",), np.zeros(len(people), np.int64), "file")
    times = np.stack([np.bincount(rng.integers(0, PEOPLE, PEOPLE), minlength=PEOPLE) for _ in range(DRAWS)])
    whole, drawn = [], []
    for recipe in answers(case, rng):
        tallies = [tally(measures, people, everything) for measures in recipe]
        whole.append(np.stack([one.figures[0, [0, 2]] for one in tallies]))
        drawn.append(np.stack([one.weighted(times.astype(np.float32))[:, 0, [0, 2]] for one in tallies], 1))
    found = np.zeros((len(TESTS), 2), bool)
    for measure in range(2):
        values, draws = [one[:, measure] for one in whole], [one[:, :, measure] for one in drawn]
        picked = [
            np.take_along_axis(one, rng.integers(0, one.shape[1], one.shape), 1) for one in draws
        ]  # seeds drawn anew as well
        ends = [
            interval(draws[1][:, 0] - draws[0][:, 0]),
            interval(draws[1].mean(1) - draws[0].mean(1)),
            interval(picked[1].mean(1) - picked[0].mean(1)),
            difference(*values, *draws, PEOPLE)[1:],
        ]
        found[:, measure] = [low > 0 or high < 0 for low, high in ends]
    return found, np.array([one[:, 0].mean() for one in whole])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    some = [Case((3, 3), (spread, spread), 0.0) for spread in (0.0, 0.1, 0.2)]
    with ProcessPoolExecutor(options.jobs) as pool:
        for case in some:
            many = [np.mean([one.right.mean() for one in answers(case, np.random.default_rng(n))[0]]) for n in range(9)]
            seeds = answers(Case((400, 1), case.spread, 0.0), np.random.default_rng(0))[0]
            sd = np.std([one.right.mean() for one in seeds])
            print(f"spread {case.spread[0]}: accuracy {np.mean(many):.3f}, standard deviation over seeds {sd:.4f}")
        print(f"{PEOPLE} people with {IMAGES_EACH} images each, {options.trials} trials, {DRAWS} draws\n")
        print(f"| seeds | spread | gain in accuracy | {' | '.join(TESTS)} |\n{'| --- ' * (3 + len(TESTS))}|")
        for better in (0.0, 0.3):
            for seeds in ((2, 2), (3, 3), (5, 5), (3, 1), (5, 1)):
                both = ((0.0, 0.0), (0.1, 0.1), (0.2, 0.2), (0.0, 0.2))
                for spread in both if seeds[1] > 1 else ((0.0, 0.0), (0.1, 0.0), (0.2, 0.0)):  # as it is
                    case = Case(seeds, spread, better)
                    trials = range(options.trials)
                    several = list(pool.map(partial(trial, case), trials, chunksize=20))
                    rates = np.mean([found for found, _ in several], 0)
                    gain = np.mean([accuracy[1] - accuracy[0] for _, accuracy in several])
                    cells = " | ".join(f"{accuracy:.3f}, {f1:.3f}" for accuracy, f1 in rates)
                    print(
                        f"| {seeds[0]} and {seeds[1]} | {spread[0]:g} and {spread[1]:g} | {gain:+.3f} | {cells} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
