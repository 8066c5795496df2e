"""Label overrides: lists that an audit writes, of images to leave out or to label otherwise."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_lightning.data.splits import TESTING, Split
from fer_lightning.errors import FERError


def override_labels(split: Split, exclude: Collection[str] = (), relabel: Mapping[str, str] | None = None) -> Split:
    """Leave images out of training and validation, or give them another label there.

    The testing subset stays as it is: a test that is cleaned with a network's help flatters that network.

    Args:
        split: The split as the legend has it.
        exclude: Images to leave out, named as in the legend. With several data sets, the name in the image's own will
            do if only one of them has such an image.
        relabel: Images and their new labels, which must be among the class names.

    Raises:
        FERError: If none of the images is there, or a name stands for several.
    """
    legend, places = split.legend, _places(split.legend.images)
    listed = len(exclude) + len(relabel or {})
    exclude = set(_found(exclude, places, "exclude").values())
    names = _found(relabel or {}, places, "relabel")
    unknown = listed - len(exclude) - len(names)
    relabel = {image: (relabel or {})[name] for name, image in names.items()}
    numbers = {name: number for number, name in enumerate(legend.class_names)}
    labels, keep = legend.labels.copy(), np.ones(len(legend), bool)
    seen: set[tuple[str, int]] = set()
    for row, image in enumerate(legend.images):
        if split.subsets[row] != TESTING:
            keep[row] = image not in exclude
            labels[row] = numbers[relabel[image]] if image in relabel else labels[row]
        if keep[row] and (place := (image, int(labels[row]))) in seen:
            keep[row] = False
        elif keep[row]:
            seen.add(place)
    rows = np.flatnonzero(keep)
    left_out, changed = len(legend) - len(rows), int((labels != legend.labels)[rows].sum())
    note = f"{left_out} images are left out and {changed} have another label, none of them in the testing subset."
    if unknown:
        note += f" {unknown} of the {listed} listed are not in the data set."
    return Split(
        replace(legend, labels=labels).take(rows),
        split.subsets[rows],
        [split.identities[row] for row in rows.tolist()],
        split.options | {"left_out": left_out, "relabelled": changed},
        (note, *split.warnings),
    )


def _places(images: Sequence[str]) -> dict[str, set[str]]:
    """Every image by its name, and by what is left of it without the folders in front."""
    whole = {image: {image} for image in images}
    short: dict[str, set[str]] = {}
    for image in images:
        levels = image.split("/")
        for start in range(1, len(levels)):
            short.setdefault("/".join(levels[start:]), set()).add(image)
    return whole | {name: found for name, found in short.items() if name not in whole}


def _found(listed: Collection[str], places: Mapping[str, set[str]], option: str) -> dict[str, str]:
    known = {name: places[name] for name in listed if name in places}
    if listed and not known:
        raise FERError(
            f"None of the {len(listed)} images listed for --data.{option} is in the data set. Expected names as in the "
            f"legend, such as '{next(iter(places))}'. Received: '{next(iter(listed))}'."
        )
    for name, images in known.items():
        if len(images) > 1:
            raise FERError(f"'{name}', listed for --data.{option}, may be {' or '.join(sorted(images))}.")
    return {name: next(iter(images)) for name, images in known.items()}


def read_exclude(path: str | os.PathLike[str]) -> set[str]:
    """The column `image` of a CSV such as label_issues.csv or duplicates.csv.

    Raises:
        FERError: If there is no such file or column.
    """
    return {row["image"] for _, row in _rows(path, "exclude", ("image",))}


def read_relabel(path: str | os.PathLike[str], class_names: Sequence[str]) -> dict[str, str]:
    """The columns `image` and `suggested` of a CSV such as label_issues.csv.

    Raises:
        FERError: If there is no such file or column, or a suggested label is not a class.
    """
    labels = {}
    for line, row in _rows(path, "relabel", ("image", "suggested")):
        label = row["suggested"].strip().lower()
        if label not in class_names:
            raise FERError(f"{path}:{line}: unknown label '{label}'; expected one of {', '.join(class_names)}.")
        labels[row["image"]] = label
    return labels


def _rows(path: str | os.PathLike[str], option: str, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    if not Path(path).is_file():
        raise FERError(f"Invalid value for --data.{option}. Expected a CSV file, found nothing at '{path}'.")
    with open(path, newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        try:
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
        except UnicodeDecodeError as error:
            raise FERError(f"{path}: expected CSV in UTF-8: {error}.") from None
        if missing:
            raise FERError(
                f"{path}:1: missing column {', '.join(missing)}. Expected the columns {', '.join(columns)}, as in the "
                "label_issues.csv of `audit`."
            )
        try:
            return [(reader.line_num, {name: row[name] or "" for name in columns}) for row in reader]
        except (UnicodeDecodeError, csv.Error) as error:
            raise FERError(f"{path}: expected CSV in UTF-8: {error}.") from None
