"""The report as one HTML file that opens offline, pictures inside."""

from __future__ import annotations

import base64
import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from fer_lightning.data.input_spec import InputSpec, UnreadableImageError
from fer_lightning.evaluation.measures import MEASURABLE, Measures
from fer_lightning.evaluation.predictions import Predictions
from fer_lightning.reports import plots
from fer_lightning.reports.case import Evaluation

GALLERY = 24

MEANINGS = {
    "accuracy": "share of right answers",
    "balanced_accuracy": "mean recall of the classes: every class counts the same",
    "macro_f1": "mean F1 of the classes",
    "macro_f1_measurable": f"mean F1 of the classes with {MEASURABLE} images or more",
    "weighted_f1": "mean F1, weighted by the classes' images",
    "top2_accuracy": "the label is one of the two most probable",
    "macro_auroc": "mean area under the ROC curve, one class against the rest",
    "macro_average_precision": "mean average precision, one class against the rest",
    "cohen_kappa": "agreement beyond chance",
    "nll": "negative log-likelihood, lower is better",
    "brier": "Brier score (0 to 2), lower is better",
    "ece": "expected calibration error, lower is better",
}


def render(template: str, path: Path, **content: Any) -> None:
    """Fill a template of this folder and write it, in one step, to a path."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    page = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    page.filters["figure"] = lambda value, digits=3: "-" if value is None else f"{value:.{digits}f}"
    page.filters["percent"] = lambda value: "-" if value is None else f"{value:.1%}"
    aside = path.with_name(path.name + ".writing")
    aside.write_text(page.get_template(template).render(**content), encoding="utf-8", errors="backslashreplace")
    aside.replace(path)


def thumbnail(path: str | os.PathLike[str], size: int = 96) -> str:
    """A small JPEG of an image file as a data URI; a blank one if the file cannot be read."""
    try:
        pixels = InputSpec(size).load(path).permute(1, 2, 0).numpy()
        image = Image.fromarray(pixels)
    except UnreadableImageError:
        image = Image.new("RGB", (size, size), "#e5e7eb")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def write_page(evaluation: Evaluation, content: dict[str, Any], path: Path) -> None:
    """Write report.html."""
    predictions = evaluation.predictions
    measures = predictions.measures
    before = Measures(evaluation.uncalibrated, predictions.labels) if evaluation.uncalibrated is not None else None
    pictures = {
        "confusion": plots.confusion_matrix(content["confusion"], predictions.class_names),
        "reliability": plots.reliability(measures, before),
        "risk": plots.risk_by_coverage(measures),
        "curves": plots.learning_curves(rows) if (rows := _history(evaluation.history)) else None,
    }
    render(
        "report.html",
        path,
        content=content,
        meanings=MEANINGS,
        measurable=MEASURABLE,
        pictures=pictures,
        mistakes=_mistakes(predictions, evaluation.image_dir),
    )


def _history(path: Path | None) -> Sequence[dict[str, str]]:
    if path is None or not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _mistakes(predictions: Predictions, image_dir: Path) -> list[dict[str, str]]:
    """The wrong answers given with the most confidence."""
    measures, names = predictions.measures, predictions.class_names
    order = sorted((~measures.right).nonzero()[0].tolist(), key=lambda row: -measures.confidence[row])
    return [
        {
            "image": predictions.images[row],
            "picture": thumbnail(image_dir / predictions.images[row]),
            "label": names[predictions.labels[row]],
            "predicted": names[measures.predicted[row]],
            "confidence": f"{measures.confidence[row]:.1%}",
        }
        for row in order[:GALLERY]
    ]
