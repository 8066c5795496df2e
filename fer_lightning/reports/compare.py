"""`compare`: which of several runs is better on the same test images, and is the difference more than luck?"""

import re
from collections import ChainMap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from fer_lightning.errors import FERError
from fer_lightning.evaluation.bootstrap import described
from fer_lightning.evaluation.compare import compared, compared_gaps, compared_groups
from fer_lightning.evaluation.divisions import check_slices, divisions_of
from fer_lightning.evaluation.gaps import Gap, gaps_of
from fer_lightning.evaluation.measures import MEASURES
from fer_lightning.evaluation.predictions import Predictions, of_classes, read_predictions
from fer_lightning.evaluation.recipes import Recipe, compared_recipes, compared_slices
from fer_lightning.evaluation.slices import slices_of
from fer_lightning.files import check_output, replace_text
from fer_lightning.names import many
from fer_lightning.reports.groups import WORDS
from fer_lightning.reports.page import filled, json_text, without_nan

_ANSWERS = Path("test") / "predictions.csv"


def compare(
    runs: Sequence[str],
    runs_dir: str = "runs",
    output: str | None = None,
    overwrite: bool = False,
    slices: list[str] | str | None = None,
) -> dict[str, Any]:
    """Compare runs, or groups of runs that differ in their seeds alone, with the first on the same test images.

    Args:
        runs: Two or more runs that were tested: names, or paths of their folders. A pattern in quotes, as `'a/*'`, or
            the folder of `crossval --folds 1`, is a group.
        runs_dir: Folder that holds the runs.
        output: JSON file for the figures.
        overwrite: Replace that file if it is there already.
        slices: Columns of the legend, or other attributes, to compare groups of images by; without it, all.

    Returns:
        For each run after the first: every measure of both, the difference with its 95 % interval from a bootstrap that
        redraws the same people for both (None with one person only), and the p-value of McNemar's exact test. The same
        for each group of images, and for the largest gap between two groups. For groups of runs, means over seeds and
        intervals over seeds and people (`fer_lightning.evaluation.seeds`), without test and gaps.

    Raises:
        FERError: If a run is named twice or was not tested, the output is there already, or the runs were tested on
            different images, labels or classes; or there is no such attribute.
    """
    if len(runs) < 2:
        raise FERError(f"compare needs two runs or more. Expected their names. Received: {list(runs)}.")
    folders: dict[Path, str] = {}
    members: dict[str, list[Path]] = {}
    for run in runs:
        for folder in (found := _members(run, runs_dir)):
            if (twin := folders.setdefault(folder.resolve(), run)) != run or runs.count(run) > 1:
                raise FERError(
                    f"compare needs different runs. Received: '{twin}' and '{run}', which are both the folder "
                    f"'{folder.resolve()}'. Name each run once."
                )
        members[run] = found
    files = [folder / _ANSWERS for folder in folders]
    if output is not None:
        check_output("--output", output, files, overwrite)
    recipes = _read(members)
    for run, found in members.items():
        _check_seeds(run, found)
    first_name, recipe = next(iter(recipes.items()))
    first = recipe.seeds[0]
    everything = [one for some in recipes.values() for one in some.seeds]
    attributes = dict(ChainMap(*({**one.attributes} for one in everything)))  # an earlier test wrote none
    check_slices(slices, attributes, files=False)
    divisions, left_out = divisions_of(replace(first, attributes=attributes), None, slices)
    grouped = recipe.grouped(divisions)
    groups = slices_of(grouped[0])
    gaps, largest = gaps_of(grouped[0], groups)
    several: dict[str, Any] = {first_name: _about(members[first_name], recipe)}
    several[first_name] |= {} if len(recipe.seeds) > 1 else {"largest_gap": _plain(largest)}
    for name, other in list(recipes.items())[1:]:
        others = other.grouped(divisions)
        several[name] = _about(members[name], other)
        if len(recipe.seeds) == len(other.seeds) == 1:
            own_gaps, own_largest = gaps_of(others[0], slices_of(others[0]))
            several[name] |= compared(first, other.seeds[0]) | {
                "largest_gap": _plain(own_largest),
                "groups": compared_groups(grouped[0], others[0], groups),
                "gaps": compared_gaps(grouped[0], others[0], gaps, own_gaps),
            }
        else:
            several[name] |= {
                "differences": compared_recipes(recipe, other),
                "groups": compared_slices(grouped, others, groups),
            }
    about = {"first": first_name, "images": len(first.images), "intervals": described(first.identities)}
    content: dict[str, Any] = without_nan(about | {"slices_left_out": left_out, "runs": several})
    shown = filled("compare.txt", content=content, measures=MEASURES, words=WORDS, divided=bool(gaps))
    print(shown, end="")
    if output is not None:
        replace_text(output, json_text(content))
    return content


