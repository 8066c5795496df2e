"""`compare`: which of several runs is better on the same test images, and is the difference more than luck?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.errors import FERError
from fer_lightning.evaluation.bootstrap import DRAWS, weights_of
from fer_lightning.evaluation.measures import LOWER_IS_BETTER, MEASURES
from fer_lightning.evaluation.predictions import Predictions, read_predictions
from fer_lightning.reports.evaluation import without_nan


def compare(runs: Sequence[str], runs_dir: str = "runs", output: str | None = None) -> dict[str, Any]:
    """Compare runs with the first one on the same test images.

    Args:
        runs: Two or more runs that were tested: names, or paths of their folders.
        runs_dir: Folder that holds the runs.
        output: JSON file for the figures.

    Returns:
        For each run after the first: every measure of both, the difference with its 95 % interval from a bootstrap that
        redraws the same people for both, and the p-value of McNemar's exact test.

    Raises:
        FERError: If a run was not tested, or the runs were tested on different images, labels or classes.
    """
    if len(runs) < 2:
        raise FERError(f"compare needs two runs or more. Expected their names. Received: {list(runs)}.")
    found = {run: read_predictions(_folder(run, runs_dir) / "test" / "predictions.csv") for run in runs}
    first_name, *others = found
    first = _sorted(found[first_name])
    content: dict[str, Any] = {"first": first_name, "images": len(first.images), "runs": {}}
    content["runs"][first_name] = {"metrics": first.measures.values()}
    for name in others:
        other = _sorted(found[name])
        _check_same(first_name, first, name, other)
        content["runs"][name] = _compared(first, other)
    print(_table(content))
    if output is not None:
        text = json.dumps(without_nan(content), indent=2, allow_nan=False)
        Path(output).write_text(text + "\n", encoding="utf-8")
    return content


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value for two classifiers that alone are right this often (McNemar 1947, binomial form)."""
    total, fewer = only_first + only_second, min(only_first, only_second)
    tail: float = sum(comb(total, k) for k in range(fewer + 1)) / 2**total
    return min(1.0, 2 * tail)


def _folder(run: str, runs_dir: str) -> Path:
    named = Path(runs_dir) / run
    return named if named.is_dir() else Path(run)


def _sorted(predictions: Predictions) -> Predictions:
    keys = list(zip(predictions.images, predictions.labels.tolist(), strict=True))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Predictions(
        images=[predictions.images[row] for row in order],
        labels=predictions.labels[order],
        probabilities=predictions.probabilities[order],
        class_names=predictions.class_names,
        identities=[predictions.identities[row] for row in order],
        users=[predictions.users[row] for row in order],
        seen=predictions.seen[order],
    )


def _check_same(first_name: str, first: Predictions, name: str, other: Predictions) -> None:
    if first.class_names != other.class_names:
        raise FERError(
            f"'{first_name}' and '{name}' have different classes: {', '.join(first.class_names)} and "
            f"{', '.join(other.class_names)}. Only runs with the same classes can be compared."
        )
    same = first.images == other.images and first.labels.tolist() == other.labels.tolist()
    if not same:
        shared = len(set(first.images) & set(other.images))
        raise FERError(
            f"'{first_name}' and '{name}' were not tested on the same images: {len(first.images)} and "
            f"{len(other.images)}, {shared} of them shared. Give `test` the same --data options for both."
        )


def _compared(first: Predictions, other: Predictions) -> dict[str, Any]:
    one, two = first.measures, other.measures
    drawn: dict[str, list[float]] = {name: [] for name in MEASURES}
    for weights in weights_of(first.identities, DRAWS):
        ours, theirs = one.values(weights), two.values(weights)
        for name in MEASURES:
            drawn[name].append(theirs[name] - ours[name])
    before, after = one.values(), two.values()
    differences = {}
    for name in MEASURES:
        known = [value for value in drawn[name] if not np.isnan(value)]
        enough = known and len(set(first.identities)) > 1
        low, high = np.percentile(known, [2.5, 97.5]) if enough else (np.nan, np.nan)
        differences[name] = {"value": after[name] - before[name], "low": float(low), "high": float(high)}
    only_first, only_second = int((one.right & ~two.right).sum()), int((two.right & ~one.right).sum())
    return {
        "metrics": after,
        "differences": differences,
        "only_first_right": only_first,
        "only_this_right": only_second,
        "mcnemar_p": mcnemar(only_first, only_second),
    }


def _table(content: dict[str, Any]) -> str:
    first = content["runs"][content["first"]]["metrics"]
    lines = [f"{content['images']:,} images, the same for all runs"]
    for name, run in content["runs"].items():
        if name == content["first"]:
            continue
        lines += ["", f"{'':<26}{content['first'][:12]:>12} {name[:12]:>12}   difference (95 % interval)"]
        for measure in MEASURES:
            change = run["differences"][measure]
            surely = "  *" if change["low"] > 0 or change["high"] < 0 else ""
            lines.append(
                f"{measure:<26}{first[measure]:>12.4f} {run['metrics'][measure]:>12.4f}   {change['value']:+.4f} "
                f"({change['low']:+.4f} to {change['high']:+.4f}){surely}"
            )
        lines.append(
            f"Right where the other is wrong: {content['first']} {run['only_first_right']}, {name} "
            f"{run['only_this_right']}; McNemar's exact test p = {run['mcnemar_p']:.3g}"
        )
    lines.append(f"* the interval does not contain 0. Lower is better for {', '.join(sorted(LOWER_IS_BETTER))}.")
    return "\n".join(lines)
