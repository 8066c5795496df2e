"""Rows of a data set that cannot be used: refused, or left out and listed."""

import csv
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_lightning.data.csv_columns import read_columns
from fer_lightning.data.image_checks import complaints_about, explained
from fer_lightning.data.legend import Legend, OnError, Problem
from fer_lightning.data.problems import listed_problems
from fer_lightning.errors import FERError
from fer_lightning.files import replacing
from fer_lightning.names import cell, file_name, many, of_cell, one_line

_SHOWN = 5


def usable(legend: Legend, on_error: OnError, exclude: str | None, folder: str | os.PathLike[str]) -> Legend:
    """The legend without images that cannot be used.

    With `drop`, every image is decoded once before the split. What cannot be is left out and listed beside the decoded
    images, by which it is known the next time. Images that `exclude` names may be missing or damaged in any case.

    Args:
        legend: What a source has read; its `problems` are the rows that it has left out.
        on_error: Whether what cannot be used is an error.
        exclude: A CSV file with a column `image`.
        folder: Where the list is kept.

    Raises:
        FERError: If something else cannot be used and `on_error` is `error`, or nothing is left.
    """
    if on_error == "error":
        named = (
            {of_cell(row["image"]) for _, row in read_columns(exclude, "--data.exclude", ("image",))} if exclude else ()
        )
        if left := [problem for problem in legend.problems if problem.image not in named]:
            raise FERError(listed_problems(left, lambda line: f"{legend.path}:{line}" if line else str(legend.path)))
        rows = np.flatnonzero([image in named for image in legend.images]) if named else np.array([], np.int64)
        said = complaints_about(legend, rows)
        return _without(legend, {legend.images[row]: why for row, why in zip(rows.tolist(), said, strict=True) if why})
    state = hashlib.sha256(
        f"{legend.files_fingerprint} {legend.problems}".encode(errors="backslashreplace")
    ).hexdigest()
    path = Path(folder).expanduser() / f"{file_name(legend.short_name or 'data')}-left_out-{state[:12]}.csv"
    if not path.is_file():
        said = complaints_about(legend, np.arange(len(legend)))
        bad = [(image, why) for image, why in zip(legend.images, said, strict=True) if why]
        with explained(
            path.parent, "the list of images that are left out needs room", "Choose another --data.prepared_dir."
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, newline="") as stream:
                table = csv.writer(stream)
                table.writerow(["image", "reason"])
                table.writerows([cell(text) for text in row] for row in bad)
                table.writerows([cell(problem.image), cell(problem.message)] for problem in legend.problems)
    listed = [(of_cell(row["image"]), row["reason"]) for _, row in read_columns(path, "left out", ("image", "reason"))]
    if not listed:
        return legend
    there = set(legend.images)
    shown = "; ".join(one_line(reason, 200) for _, reason in listed[:_SHOWN]) + "; ..." * (len(listed) > _SHOWN)
    number = many(len(listed), "image or row that cannot be used is", "images or rows that cannot be used are")
    note = f"{number} left out, see '{path}': {shown}"
    kept = _without(legend, {image: why for image, why in listed if image in there})
    return replace(kept, warnings=(note, *kept.warnings))


def _without(legend: Legend, bad: dict[str, str]) -> Legend:
    """The legend without these images, each of which has a reason."""
    if not bad:
        return legend
    keep = np.array([image not in bad for image in legend.images])
    if not keep.any():
        raise FERError(f"None of the {len(legend):,} images of '{legend.path}' can be used.")
    more = (Problem(0, why, image) for image, why in bad.items())
    return replace(legend.take(keep), problems=(*legend.problems, *more))
