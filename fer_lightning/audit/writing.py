"""Write what an audit found: a page, tables, lists for `fit`, lines in the terminal."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from itertools import chain
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fer_lightning.audit.findings import SEVERITIES, DataSet, Finding
from fer_lightning.audit.label_issues import listed
from fer_lightning.audit.overview import examples, overview
from fer_lightning.data.image_metadata import ImageMetadata
from fer_lightning.data.legend import SUBSETS
from fer_lightning.files import replace_text, replacing, replacing_all
from fer_lightning.names import cell
from fer_lightning.reports.page import filled, json_text, thumbnail, without_nan

MARK = "findings.json"
"""What is in a folder that an audit has written."""
_SHOWN, _MOST_CLASSES = 20, 40
"""Rows of a table in the page, and classes in its chart, the largest."""


def write_findings(folder: Path, data: DataSet, findings: Sequence[Finding], seconds: float) -> None:
    """Write report.html, findings.json, findings.csv, images.csv, split.csv, duplicates.csv, label_issues.csv.

    The last one is there only if there were predictions. Findings are shown in their order, also in the terminal. In
    CSV files, what a spreadsheet would take for a formula has an apostrophe in front, see `names.cell`.
    """
    legend = data.legend
    content = {
        "legend": str(legend.path.resolve()),
        "images": len(legend),
        "classes": list(legend.class_names),
        "seconds": round(seconds, 1),
        "overview": overview(data),
        "counts": dict(zip(SUBSETS, data.split.counts.tolist(), strict=True)),
        "findings": [asdict(finding) for finding in findings],
    }
    some, counts = examples(data), data.split.counts
    largest = np.argsort(-counts.sum(0), kind="stable")[:_MOST_CLASSES].tolist()
    classes = [(legend.class_names[label], counts[:, label].tolist()) for label in largest]
    exhibited = (exhibit.images for finding in findings for exhibit in finding.exhibits)
    shown = sorted({*chain.from_iterable(exhibited), *chain.from_iterable(images for _, images in some)})
    bar = tqdm(shown, "Drawing the report", delay=1, leave=False)
    thumbnails = {image: thumbnail(legend.image_dir / image) for image in bar}
    with replacing_all(folder, MARK) as aside:
        _write_tables(aside, data, findings)
        replace_text(aside / MARK, json_text(without_nan(content)))
        about = {"run": legend.short_name, "date": date.today().isoformat(), "severities": SEVERITIES}
        looks = {"thumbnails": thumbnails, "examples": some, "classes": classes, "most": max(counts.sum(0).max(), 1)}
        replace_text(aside / "report.html", filled("audit.html", content=content, shown=_SHOWN, **about, **looks))
    page = folder / "report.html"
    said = filled("audit.txt", content=content, legend=legend.path, severities=SEVERITIES, path=page)
    print(said, end="", flush=True)


def _write_tables(folder: Path, data: DataSet, findings: Sequence[Finding]) -> None:
    rows = []
    for one in findings:
        rows.append((one.name, one.severity, one.title, ""))
        rows += [(one.name, one.severity, "", " | ".join(row)) for row in one.rows]
    _write_csv(folder / "findings.csv", "finding severity title detail", rows)
    images = data.legend.images
    copies = {image for finding in findings for image in finding.copies}
    _write_csv(folder / "duplicates.csv", "image", [(image,) for image in images if image in copies])
    if data.issues is not None:
        _write_csv(folder / "label_issues.csv", "image label suggested issue_score", listed(data))
    columns = "image error format mode width height bytes color progressive dhash"
    _write_csv(folder / "images.csv", columns, map(_described, images, data.metadata))
    data.split.write_csv(folder / "split.csv")


def _described(image: str, one: ImageMetadata) -> list[object]:
    said = ["yes" if value else "no" for value in (one.color, one.progressive)]
    return [image, one.error, one.format, one.mode, one.width, one.height, one.size, *said, f"{one.dhash:016x}"]


def _write_csv(path: Path, heading: str, rows: Iterable[Sequence[object]]) -> None:
    with replacing(path, newline="", errors="backslashreplace") as stream:
        writer = csv.writer(stream)
        writer.writerow(heading.split())
        writer.writerows([cell(one) if isinstance(one, str) else one for one in row] for row in rows)
