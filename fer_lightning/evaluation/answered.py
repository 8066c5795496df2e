"""Which answer is about which image: names of images in rows, matched with those of a data set."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fer_lightning.data.splits import Split
from fer_lightning.errors import FERError
from fer_lightning.evaluation.answers import Answers
from fer_lightning.names import many, one_line, printable

Missing = Literal["error", "drop", "baseline"]
_SHOWN = 3


def placed(
    answers: Answers, split: Split, rows: np.ndarray, prior: np.ndarray, missing: Missing
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Put answers beside the images of a subset.

    An image may be called as in the legend, by its path, or by that path below a folder that all rows have in common.
    Of several faces in an image, the largest counts.

    Args:
        answers: What a model said; images that are not asked for do not matter.
        split: The data set's.
        rows: int64 `(n,)`, the rows of the split that are measured.
        prior: float `(c,)`, class frequencies in training, for the classes of the split.
        missing: What becomes of an image without an answer: an error, left out, or answered with the prior.

    Returns:
        The rows that can be measured, int64 `(m,)`; their probabilities, float64 `(m, classes of the answers)`; and
        sentences on what was noticed.

    Raises:
        FERError: If an image is answered twice, or one has no answer and that is an error.
    """
    legend = split.legend
    wanted = [legend.images[row] for row in rows.tolist()]
    places, strangers = _of_images(answers, legend.images, legend.image_dir)
    notes = list(answers.notes)
    if not any(image in places for image in wanted):
        raise FERError(
            f"No answer in '{answers.origin}' is about an image that is measured. Expected names such as "
            f"'{one_line(wanted[0])}'. Found names such as '{one_line(answers.images[0])}'."
        )
    best, larger = _one_each({image: places[image] for image in wanted if image in places}, answers)
    if not best:
        raise FERError(f"'{answers.origin}' has rows, but no answer, for the images that are measured.")
    if larger:
        notes.append(f"In {many(larger, 'image')} there are several faces: the largest one counts.")
    if strangers:
        verb = "is" if len(strangers) == 1 else "are"
        notes.append(
            f"{many(len(strangers), 'row')} {verb} about images that the data set does not have, such as "
            f"'{one_line(strangers[0])}'."
        )
    silent = [image for image in wanted if image not in best]
    if silent and missing == "error":
        shown = ", ".join(map(one_line, silent[:_SHOWN])) + ", ..." * (len(silent) > _SHOWN)
        raise FERError(
            f"'{answers.origin}' has no answer for {len(silent):,} of {many(len(wanted), 'image')}: {shown}. Say what "
            "becomes of them: --missing drop leaves them out, --missing baseline answers with the class frequencies in "
            "training."
        )
    if silent:
        done = "left out" if missing == "drop" else "answered with the class frequencies in training"
        notes.append(f"{many(len(silent), 'image')} of {len(wanted):,} had no answer and {_was(silent)} {done}.")
    plain = np.zeros(len(answers.class_names))
    plain[: len(prior)] = prior
    if not answers.scored:
        plain = np.eye(len(plain))[int(plain.argmax())]
    kept = [number for number, image in enumerate(wanted) if image in best or missing == "baseline"]
    found = np.array([answers.probabilities[best[wanted[n]]] if wanted[n] in best else plain for n in kept])
    return rows[kept], found, [*notes, *_of_classes(answers, legend.labels[rows[kept]], found)]


def _was(several: Sequence[str]) -> str:
    return "was" if len(several) == 1 else "were"


def _of_images(answers: Answers, images: Sequence[str], image_dir: Path) -> tuple[dict[str, list[int]], list[str]]:
    """The answers to each image, by their numbers; and the names that are of no image."""
    known, folder = set(images), os.path.realpath(image_dir)
    names = [name.replace("\\", "/").removeprefix("./") for name in answers.images]
    prefix = next((prefix for name in names if (prefix := _before(name, known)) is not None), None)
    found: dict[str, list[int]] = defaultdict(list)
    strangers = []
    for number, name in enumerate(names):
        below = name.removeprefix(prefix) if prefix and name.startswith(prefix) else name
        meant = next((one for one in (name, below) if one in known), None)
        if meant is None:
            path = os.path.relpath(os.path.realpath(answers.images[number]), folder).replace(os.sep, "/")
            meant = path if path in known else None
        if meant is None:
            strangers.append(answers.images[number])
        else:
            found[meant].append(number)
    return dict(found), strangers


def _before(name: str, known: set[str]) -> str | None:
    """What stands before the name of an image in a path, such as `/data/fer/`; None if it names none."""
    parts = name.split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((name.removesuffix(end) for end in ends if end in known), None)


def _one_each(places: dict[str, list[int]], answers: Answers) -> tuple[dict[str, int], int]:
    """The answer of each image that has one, and in how many there were several faces."""
    best, several = {}, 0
    for image, numbers in places.items():
        given = [number for number in numbers if not np.isnan(answers.probabilities[number, 0])]
        largest = max(given, key=lambda number: answers.areas[number], default=None)
        if len(given) > 1:
            if sorted(answers.areas[number] for number in given)[-2:].count(answers.areas[largest or 0]) > 1:
                first, second = (answers.places[number] for number in given[:2])
                raise FERError(
                    f"{second}: '{printable(one_line(image))}' is answered a second time, after {first}. Expected one "
                    "row an image, or columns width and height of the faces, of which the largest counts."
                )
            several += 1
        if largest is not None:
            best[image] = largest
    return best, several


def _of_classes(answers: Answers, labels: np.ndarray, found: np.ndarray) -> list[str]:
    """Sentences on classes that only the data set or only the model knows."""
    notes = []
    counts = np.bincount(labels, minlength=len(answers.class_names))
    names = zip(answers.class_names, answers.known, counts, strict=True)
    if absent := {name: count for name, known, count in names if not known and count}:
        said = ", ".join(f"{name} ({many(int(count), 'image')})" for name, count in absent.items())
        notes.append(
            f"The answers know no {said}: these images are counted as wrong, with a probability of 0. To leave them "
            "out, name the other classes with --data.classes, and add --data.on_error drop."
        )
    claimed = np.bincount(found.argmax(1), minlength=len(counts))
    if wrong := {
        name: int(n) for name, n, count in zip(answers.class_names, claimed, counts, strict=True) if n > count == 0
    }:
        said = ", ".join(f"{name} ({many(n, 'time')})" for name, n in wrong.items())
        notes.append(f"No image shows {said}, which is answered nevertheless, and wrong.")
    return notes
