"""Label overrides: lists that an audit writes, of images to leave out or to label otherwise."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import compress

import numpy as np

from fer_lightning.data.csv_columns import read_columns
from fer_lightning.data.label_words import class_name
from fer_lightning.data.splits import TESTING, Split
from fer_lightning.errors import FERError
from fer_lightning.names import many, of_cell

_LIKE = ", as in the label_issues.csv of audit"


def override_labels(
    split: Split, exclude: str | os.PathLike[str] | None = None, relabel: str | os.PathLike[str] | None = None
) -> Split:
    """Leave images out of training and validation, or give them another label there.

    The testing subset stays as it is: a test that is cleaned with a network's help flatters that network.

    Args:
        split: The split as the legend has it.
        exclude: A CSV file such as label_issues.csv or duplicates.csv, whose column `image` says what to leave out.
            With several data sets, the name in the image's own will do if only one of them has such an image.
        relabel: A CSV file such as label_issues.csv, with columns `image` and `suggested`.

    Raises:
        FERError: If a file cannot be read, a suggested label is not a class, none of the images is there, or a name
            stands for several.
    """
    legend, places = split.legend, _places(split.legend.images)
    excluded = {_meant(cells["image"], places) for _, cells in _rows(exclude, "exclude", "image")}
    suggested: dict[str, int] = {}
    for line, cells in _rows(relabel, "relabel", "image", "suggested"):
        name = class_name(cells["suggested"])
        if name not in legend.class_names:
            expected = ", ".join(legend.class_names)
            raise FERError(f"{relabel}:{line}: unknown label '{name}'; expected one of {expected}.")
        suggested[_meant(cells["image"], places)] = legend.class_names.index(name)
    gone = {problem.image for problem in legend.problems}  # they could not be used anyway
    left_out = _found(excluded - gone, places, "exclude")
    changed = {image: suggested[name] for image, name in _found(suggested, places, "relabel").items()}
    labels, keep = legend.labels.copy(), np.ones(len(legend), bool)
    seen: set[tuple[str, int]] = set()
    for row, image in enumerate(legend.images):
        if split.subsets[row] != TESTING:
            keep[row] = image not in left_out
            labels[row] = changed.get(image, labels[row])
        if keep[row]:
            place = (image, int(labels[row]))
            keep[row] = place not in seen
            seen.add(place)
    numbers = {"left_out": int((~keep).sum()), "relabelled": int((labels != legend.labels)[keep].sum())}
    note = (
        f"{many(numbers['left_out'], 'image is', 'images are')} left out and "
        f"{many(numbers['relabelled'], 'has', 'have')} another label, none of them in the testing subset."
    )
    listed = (*excluded, *suggested)
    if unknown := sum(name not in places and name not in gone for name in listed):
        note += f" Of {many(len(listed), 'image')} listed, {many(unknown, 'is', 'are')} not in the data set."
    return Split(
        replace(legend, labels=labels).take(keep),
        split.subsets[keep],
        list(compress(split.identities, keep)),
        split.options | numbers,
        (note, *split.warnings),
    )


def _rows(path: str | os.PathLike[str] | None, option: str, *columns: str) -> Iterable[tuple[int, dict[str, str]]]:
    return read_columns(path, f"--data.{option}", columns, _LIKE) if path else ()


def _meant(image: str, places: Mapping[str, set[str]]) -> str:
    """The image name in a cell, which may be written so that a spreadsheet does not take it for a formula."""
    return image if image in places else of_cell(image)


def _places(images: Sequence[str]) -> dict[str, set[str]]:
    """Every image by its name, and by what is left of it without the folders in front."""
    whole = {image: {image} for image in images}
    short: dict[str, set[str]] = {}
    for image in images:
        levels = image.split("/")
        for start in range(1, len(levels)):
            short.setdefault("/".join(levels[start:]), set()).add(image)
    return whole | short | whole  # a name that is whole means its image alone


def _found(listed: Collection[str], places: Mapping[str, set[str]], option: str) -> dict[str, str]:
    """The images that are meant, each with the name by which it is listed."""
    known = {name: places[name] for name in listed if name in places}
    if listed and not known:
        raise FERError(
            f"Of {many(len(listed), 'image')} listed for --data.{option}, none is in the data set. Expected names as "
            f"in the legend, such as '{next(iter(places))}'. Received: '{next(iter(listed))}'."
        )
    for name, images in known.items():
        if len(images) > 1:
            raise FERError(f"'{name}', listed for --data.{option}, may be {' or '.join(sorted(images))}.")
    return {image: name for name, images in known.items() for image in images}
