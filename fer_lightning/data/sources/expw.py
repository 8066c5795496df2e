"""ExpW, whose list names the faces in photographs and their expressions."""

import contextlib
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from fer_lightning.data.csv_columns import read_lines
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.image_names import ImageNames
from fer_lightning.data.legend import Conflicts, Legend, OnError, Problem
from fer_lightning.data.legend_rows import LegendRows, normalised_classes
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.box_crops import Box, cut_out
from fer_lightning.data.sources.fer2013 import NUMBERED, SEVEN
from fer_lightning.data.sources.unpacked import Entry, add_entries
from fer_lightning.errors import FERError
from fer_lightning.files import check_path

_LIST = "label.lst"
_IMAGES = ("image", "origin", "images")
_EXAMPLE = "name face_id top left right bottom confidence label, such as 'a.jpg 0 36 80 220 176 52.37 3'"


class ExpW(DataSource):
    """ExpW, the list `label.lst` with the photographs in `image` or `origin`.

    Each face is cut out once, by the box in the list, and is an image. Nobody knows who is in a photograph: its faces
    count as one person, so that a photograph is never on both sides of a split.

    Args:
        root: The folder, or the list.
        images: The folder of the photographs, if it is elsewhere.
        classes: The class list, in the order of the network's outputs; without it, the seven expressions.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        on_error: A line that cannot be used is an error, or dropped.
        follow_links: Whether links to files outside the image folder are taken.
        prepared_dir: Where the faces are written.
    """

    name = "ExpW"

    def __init__(
        self,
        root: str,
        images: str | None = None,
        classes: list[str] | None = None,
        conflicts: Conflicts = "drop",
        on_error: OnError = "error",
        follow_links: bool = False,
        prepared_dir: str = "prepared_data",
    ) -> None:
        self.root, self.images, self.conflicts, self.on_error = root, images, conflicts, on_error
        self.follow_links, self.prepared_dir = follow_links, prepared_dir
        self.class_names = normalised_classes(classes) if classes is not None else SEVEN

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether this is the list, or a folder with it, whose first line names a face."""
        with contextlib.suppress(OSError):  # a folder that may not be read
            return _list_in(path) is not None
        return False

    def read(self) -> Legend:
        """Cut out the faces unless they are there, and read what they show.

        Raises:
            FERError: If there is no list, or lines of it cannot be used.
        """
        check_path("--data.root", self.root)
        root, strict = Path(self.root).expanduser(), self.on_error == "error"
        listed = _list_in(root)
        if listed is None:
            raise FERError(
                f"Invalid value for --data.root. Expected ExpW: a folder with {_LIST}, whose lines are {_EXAMPLE}, and "
                f"the photographs in image/. Found none at '{root}'."
            )
        folder = self._photographs(listed)
        names = ImageNames(folder, self.follow_links)
        boxes: list[Box] = []
        problems: list[Problem] = []
        for number, line in tqdm(read_lines(listed, "--data.root"), f"Reading {_LIST}", delay=1, leave=False):
            words = line.rsplit(maxsplit=7)  # a name may have spaces
            face = _face(words)
            if face is None:
                problems.append(Problem(number, f"expected {_EXAMPLE}; found '{line[:80]}'", "", str(listed)))
                continue
            image, said = names.find(words[0])
            if words[7] not in map(str, range(len(NUMBERED))):
                expected = ", ".join(f"{value} {name}" for value, name in enumerate(NUMBERED))
                said = said or f"unknown expression '{words[7][:80]}'; expected one of {expected}"
            if said:
                problems.append(Problem(number, said, "", str(listed)))
                continue
            stem = f"{os.path.splitext(image)[0]}_face{words[1]}"
            entry = Entry(number, stem, NUMBERED[int(words[7])], None, image, (words[6],), str(listed))
            boxes.append(Box(entry, os.path.join(folder, image), face))
        images, entries = cut_out("expw", boxes, [listed], problems, strict, self.prepared_dir)
        rows = LegendRows(listed, images, self.class_names)
        rows.attribute_names = ("face_box_confidence",)
        rows.problems += problems
        add_entries(rows, entries)
        legend = rows.finish(self.conflicts, strict)
        notes = (
            f"The faces are cut out, by the boxes of the list, as files in '{images}'.",
            "The faces of a photograph count as one person.",
        )
        return replace(legend, format=f"ExpW ({_LIST})", notes=notes)

    def _photographs(self, listed: Path) -> Path:
        around = (listed.absolute().parent, listed.absolute().parent.parent)
        given = None if self.images is None else Path(self.images).expanduser()
        places = [given] if given is not None else [base / name for base in around for name in _IMAGES]
        found = next((place for place in places if place.is_dir()), None)
        if found is None:
            raise FERError(f"No image folder found: expected one at '{places[0]}'. Name it with --data.images DIR.")
        return found


def _list_in(path: Path) -> Path | None:
    for place in [path] if path.is_file() else [path / _LIST, path / "label" / _LIST]:
        try:
            if place.is_file() and place.suffix == ".lst":
                with open(place, "rb") as stream:
                    line = stream.read(1024).partition(b"\n")[0].decode("utf-8-sig", errors="replace")
                if _face(line.strip().rsplit(maxsplit=7)) is not None:
                    return place
        except OSError:
            continue
    return None


def _face(words: Sequence[str]) -> Face | None:
    """The face that the words of a line name; the box is top, left, right, bottom there."""
    try:
        top, left, right, bottom, score = map(float, words[2:7])
    except ValueError:
        return None
    good = len(words) == 8 and words[1].isdecimal() and all(map(math.isfinite, (top, left, right, bottom)))
    return Face(left, top, right - left, bottom - top, score) if good else None
