"""The report of a test: report.html, metrics.json, predictions.csv, a table in the terminal."""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.data.image_metadata import read_metadata
from fer_lightning.data.splits import MEASURABLE
from fer_lightning.evaluation.bootstrap import described, intervals, no_interval
from fer_lightning.evaluation.divisions import divisions_of
from fer_lightning.evaluation.gaps import gaps_of
from fer_lightning.evaluation.groups import Groups
from fer_lightning.evaluation.measures import MEASURES, NO_PROBABILITIES, ONE_CLASS, Measures
from fer_lightning.evaluation.predictions import Predictions
from fer_lightning.evaluation.slices import FEWEST_PEOPLE, SMALLEST, slices_of, worst
from fer_lightning.files import replace_text, replacing_all
from fer_lightning.reports import plots
from fer_lightning.reports.groups import WORDS, gap_sentence, leading, tables, verdict
from fer_lightning.reports.page import filled, json_text, thumbnail, without_nan
from fer_lightning.screen import say

GALLERY = 24
_MOST_CELLS = 40
"""Classes of a confusion matrix that can still be read."""


def evaluate(
    predictions: Predictions,
    prior: np.ndarray,
    image_dir: Path,
    folder: str | os.PathLike[str],
    about: Mapping[str, Any] | None = None,
    history: Path | None = None,
    uncalibrated: np.ndarray | None = None,
    slices: str | Sequence[str] | None = None,
) -> dict[str, Any]:
    """Measure, print a table, and write metrics.json, predictions.csv and report.html into a folder.

    Args:
        predictions: The network's answers, `n` images and `c` classes.
        prior: float `(c,)`, class frequencies in training; the baseline answers with them whatever it sees.
        image_dir: The folder that image names are relative to.
        folder: Where to write.
        about: What the report says about its origin, plain values: `subset` and others.
        history: The run's table of epochs, if there is one.
        uncalibrated: float `(n, c)`, probabilities at temperature 1, to show what calibration did.
        slices: The attributes to slice by; None for all.

    Returns:
        What is written to metrics.json, which is there only if the other two are.

    Raises:
        FERError: If there is no such attribute.
    """
    folder, measures = Path(folder), predictions.measures
    before = None if uncalibrated is None else Measures(uncalibrated, predictions.labels)
    content: dict[str, Any] = _content(predictions, prior, image_dir, slices) | dict(about or {})
    if before is not None:
        known = before.values()
        content["uncalibrated"] = {name: known[name] for name in ("nll", "brier", "ece")}
    content = without_nan(content)
    charts: dict[str, Any] = {"curves": _curves(history)}
    if measures.scored:
        charts |= {"reliability": plots.reliability(measures, before), "risk": plots.risk_by_coverage(measures)}
    groups = tables(content["slices"], content["gaps"])
    shown = {
        "content": content,
        "run": folder.absolute().parent.name,
        "worse": made_worse(content),
        "measures": MEASURES,
        "measurable": MEASURABLE,
        "path": folder / "report.html",
    }
    shown |= {"gap_sentence": gap_sentence, "verdict": verdict, "words": WORDS, "groups": groups}
    shown |= {"leading": leading(content["largest_gap"]), "smallest": SMALLEST, "fewest": FEWEST_PEOPLE}
    looks = {"charts": charts, "mistakes": _mistakes(predictions, image_dir), "most_cells": _MOST_CELLS}
    page = filled("report.html", confused=_confused(content["confusion"], predictions.class_names), **looks, **shown)
    with replacing_all(folder, last="metrics.json") as aside:
        predictions.write_csv(aside / "predictions.csv")
        replace_text(aside / "report.html", page)
        replace_text(aside / "metrics.json", json_text(content))
    print(filled("test.txt", **shown), end="")
    return content


