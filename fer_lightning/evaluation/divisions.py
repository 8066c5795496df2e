"""Which images belong together: by the further columns of the legend, by annotator, by what their files say."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import Literal

import numpy as np

from fer_lightning.data.image_metadata import ImageMetadata
from fer_lightning.errors import FERError
from fer_lightning.evaluation.predictions import Predictions
from fer_lightning.names import one_line, printable

NOT_STATED = "not stated"
"""The group of images whose cell is empty."""

_OF_PREDICTIONS = ("user.id", "person seen in training")
BUILT_IN = ("color", "shorter side", "format", *_OF_PREDICTIONS)
"""What is known of every image, beside the columns."""

_COLUMN = "column:"
_MOST_VALUES = 20
"""Different values of a column of texts that are groups without being asked for."""
_MOST_GROUPS = 200
_MOST_BUILT_IN = 10
_FEW_NUMBERS = 10
"""Different numbers that are a group each; of more, there are ranges."""
_RANGES = 4
_LIMITS = (48, 96, 192, 384)
"""Pixels of an image's shorter side at which another group of sizes begins."""
_SIZES = ("below 48 px", "48 to 95 px", "96 to 191 px", "192 to 383 px", "384 px or more")
_MOST_COLUMNS = 50
"""Columns that divide without being asked for: a table of landmarks has hundreds."""

Kind = Literal["column", "annotator", "file"]
"""A column of the legend; who labelled the image; a fact about the file, or about the split."""


@dataclass(frozen=True)
class Division:
    """`n` images in groups."""

    attribute: str  # what they were divided by
    names: tuple[str, ...]  # the value of each group, in the order in which they are shown
    codes: np.ndarray  # int64 `(n,)`, the group of each image; -1 for none
    kind: Kind


def names_of(attributes: Iterable[str]) -> dict[str, str]:
    """The columns by the names that they have as attributes: `column:format` where `format` is built in."""
    return {f"{_COLUMN}{name}" if name in BUILT_IN or name.startswith(_COLUMN) else name: name for name in attributes}


def check_slices(
    chosen: str | Sequence[str] | None, attributes: Iterable[str], files: bool = True
) -> Sequence[str] | None:
    """The names that are to be sliced by, all of which are there.

    Args:
        chosen: The names, or one; None for all.
        attributes: The further columns of the legend.
        files: Whether the image files are at hand.

    Raises:
        FERError: If a name is unknown; it lists those there are.
    """
    chosen = [chosen] if isinstance(chosen, str) else chosen
    known = [*names_of(attributes), *(BUILT_IN if files else _OF_PREDICTIONS)]
    if unknown := [str(name) for name in chosen or () if name not in known]:
        columns = len(known) - len(BUILT_IN if files else _OF_PREDICTIONS)
        said = "" if columns else " (the data set has no further columns)"
        raise FERError(
            f"Invalid value for --slices. Expected some of: {printable(', '.join(known))}{said}. Received: "
            f"'{one_line(unknown[0])}'."
        )
    return chosen


