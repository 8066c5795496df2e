"""RAF-DB, the basic expressions: as it is published, or in numbered folders as on Kaggle."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from fer_lightning.data.csv_columns import read_lines
from fer_lightning.data.image_files import IMAGE_SUFFIXES
from fer_lightning.data.image_listing import is_junk
from fer_lightning.data.legend import SUBSETS, Conflicts, Legend, OnError
from fer_lightning.data.legend_rows import LegendRows, normalised_classes
from fer_lightning.data.part_names import part_of
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.fer2013 import SEVEN
from fer_lightning.errors import FERError
from fer_lightning.files import check_path
from fer_lightning.names import many

_LISTS = ("list_patition_label.txt", "list_partition_label.txt")  # the first is how it is published
_NUMBERED = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
_LABELS = {str(number): name for number, name in enumerate(_NUMBERED, 1)}
_EXPECTED = "expected one of " + ", ".join(f"{number} {name}" for number, name in _LABELS.items())
_PEOPLE = {
    "gender": ("male", "female", "unsure"),
    "race": ("Caucasian", "African-American", "Asian"),
    "age": ("0-3", "4-19", "20-39", "40-69", "70+"),
}


class RafDb(DataSource):
    """RAF-DB, the list `list_patition_label.txt` with its images, or numbered folders.

    The list is in the folder, in `EmoLabel` or in `basic/EmoLabel`, and the images in `Image/aligned`, or else in
    `Image/original`. On Kaggle there are folders `train/1` to `train/7` and `test/1` to `test/7`. Gender, race and
    age are taken from `Annotation/manual`, where it is there.

    Args:
        root: The folder, or the list.
        images: The image folder, if it is elsewhere.
        classes: The class list, in the order of the network's outputs; without it, the seven expressions.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        on_error: A line that cannot be used is an error, or dropped.
        follow_links: Whether links to files outside the image folder are taken.
    """

    name = "RAF-DB"

    def __init__(
        self,
        root: str,
        images: str | None = None,
        classes: list[str] | None = None,
        conflicts: Conflicts = "drop",
        on_error: OnError = "error",
        follow_links: bool = False,
    ) -> None:
        self.root, self.images, self.conflicts = root, images, conflicts
        self.on_error, self.follow_links = on_error, follow_links
        self.class_names = normalised_classes(classes) if classes is not None else SEVEN

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether this is the list, or a folder with it or with numbered folders of images that are named so."""
        with contextlib.suppress(OSError):  # a folder that may not be read
            return _list_in(path) is not None or _numbered_in(path) is not None
        return False

    def read(self) -> Legend:
        """Read the list or the folders.

        Raises:
            FERError: If there is neither, or lines or images of it cannot be used.
        """
        check_path("--data.root", self.root)
        root = Path(self.root).expanduser()
        listed, numbered = _list_in(root), _numbered_in(root)
        if listed is not None:
            return self._read_list(listed)
        if numbered is not None:
            return self._read_folders(numbered)
        raise FERError(
            f"Invalid value for --data.root. Expected RAF-DB: a folder with {_LISTS[0]} and Image/aligned, or with "
            f"train/1 to train/7. Found neither at '{root}'."
        )

    def _read_list(self, listed: Path) -> Legend:
        base = listed.parent.parent if listed.parent.name == "EmoLabel" else listed.parent
        images = _images_of(base, None if self.images is None else Path(self.images).expanduser())
        aligned = _is_aligned(images)
        people = base / "Annotation" / "manual"
        rows = LegendRows(listed, images, self.class_names, follow_links=self.follow_links)
        rows.attribute_names = tuple(_PEOPLE) if people.is_dir() else ()
        lines = tqdm(read_lines(listed, "--data.root"), "Reading the list", unit=" lines", delay=1, leave=False)
        for number, line in lines:
            words = line.split()
            if len(words) != 2:
                said = f"expected a name and a number such as 'train_00001.jpg 5', found '{line[:80]}'"
                rows.refuse(number, said)
                continue
            name, label = words
            part = part_of(name.partition("_")[0])
            if part is None:
                rows.refuse(number, f"the name '{name}' begins with neither train_ nor test_")
            elif label not in _LABELS:
                rows.refuse(number, f"unknown number '{label[:80]}'; {_EXPECTED}")
            else:
                stem, suffix = os.path.splitext(name)
                image = f"{stem}_aligned{suffix}" if aligned else name
                who = _person(people / f"{stem}_manu_attri.txt") if rows.attribute_names else ()
                rows.add(number, image, _LABELS[label], subset=SUBSETS[part], attributes=who)
        if rows.empty:
            raise FERError(f"{listed}: the file is empty. Expected lines such as 'train_00001.jpg 5'.")
        legend = rows.finish(self.conflicts, self.on_error == "error")
        note = f"The images are the {'aligned' if aligned else 'original'} ones, in '{images}'."
        return replace(legend, format=f"RAF-DB ({listed.name})", notes=(note,))

    def _read_folders(self, root: Path) -> Legend:
        rows = LegendRows(root, root, self.class_names, follow_links=self.follow_links)
        others = 0
        for part in ("train", "test"):
            for label in _names_in(root / part) if (root / part).is_dir() else ():
                if not (root / part / label).is_dir():
                    others += 1
                    continue
                if label not in _LABELS:
                    rows.refuse(0, f"the folder '{part}/{label}' has an unknown number; {_EXPECTED}")
                    continue
                for name in _names_in(root / part / label):
                    if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
                        rows.add(0, f"{part}/{label}/{name}", _LABELS[label], subset=part)
                    else:
                        others += 1
        legend = rows.finish(self.conflicts, self.on_error == "error")
        notes = (f"Left out: {many(others, 'file')} without an image.",) if others else ()
        return replace(legend, format="RAF-DB (numbered folders)", notes=notes)