def _content(
    predictions: Predictions, prior: np.ndarray, image_dir: Path, chosen: str | Sequence[str] | None
) -> dict[str, Any]:
    measures, groups = predictions.measures, predictions.identities
    overall, by_class = intervals(measures, groups)
    whole = measures.drawn()
    baseline = Measures(np.tile(prior, (len(predictions.labels), 1)), predictions.labels).values()
    paths = [image_dir / image for image in predictions.images]
    divisions, left_out = divisions_of(predictions, read_metadata(paths, "Reading test images"), chosen)
    divided = Groups(predictions, divisions)
    slices = slices_of(divided)
    gaps, largest = gaps_of(divided, slices)
    weakest = worst(slices)
    reason = no_interval(groups)

    def row(value: float, bounds: tuple[float, float] | np.ndarray, undefined: str) -> dict[str, float | str]:
        why = undefined if np.isnan(value) else reason
        return {"value": value, "low": bounds[0], "high": bounds[1]} | ({"why": why} if why else {})

    classes: dict[str, dict[str, Any]] = {}
    for label, name in enumerate(predictions.class_names):
        support = int(whole.per_class["support"][label])
        classes[name] = {"support": support, "measurable": support >= MEASURABLE} | {
            key: row(column[label], by_class[key][:, label], ONE_CLASS if measures.scored else NO_PROBABILITIES)
            for key, column in whole.per_class.items()
            if key != "support"
        }
    return {
        "images": len(predictions.images),
        "people": len(set(groups)),
        "intervals": described(groups),
        "majority": predictions.class_names[int(prior.argmax())],
        "metrics": {
            name: row(value, overall[name], whole.why_undefined(name)) | {"baseline": baseline[name]}
            for name, value in whole.values().items()
        },
        "classes": classes,
        "confusion": whole.confusion.astype(int).tolist(),
        "slices": [asdict(one) for one in slices],
        "worst_slice": asdict(weakest) if weakest else None,
        "slices_left_out": list(left_out),
        "gaps": [asdict(gap) for gap in gaps],
        "largest_gap": {measure: asdict(gap) for measure, gap in largest.items()},
    }


def made_worse(content: Mapping[str, Any]) -> str:
    """A sentence if calibration made probabilities worse, at the digits that are shown; else an empty one."""
    before, after = content.get("uncalibrated", {}), content["metrics"]
    names = {"ece": "the expected calibration error", "nll": "the negative log-likelihood"}
    rose = [
        f"{said} from {before[name]:.3f} to {after[name]['value']:.3f}"
        for name, said in names.items()
        if name in before and round(after[name]["value"], 3) > round(before[name], 3)
    ]
    return f"Calibration made it worse on these images: it raised {' and '.join(rose)}." if rose else ""


def _confused(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The classes that are most often taken for another, at most five."""
    counts = np.array(confusion)
    apart = np.where(np.eye(len(names), dtype=bool), 0, counts)
    order = np.argsort(-apart, axis=None, kind="stable")[:5].tolist()
    return [
        {"label": names[row], "answer": names[column], "count": count, "fraction": count / counts[row].sum()}
        for row, column in (divmod(place, len(names)) for place in order)
        if (count := int(apart[row, column]))
    ]


def _curves(history: Path | None) -> list[str]:
    if history is None or not history.is_file():
        return []
    try:
        with open(history, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return plots.learning_curves(rows) if rows else []
    except (OSError, ValueError, LookupError, TypeError, csv.Error):
        say(f"Note   '{history}' is damaged: the report has no learning curves.")
        return []


def _mistakes(predictions: Predictions, image_dir: Path) -> list[dict[str, str]]:
    """The wrong answers given with the most confidence; the first ones where nobody knows that."""
    measures, names = predictions.measures, predictions.class_names
    order = sorted((~measures.right).nonzero()[0].tolist(), key=lambda row: -measures.confidence[row])
    return [
        {
            "image": predictions.images[row],
            "thumbnail": thumbnail(image_dir / predictions.images[row]),
            "label": names[predictions.labels[row]],
            "predicted": names[measures.predicted[row]],
            "confidence": f"{measures.confidence[row]:.1%}" if measures.scored else "",
        }
        for row in order[:GALLERY]
    ]