def divisions_of(
    predictions: Predictions, metadata: Sequence[ImageMetadata] | None, chosen: str | Sequence[str] | None = None
) -> tuple[list[Division], tuple[str, ...]]:
    """Divide images by every column, and by what is known without columns.

    A column of texts makes a group a value, if there are at most 20 or it was chosen; more than 10 different numbers
    make four ranges of about equal numbers of images. Empty cells are `not stated`. Of more than 50 columns, the first
    are taken. What all images have in common divides nothing, and is left out.

    Args:
        predictions: The images.
        metadata: What their files say; None where they are not at hand.
        chosen: The attributes to divide by; None for all.

    Returns:
        The divisions, columns first; and what was left out, one sentence each.

    Raises:
        FERError: As of `check_slices`.
    """
    chosen = check_slices(chosen, predictions.attributes, metadata is not None)
    found, notes = [], []
    columns = {name: of for name, of in names_of(predictions.attributes).items() if chosen is None or name in chosen}
    if chosen is None and len(columns) > _MOST_COLUMNS:
        notes.append(f"There are {len(columns):,} columns: slices of the first {_MOST_COLUMNS}, unless --slices asks.")
        columns = dict(islice(columns.items(), _MOST_COLUMNS))
    for attribute, column in columns.items():
        cells = [text.strip() for text in predictions.attributes[column]]
        different = len(set(cells) - {""})
        if (numbers := _numbers(cells)) is not None and different > _FEW_NUMBERS:
            found.append(Division(attribute, *_ranges(numbers), "column"))
        elif different > _MOST_VALUES and chosen is None:
            said = f"'{attribute}' has {different:,} different values: no slices, unless --slices '[{attribute}]' asks."
            notes.append(said)
        else:
            if different > _MOST_GROUPS:
                notes.append(f"'{attribute}' has {different:,} different values: slices of the {_MOST_GROUPS} largest.")
            found.append(Division(attribute, *_values([text or NOT_STATED for text in cells], _MOST_GROUPS), "column"))
    for attribute, (values, kind) in _built_in(predictions, metadata).items():
        if chosen is None or attribute in chosen:
            found.append(Division(attribute, *_values(values, _MOST_BUILT_IN), kind))
    return [one for one in found if len(one.names) > 1], tuple(notes)


def _built_in(
    predictions: Predictions, metadata: Sequence[ImageMetadata] | None
) -> Mapping[str, tuple[Sequence[str], Kind]]:
    found: dict[str, tuple[Sequence[str], Kind]] = {
        "user.id": ([user or NOT_STATED for user in predictions.users], "annotator"),
        "person seen in training": (["yes" if seen else "no" for seen in predictions.seen], "file"),
    }
    if metadata is not None:
        found["color"] = (["color" if one.color else "gray" for one in metadata], "file")
        found["shorter side"] = ([_size(min(one.width, one.height)) for one in metadata], "file")
        found["format"] = ([f"{one.format or 'unreadable'} {one.mode}" for one in metadata], "file")
    return found


def _size(side: int) -> str:
    return _SIZES[bisect_right(_LIMITS, side)]


def _values(values: Sequence[str], most: int) -> tuple[tuple[str, ...], np.ndarray]:
    """The most frequent values, and the place of each image's among them.

    Sizes and numbers stand in their own order, others by how frequent they are; `not stated` is last.
    """
    names = [name for name, _ in Counter(sorted(values)).most_common(most)]
    if set(names) <= set(_SIZES):
        names.sort(key=_SIZES.index)
    elif (numbers := _numbers(["" if name == NOT_STATED else name for name in names])) is not None:
        names = [names[place] for place in np.argsort(numbers, kind="stable")]
    names.sort(key=lambda name: name == NOT_STATED)
    places = {name: place for place, name in enumerate(names)}
    return tuple(names), np.array([places.get(value, -1) for value in values], np.int64)


def _numbers(cells: Sequence[str]) -> np.ndarray | None:
    """The numbers in the cells, NaN for an empty one; None if a cell holds anything else."""
    try:
        numbers = [float(text.replace("_", "?")) if text else float("nan") for text in cells]
    except ValueError:
        return None
    whole = all(isfinite(number) for number, text in zip(numbers, cells, strict=True) if text)
    return np.array(numbers) if whole else None


def _ranges(numbers: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Ranges of about equal numbers of images, called by the smallest and largest number in each."""
    stated = ~np.isnan(numbers)
    levels, place, counts = np.unique(numbers[stated], return_inverse=True, return_counts=True)
    middle = (counts.cumsum() - counts / 2) / counts.sum()  # of the images with a number, in order
    ranges = np.unique((middle * _RANGES).astype(int), return_inverse=True)[1]
    texts = next(texts for digits in (6, 17) if len(set(texts := [f"{x:.{digits}g}" for x in levels])) == len(texts))
    names = []
    for number in range(ranges.max() + 1):
        low, high = np.flatnonzero(ranges == number)[[0, -1]]
        names.append(texts[low] if low == high else f"{texts[low]} to {texts[high]}")
    codes = np.full(len(numbers), len(names), np.int64)
    codes[stated] = ranges[place]
    return (*names, *([] if stated.all() else [NOT_STATED])), codes
