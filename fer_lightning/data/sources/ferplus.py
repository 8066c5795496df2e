"""`ferplus`: the FER+ data set from the two files that it is published as."""

import csv
import os
import re
from collections import Counter
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from fer_lightning.data.csv_columns import read_columns
from fer_lightning.data.image_checks import explained
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.sources.fer2013 import SUBSETS, face_of
from fer_lightning.errors import FERError
from fer_lightning.files import check_path, new_folder
from fer_lightning.screen import say

_ORDER = ("testing", "validation", "training")
_OTHER_VOTES = ("unknown", "NF")


class _Image(NamedTuple):
    subset: str
    name: str
    label: str
    votes: list[int]
    pixels: np.ndarray


def ferplus(
    fer2013: str, votes: str, output: str, testing: Literal["PrivateTest", "PublicTest"] = "PrivateTest"
) -> None:
    """Make the FER+ data set from fer2013.csv and fer2013new.csv, in the form that `fit` takes.

    An image is in it if one of the eight expressions has a majority: more than half of the votes, those for `unknown`
    and "no face" among them, where single votes do not count (the majority rule of microsoft/FERPlus). The votes in the
    legend are all that the expressions have. Of images that are the same pixel by pixel one is kept, that in testing if
    there is one, else that in validation.

    Args:
        fer2013: The file with the images (FER2013, from Kaggle): columns emotion, pixels and Usage.
        votes: The file with the votes (github.com/microsoft/FERPlus): fer2013new.csv.
        output: The folder to make: legend.csv, with a column `split` and the votes, and images/.
        testing: What the testing subset is. PrivateTest: as published, PublicTest is for validation then. PublicTest:
            PrivateTest is left out altogether, as in the results of the README.

    Raises:
        FERError: If a file cannot be read as such, the disk is full, or the folder is there and not empty.
    """
    check_path("--output", output)
    folder = Path(os.path.abspath(Path(output).expanduser()))
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise FERError(
            f"Invalid value for --output. '{folder}' exists already. Expected a new folder: choose another one, or "
            "remove it."
        )
    subsets = SUBSETS if testing == "PrivateTest" else {"Training": "training", "PublicTest": "testing"}
    table = read_columns(fer2013, "--fer2013", ("pixels", "Usage"))
    pixels = list(tqdm(table, f"Reading {Path(fer2013).name}", unit=" rows", delay=1, leave=False))
    given = list(read_columns(votes, "--votes", ("Usage", "Image name", *EXPRESSIONS, *_OTHER_VOTES)))
    if len(pixels) != len(given):
        raise FERError(
            f"The two files do not belong together. Expected as many rows in '{votes}' as in '{fer2013}', which has "
            f"{len(pixels):,}. Received: {len(given):,}."
        )
    rows: list[_Image] = []
    names: set[str] = set()
    both = tqdm(zip(pixels, given, strict=True), "Reading images", len(pixels), delay=1, leave=False)
    for (image_line, image), (line, row) in both:
        usage, name = row["Usage"], row["Image name"]
        if usage not in SUBSETS:
            raise FERError(f"{votes}, line {line}: 'Usage' is {usage!r}. Expected one of {', '.join(SUBSETS)}.")
        if name and (name in names or not re.fullmatch(r"[\w-]+\.png", name)):
            raise FERError(
                f"{votes}, line {line}: expected an image name of its own such as fer0000001.png, found {name!r}."
            )
        names.add(name)
        texts = [row[column] for column in (*EXPRESSIONS, *_OTHER_VOTES)]
        if wrong := [text for text in texts if not text.isdecimal() or len(text) > 6]:
            raise FERError(f"{votes}, line {line}: expected a number of votes, found {wrong[0][:80]!r}.")
        label, counts = _label(list(map(int, texts)))
        if image["Usage"] != usage:
            raise FERError(f"{votes}, line {line}: 'Usage' is {usage!r}, and {image['Usage']!r} in {fer2013}.")
        if name and label and (subset := subsets.get(usage)):
            rows.append(_Image(subset, name, label, counts, _image(image["pixels"], fer2013, image_line)))
    kept = _without_copies(rows)
    if not kept:
        raise FERError(f"No image in '{votes}' has a majority for one of the eight expressions.")
    need = f"the {len(kept):,} images need {len(kept) * 4 / 1000:,.0f} MB"
    with explained(folder, need, "Choose another --output."), new_folder(folder) as aside:
        (aside / "images").mkdir()
        for one in tqdm(kept, "Writing images", delay=1, leave=False):
            Image.fromarray(one.pixels).save(aside / "images" / one.name)
        with open(aside / "legend.csv", "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["user.id", "image", "emotion", "split", *EXPRESSIONS])
            writer.writerows(["ferplus", one.name, one.label, one.subset, *one.votes] for one in kept)
    numbers = Counter(one.subset for one in kept)
    said = ", ".join(f"{numbers[subset]:,} {subset}" for subset in subsets.values())
    say(f"{output}: {len(kept):,} images ({said}); {len(rows) - len(kept):,} copies left out.")


def _label(counts: list[int]) -> tuple[str | None, list[int]]:
    """The expression with the majority, if there is one; and the expressions' votes."""
    heard = [count if count > 1 else 0 for count in counts]
    first = heard.index(max(heard))
    majority = first < len(EXPRESSIONS) and 2 * heard[first] > sum(heard)
    return (EXPRESSIONS[first] if majority else None), counts[: len(EXPRESSIONS)]


def _image(text: str, path: str, line: int) -> np.ndarray:
    try:
        return face_of(text)
    except ValueError as error:
        raise FERError(f"{path}, line {line}: {error}.") from None


def _without_copies(rows: list[_Image]) -> list[_Image]:
    first: dict[bytes, int] = {}
    for number in sorted(range(len(rows)), key=lambda number: (_ORDER.index(rows[number].subset), number)):
        first.setdefault(rows[number].pixels.tobytes(), number)
    return [rows[number] for number in sorted(first.values())]
