"""Measure predictions and write the report: report.html, metrics.json, predictions.csv and a table in the terminal."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.data.image_metadata import ImageMetadata, read_metadata
from fer_lightning.evaluation.bootstrap import DRAWS, intervals
from fer_lightning.evaluation.measures import MEASURABLE, MEASURES, Measures
from fer_lightning.evaluation.slices import Slice, slices_of, worst
from fer_lightning.reports.case import Evaluation
from fer_lightning.reports.page import write_page


def evaluate(evaluation: Evaluation, folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Measure, print a table, and write metrics.json, predictions.csv and report.html into a folder.

    Returns:
        What stands in metrics.json.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    predictions = evaluation.predictions
    facts = read_metadata([evaluation.image_dir / image for image in predictions.images], "Reading test images")
    content = _content(evaluation, facts)
    predictions.write_csv(folder / "predictions.csv")
    aside = folder / "metrics.json.writing"
    aside.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    write_page(evaluation, content, folder / "report.html")
    aside.replace(folder / "metrics.json")
    print(_table(content), f"Written to {folder / 'report.html'}, with metrics.json and predictions.csv", sep="\n")
    return content


def _content(evaluation: Evaluation, facts: list[ImageMetadata]) -> dict[str, Any]:
    predictions, measures = evaluation.predictions, evaluation.predictions.measures
    groups = predictions.identities
    overall, by_class = intervals(measures, groups)
    values, classes = measures.values(), measures.per_class()
    baseline = Measures(np.tile(evaluation.prior, (len(predictions.labels), 1)), predictions.labels).values()
    support = classes.pop("support")
    people = len(set(groups))
    found = slices_of(predictions, facts)
    content = {
        "images": len(predictions.images),
        "people": people,
        "intervals": f"95 %, bootstrap over {people:,} {'people' if people < len(groups) else 'images'}, {DRAWS} draws",
        "majority": predictions.class_names[int(evaluation.prior.argmax())],
        "metrics": {
            name: {"value": values[name], "low": overall[name][0], "high": overall[name][1], "baseline": baseline[name]}
            for name in MEASURES
        },
        "classes": {
            name: {
                "support": int(support[label]),
                "measurable": bool(support[label] >= MEASURABLE),
                **{
                    measure: {
                        "value": column[label],
                        "low": by_class[measure][0, label],
                        "high": by_class[measure][1, label],
                    }
                    for measure, column in classes.items()
                },
            }
            for label, name in enumerate(predictions.class_names)
        },
        "confusion": measures.confusion().astype(int).tolist(),
        "slices": [asdict(part) for part in found],
        "worst_slice": asdict(found_worst) if (found_worst := worst(found)) else None,
        **evaluation.about,
    }
    if evaluation.uncalibrated is not None:
        before = Measures(evaluation.uncalibrated, predictions.labels).values()
        content["uncalibrated"] = {name: before[name] for name in ("nll", "brier", "ece")}
    plain: dict[str, Any] = without_nan(content)
    return plain


def without_nan(value: Any) -> Any:
    """JSON has no NaN: what could not be measured is null."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value


def _table(content: dict[str, Any]) -> str:
    lines = [
        "",
        f"{content['images']:,} images, {content['people']:,} people{'':<8} value   95 % interval   baseline "
        f"(always '{content['majority']}')",
    ]
    for name, row in content["metrics"].items():
        value, low, high, base = (
            row[key] if row[key] is not None else float("nan") for key in ("value", "low", "high", "baseline")
        )
        lines.append(f"{name:<32} {value:.4f}   {low:.4f} - {high:.4f}   {base:.4f}")
    small = [name for name, row in content["classes"].items() if not row["measurable"]]
    if small:
        lines.append(f"Fewer than {MEASURABLE} images, so not measurable: {', '.join(small)}")
    if part := content["worst_slice"]:
        part = Slice(**part)
        lines.append(
            f"Worst slice: {part.fact} = {part.value}, {part.images} images, accuracy {part.accuracy:.4f} (its "
            f"majority: {part.majority:.4f})"
        )
    return "\n".join(lines)
