"""The report of a test: report.html, metrics.json, predictions.csv, a table in the terminal."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.data.image_metadata import read_metadata
from fer_lightning.evaluation.bootstrap import described, intervals
from fer_lightning.evaluation.measures import MEASURABLE, MEASURES, Measures
from fer_lightning.evaluation.predictions import Predictions
from fer_lightning.evaluation.slices import slices_of, worst
from fer_lightning.files import replace_text
from fer_lightning.reports import plots
from fer_lightning.reports.figures import figure, span, without_nan
from fer_lightning.reports.page import filled, thumbnail

GALLERY = 24


@dataclass(frozen=True)
class Evaluation:
    """What a report is made from.

    Attributes:
        predictions: The network's answers.
        prior: float `(c,)`, class frequencies in training; the baseline answers with them whatever it sees.
        image_dir: The folder that image names are relative to.
        about: What the report says about its origin, plain values: `subset` and others.
        history: The run's table of epochs, if there is one.
        uncalibrated: float `(n, c)`, probabilities at temperature 1, to show what calibration did.
    """

    predictions: Predictions
    prior: np.ndarray
    image_dir: Path
    about: dict[str, Any] = field(default_factory=dict)
    history: Path | None = None
    uncalibrated: np.ndarray | None = None

    @property
    def before(self) -> Measures | None:
        """The measures before calibration, if they are known."""
        return None if self.uncalibrated is None else Measures(self.uncalibrated, self.predictions.labels)


def evaluate(evaluation: Evaluation, folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Measure, print a table, and write metrics.json, predictions.csv and report.html into a folder.

    Returns:
        What is written to metrics.json, which is there only if the other two are.
    """
    folder = Path(folder)
    content = _content(evaluation)
    (folder / "metrics.json").unlink(missing_ok=True)
    evaluation.predictions.write_csv(folder / "predictions.csv")
    _write_page(evaluation, content, folder / "report.html")
    replace_text(folder / "metrics.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    print(_table(content), f"Written to {folder / 'report.html'}, with metrics.json and predictions.csv", sep="\n")
    return content


def _content(evaluation: Evaluation) -> dict[str, Any]:
    predictions, measures = evaluation.predictions, evaluation.predictions.measures
    groups = predictions.identities
    overall, by_class = intervals(measures, groups)
    whole = measures.drawn()
    values, classes = whole.values(), whole.per_class
    baseline = Measures(np.tile(evaluation.prior, (len(predictions.labels), 1)), predictions.labels).values()
    paths = [evaluation.image_dir / image for image in predictions.images]
    slices = slices_of(predictions, read_metadata(paths, "Reading test images"))
    weakest = worst(slices)

    def of_class(label: int) -> dict[str, Any]:
        support = int(classes["support"][label])
        found: dict[str, Any] = {"support": support, "measurable": support >= MEASURABLE}
        for measure in classes:
            if measure != "support":
                low, high = by_class[measure][:, label]
                found[measure] = {"value": classes[measure][label], "low": low, "high": high}
        return found

    content = {
        "images": len(predictions.images),
        "people": len(set(groups)),
        "intervals": described(groups),
        "majority": predictions.class_names[int(evaluation.prior.argmax())],
        "metrics": {
            name: {"value": value, "low": overall[name][0], "high": overall[name][1], "baseline": baseline[name]}
            for name, value in values.items()
        },
        "classes": {name: of_class(label) for label, name in enumerate(predictions.class_names)},
        "confusion": whole.confusion.astype(int).tolist(),
        "slices": [asdict(one) for one in slices],
        "worst_slice": asdict(weakest) if weakest else None,
        **evaluation.about,
    }
    if before := evaluation.before:
        content["uncalibrated"] = {name: before.values()[name] for name in ("nll", "brier", "ece")}
    plain: dict[str, Any] = without_nan(content)
    return plain


def _write_page(evaluation: Evaluation, content: dict[str, Any], path: Path) -> None:
    predictions = evaluation.predictions
    charts = {
        "confusion": plots.confusion_matrix(content["confusion"], predictions.class_names),
        "reliability": plots.reliability(predictions.measures, evaluation.before),
        "risk": plots.risk_by_coverage(predictions.measures),
        "curves": None,
    }
    if evaluation.history is not None and evaluation.history.is_file():
        with open(evaluation.history, newline="", encoding="utf-8") as stream:
            if rows := list(csv.DictReader(stream)):
                charts["curves"] = plots.learning_curves(rows)
    mistakes = _mistakes(predictions, evaluation.image_dir)
    about = {"measures": MEASURES, "measurable": MEASURABLE}
    replace_text(path, filled("report.html", content=content, charts=charts, mistakes=mistakes, **about))


def _mistakes(predictions: Predictions, image_dir: Path) -> list[dict[str, str]]:
    """The wrong answers given with the most confidence."""
    measures, names = predictions.measures, predictions.class_names
    order = sorted((~measures.right).nonzero()[0].tolist(), key=lambda row: -measures.confidence[row])
    return [
        {
            "image": predictions.images[row],
            "thumbnail": thumbnail(image_dir / predictions.images[row]),
            "label": names[predictions.labels[row]],
            "predicted": names[measures.predicted[row]],
            "confidence": f"{measures.confidence[row]:.1%}",
        }
        for row in order[:GALLERY]
    ]


def _table(content: dict[str, Any]) -> str:
    size = f"{content['images']:,} images, {content['people']:,} people"
    lines = ["", f"{size:<32} value    95 % interval      baseline (always '{content['majority']}')"]
    for name, row in content["metrics"].items():
        interval = span(row["low"], row["high"], 4)
        lines.append(f"{name:<32} {figure(row['value'], 4):<6}   {interval:<16}   {figure(row['baseline'], 4)}")
    if content["intervals"].startswith("none"):
        lines.append(f"Intervals: {content['intervals']}.")
    small = [name for name, row in content["classes"].items() if not row["measurable"]]
    if small:
        lines.append(f"Fewer than {MEASURABLE} images, so not measurable: {', '.join(small)}")
    if weakest := content["worst_slice"]:
        lines.append(
            f"Worst slice: {weakest['attribute']} = {weakest['value']}, {weakest['images']} images, accuracy "
            f"{weakest['accuracy']:.4f} (its majority: {weakest['majority']:.4f})"
        )
    return "\n".join(lines)
