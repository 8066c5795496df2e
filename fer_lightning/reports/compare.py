"""`compare`: which of several runs is better on the same test images, and is the difference more than luck?"""

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fer_lightning.errors import FERError
from fer_lightning.evaluation.bootstrap import described
from fer_lightning.evaluation.compare import compared, compared_gaps, compared_groups
from fer_lightning.evaluation.divisions import check_slices, divisions_of
from fer_lightning.evaluation.gaps import Gap, gaps_of
from fer_lightning.evaluation.groups import Groups
from fer_lightning.evaluation.measures import MEASURES
from fer_lightning.evaluation.predictions import Predictions, of_classes, read_predictions
from fer_lightning.evaluation.slices import slices_of
from fer_lightning.files import check_output, replace_text
from fer_lightning.reports.groups import WORDS
from fer_lightning.reports.page import filled, json_text, without_nan


def compare(
    runs: Sequence[str],
    runs_dir: str = "runs",
    output: str | None = None,
    overwrite: bool = False,
    slices: list[str] | str | None = None,
) -> dict[str, Any]:
    """Compare runs with the first one on the same test images.

    Args:
        runs: Two or more runs that were tested: names, or paths of their folders.
        runs_dir: Folder that holds the runs.
        output: JSON file for the figures.
        overwrite: Replace that file if it is there already.
        slices: Columns of the legend, or other attributes, to compare groups by; without it, all.

    Returns:
        For each run after the first: every measure of both, the difference with its 95 % interval from a bootstrap that
        redraws the same people for both (None with one person only), and the p-value of McNemar's exact test. The same
        for each group of images, and for the largest gap between two groups.

    Raises:
        FERError: If a run is named twice or was not tested, the output is there already, or the runs were tested on
            different images, labels or classes; or there is no such attribute.
    """
    if len(runs) < 2:
        raise FERError(f"compare needs two runs or more. Expected their names. Received: {list(runs)}.")
    folders: dict[Path, str] = {}
    for run in runs:
        folder = Path(runs_dir) / run if (Path(runs_dir) / run).is_dir() else Path(run)
        if (twin := folders.setdefault(folder.resolve(), run)) != run or runs.count(run) > 1:
            raise FERError(
                f"compare needs different runs. Received: '{twin}' and '{run}', which are both the folder "
                f"'{folder.resolve()}'. Name each run once."
            )
    files = [folder / "test" / "predictions.csv" for folder in folders]
    if output is not None:
        check_output("--output", output, files, overwrite)
    found = {run: _sorted(read_predictions(file)) for file, run in zip(files, folders.values(), strict=True)}
    names = tuple(dict.fromkeys(name for one in found.values() for name in one.class_names))
    for name, other in list(found.items())[1:]:
        _check_same(next(iter(found)), next(iter(found.values())), name, other)
    found = {name: of_classes(one, names) for name, one in found.items()}
    first_name, first = next(iter(found.items()))
    attributes = dict(ChainMap(*({**one.attributes} for one in found.values())))  # an earlier test wrote none
    check_slices(slices, attributes, files=False)
    divisions, left_out = divisions_of(replace(first, attributes=attributes), None, slices)
    grouped = Groups(first, divisions)
    groups = slices_of(grouped)
    gaps, largest = gaps_of(grouped, groups)
    several: dict[str, Any] = {first_name: {"metrics": first.measures.values(), "largest_gap": _plain(largest)}}
    for name, other in list(found.items())[1:]:
        others = Groups(replace(other, identities=first.identities), divisions)
        own_gaps, own_largest = gaps_of(others, slices_of(others))
        several[name] = compared(first, other) | {
            "largest_gap": _plain(own_largest),
            "groups": compared_groups(grouped, others, groups),
            "gaps": compared_gaps(grouped, others, gaps, own_gaps),
        }
    about = {"first": first_name, "images": len(first.images), "intervals": described(first.identities)}
    content: dict[str, Any] = without_nan(about | {"slices_left_out": left_out, "runs": several})
    print(filled("compare.txt", content=content, measures=MEASURES, words=WORDS), end="")
    if output is not None:
        replace_text(output, json_text(content))
    return content


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