def _list_in(path: Path) -> Path | None:
    if path.is_file():
        return path if path.name in _LISTS else None
    places = (path / folder / name for folder in ("", "EmoLabel", "basic/EmoLabel") for name in _LISTS)
    return next((place for place in places if place.is_file()), None)


def _numbered_in(path: Path) -> Path | None:
    """The folder with train/1 to train/7 whose first image is named as those of RAF-DB."""
    for root in (path, path / "DATASET"):
        try:
            inner = [name for name in _names_in(root / "train") if (root / "train" / name).is_dir()]
            first = next((one.name for one in os.scandir(root / "train" / inner[0]) if not is_junk(one.name)), "")
        except (OSError, IndexError):
            continue
        if set(inner) & set(_LABELS) and "0" not in inner and first.startswith("train_"):
            return root
    return None


def _names_in(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not is_junk(name))


def _images_of(base: Path, given: Path | None) -> Path:
    around = [given] if given is not None else [base / "Image", base]
    places = [place / kind for place in around for kind in ("aligned", "original")] + around
    found = next((place for place in places if place.is_dir() and (place != base or given)), None)
    if found is None:
        looked = given or base / "Image" / "aligned"
        raise FERError(f"No image folder found: expected one at '{looked}'. Name it with --data.images DIR.")
    return found


def _is_aligned(images: Path) -> bool:
    with os.scandir(images) as entries:
        seen = (entry.name for entry in entries if not is_junk(entry.name))
        some = [os.path.splitext(name)[0] for name in islice(seen, 10)]
    return any(stem.endswith("_aligned") for stem in some)


def _person(path: Path) -> Sequence[str]:
    """Gender, race and age: the last three numbers of a file, behind the places of eyes, nose and mouth."""
    try:
        words = path.read_text(encoding="ascii").split()[-len(_PEOPLE) :]
        return [_PEOPLE[name][int(word)] for name, word in zip(_PEOPLE, words, strict=True)]
    except (OSError, ValueError, IndexError):
        return [""] * len(_PEOPLE)