def _members(run: str, runs_dir: str) -> list[Path]:
    """The folders of the tested runs that a name, a path or a pattern is about."""
    inside, itself = Path(runs_dir) / run, Path(run)
    folder = inside if inside.is_dir() else itself
    if not folder.is_dir() and has_magic(run):
        found = [Path(name) for pattern in (inside, itself) for name in sorted(glob(str(pattern)))]
        tested = list({one.resolve(): one for one in found if (one / _ANSWERS).is_file()}.values())
        if not tested:
            names = many(len(found), "file or folder", "files or folders")
            raise FERError(
                f"No predictions at '{run}'. Expected runs that test or crossval measured: {names} with such a name, "
                "and no report of a test in it."
            )
        return tested
    if not folder.is_dir() and (inside.is_file() or itself.is_file()):
        raise FERError(
            f"'{run}' is a file. Expected runs that were tested: names or folders; a pattern for a group of them "
            "stands in quotes, as compare 'a/*' 'b/*'."
        )
    seeds = sorted(path.parent.parent for path in folder.glob(f"seed*/{_ANSWERS}"))
    alone = (folder / _ANSWERS).is_file() or not seeds or any("-fold" in one.name for one in seeds)
    return [folder] if alone else seeds


def _check_seeds(run: str, folders: Sequence[Path]) -> None:
    """Refuse a group that has a seed twice, as one run and an earlier one of its name: that is no other seed."""
    seeds: dict[str, Path] = {}
    for folder in folders:
        with suppress(OSError):
            config = (folder / "config.yaml").read_text(encoding="utf-8", errors="replace")
            said = re.search(r"(?m)^seed_everything: (\d+)$", config)
            if said and (other := seeds.setdefault(said[1], folder)) != folder:
                raise FERError(
                    f"'{run}' has two runs of seed {said[1]}: '{other}' and '{folder}'. Expected runs that differ in "
                    "their seeds alone. Move one of them away, or name a pattern that leaves it out."
                )


def _read(members: Mapping[str, Sequence[Path]]) -> dict[str, Recipe]:
    """The predictions of every run, in the same order, with the same classes and people."""
    found = {run: [_sorted(read_predictions(folder / _ANSWERS)) for folder in some] for run, some in members.items()}
    named = [(str(folder) if len(some) > 1 else run) for run, some in members.items() for folder in some]
    flat = [one for some in found.values() for one in some]
    for name, other in list(zip(named, flat, strict=True))[1:]:
        _check_same(named[0], flat[0], name, other)
    names = tuple(dict.fromkeys(name for one in flat for name in one.class_names))
    return {
        run: Recipe([replace(of_classes(one, names), identities=flat[0].identities) for one in some])
        for run, some in found.items()
    }


def _about(folders: Sequence[Path], recipe: Recipe) -> dict[str, Any]:
    """The measures of a run; of a group, their means, with the runs and the spread over seeds."""
    summary = recipe.summary()
    if len(recipe.seeds) == 1:
        return {"metrics": summary["metrics"]}
    return summary | {"runs": [str(folder) for folder in folders]}


def _plain(gaps: Mapping[str, Gap]) -> dict[str, Any]:
    return {measure: asdict(gap) for measure, gap in gaps.items()}


def _sorted(predictions: Predictions) -> Predictions:
    labels = [predictions.class_names[label] for label in predictions.labels.tolist()]
    keys = list(zip(predictions.images, labels, strict=True))
    return predictions.take(sorted(range(len(keys)), key=keys.__getitem__))


def _check_same(first_name: str, first: Predictions, name: str, other: Predictions) -> None:
    known, labels = ([one.class_names[label] for label in one.labels.tolist()] for one in (first, other))
    if first.class_names != other.class_names and known != labels and first.images == other.images:
        raise FERError(
            f"'{first_name}' and '{name}' have different classes: {', '.join(first.class_names)} and "
            f"{', '.join(other.class_names)}. Only runs with the same classes can be compared."
        )
    if first.images != other.images or known != labels:
        both = len(set(first.images) & set(other.images))
        raise FERError(
            f"'{first_name}' and '{name}' were not tested on the same images: {len(first.images)} and "
            f"{len(other.images)}, {both} of them in both. Give test the same --data options for both."
        )
