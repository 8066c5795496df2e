"""AffectNet's tables of photographs, faces and expressions."""

import contextlib
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from fer_lightning.data.csv_columns import form_of, open_table
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.image_names import ImageNames
from fer_lightning.data.legend import EXPRESSIONS, Conflicts, Legend, OnError, Problem
from fer_lightning.data.legend_rows import LegendRows, normalised_classes
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.affectnet_folders import NUMBERED, label_of, left_out, parts_in, read_folders
from fer_lightning.data.sources.box_crops import Box, cut_out
from fer_lightning.data.sources.unpacked import Entry, add_entries
from fer_lightning.errors import FERError
from fer_lightning.files import check_path

_COLUMNS = (
    *("subdirectory_filepath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks"),
    *("expression", "valence", "arousal"),
)
_BOX = _COLUMNS[1:5]
_PARTS = {"training": "training", "validation": "validation", "automatically_annotated": "training"}
_LISTS = ("", "Manually_Annotated_file_lists", "Automatically_annotated_file_list")
_IMAGES = ("Manually_Annotated_Images", "Automatically_Annotated_Images")


class AffectNet(DataSource):
    """AffectNet, tables `training.csv` and `validation.csv`, or the folders `train_set` and `val_set`.

    The tables name photographs and the box of the face in each, which is cut out once. Images without an expression
    (none, uncertain, no face) are left out. Valence and arousal are kept as columns.

    Args:
        root: The folder, or one table.
        images: The folder that the table's names are relative to, if it is elsewhere.
        classes: The class list, in the order of the network's outputs; without it, the eight expressions.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        on_error: A row that cannot be used is an error, or dropped.
        follow_links: Whether links to files outside the image folder are taken.
        prepared_dir: Where the faces are written.
    """

    name = "AffectNet"

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
        self.class_names = normalised_classes(classes) if classes is not None else EXPRESSIONS

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether this is such a table, or a folder with one, or with annotations in `train_set` or `val_set`."""
        with contextlib.suppress(OSError):  # a folder that may not be read
            return bool(_tables(path) or parts_in(path))
        return False

    def read(self) -> Legend:
        """Cut out the faces unless they are there, and read what they show.

        Raises:
            FERError: If there is no such table or folder, or rows of it cannot be used.
        """
        check_path("--data.root", self.root)
        root, strict = Path(self.root).expanduser(), self.on_error == "error"
        tables = _tables(root)
        if not tables and parts_in(root):
            rows = LegendRows(root, root, self.class_names, follow_links=self.follow_links)
            notes = read_folders(rows)
            legend = rows.finish(self.conflicts, strict)
            return replace(legend, format="AffectNet (train_set and val_set)", notes=notes)
        if not tables:
            raise FERError(
                "Invalid value for --data.root. Expected AffectNet: a folder with training.csv or validation.csv, or "
                f"with train_set/annotations. Found neither at '{root}'."
            )
        boxes: list[Box] = []
        problems: list[Problem] = []
        skipped: Counter[int] = Counter()
        for table in tables:
            self._read_table(table, boxes, problems, skipped)
        images, entries = cut_out("affectnet", boxes, tables, problems, strict, self.prepared_dir)
        rows = LegendRows(tables[0], images, self.class_names)
        rows.attribute_names = ("valence", "arousal")
        rows.problems += problems
        add_entries(rows, entries)
        legend = rows.finish(self.conflicts, strict)
        more = [one for one in _all_tables(root) if one not in tables]
        note = f"Left out: {', '.join(one.name for one in more)}; as --data.root, it is read."
        notes = (
            *left_out(skipped),
            *([note] if more else []),
            f"The faces are cut out, by the boxes of the table, as files in '{images}'.",
        )
        return replace(legend, format=f"AffectNet ({' and '.join(one.name for one in tables)})", notes=notes)

    def _read_table(self, table: Path, boxes: list[Box], problems: list[Problem], skipped: Counter[int]) -> None:
        """Take the rows of a table; what is wrong with one goes to `problems`."""
        part, folder, names = _PARTS.get(table.stem, "training"), Path(), None
        form = form_of(table, "--data.root")._replace(delimiter=",")  # there are semicolons among the landmarks
        with open_table(table, "--data.root", form) as reader:
            header: Sequence[str] = _COLUMNS
            for row in tqdm(reader, f"Reading {table.name}", unit=" rows", delay=1, leave=False):
                if reader.line_num == 1 and _COLUMNS[0] in (found := [cell.strip().lower() for cell in row]):
                    header = found
                    if missing := [name for name in (*_BOX, "expression") if name not in header]:
                        raise FERError(f"{table}:1: the columns {', '.join(missing)} are missing.")
                    continue
                if not "".join(row).strip():
                    continue
                if len(row) != len(header):
                    said = f"expected {len(header)} fields, found {len(row)}"
                    problems.append(Problem(reader.line_num, said, "", str(table)))
                    continue
                cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
                image = cells[_COLUMNS[0]].replace("\\", "/")
                if names is None:
                    folder = self._image_folder(table, image)
                    names = ImageNames(folder, self.follow_links)
                number, said = label_of(cells["expression"])
                if not said and number >= len(NUMBERED):
                    skipped[number] += 1
                    continue
                face = _face(cells)
                image, missed = names.find(image)
                said = said or missed
                if not said and face is None:
                    found = [cells[name][:20] for name in _BOX]
                    said = f"the face box is no four numbers: {', '.join(map(repr, found))}"
                if said or face is None:
                    problems.append(Problem(reader.line_num, said, "", str(table)))
                    continue
                feelings = (cells.get("valence", ""), cells.get("arousal", ""))
                stem = re.sub(r"\.\w+$", "", image)
                entry = Entry(reader.line_num, stem, NUMBERED[number], part, None, feelings, str(table))
                boxes.append(Box(entry, os.path.join(folder, image), face))

    def _image_folder(self, table: Path, image: str) -> Path:
        """The folder that the names in a table are relative to."""
        if self.images is not None:
            folder = Path(self.images).expanduser()
            if not folder.is_dir():
                raise FERError(f"No image folder found: expected one at '{folder}'. Name it with --data.images DIR.")
            return folder
        around = (table.absolute().parent, table.absolute().parent.parent)
        order = _IMAGES[::-1] if table.stem == "automatically_annotated" else _IMAGES
        places = [base / more / name for base in around for name in order for more in ("", name.rpartition("_")[0])]
        there = [place for place in (*places, around[0]) if place.is_dir()]
        return next((place for place in there if (place / image).is_file()), there[0])


def _tables(path: Path) -> list[Path]:
    """The table at a path, or those in a folder; the automatic annotations only where there are no others."""
    tables = _all_tables(path)
    by_hand = [one for one in tables if one.stem != "automatically_annotated"]
    return by_hand or tables


def _all_tables(path: Path) -> list[Path]:
    inside = [path / folder / f"{name}.csv" for folder in _LISTS for name in _PARTS]
    return [one for one in ([path] if path.is_file() else inside) if _is_table(one)]


def _is_table(path: Path) -> bool:
    """Whether the first line is the header, or a row with a box and an expression at their places."""
    try:
        if not path.is_file():
            return False
        with open(path, "rb") as stream:
            line = stream.read(1 << 14).partition(b"\n")[0].decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return False
    cells = [cell.strip(' "\r').lower() for cell in line.split(",")]
    if _COLUMNS[0] in cells:
        return {*_BOX, "expression"} <= set(cells)
    return len(cells) == len(_COLUMNS) and all(re.fullmatch(r"-?\d+(\.\d+)?", cell) for cell in (*cells[1:5], cells[6]))


def _face(cells: Mapping[str, str]) -> Face | None:
    try:
        left, top, width, height = (float(cells[name]) for name in _BOX)
    except ValueError:
        return None
    finite = all(map(math.isfinite, (left, top, width, height)))
    return Face(left, top, width, height, 1.0) if finite else None
