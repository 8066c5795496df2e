"""FER2013 as Kaggle has it: tables with the pixels of an image in each row."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fer_lightning.data.csv_columns import open_table
from fer_lightning.data.legend import EXPRESSIONS, Conflicts, Legend, OnError
from fer_lightning.data.legend_rows import LegendRows, normalised_classes
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.unpacked import Entry, add_entries, unpack
from fer_lightning.errors import FERError
from fer_lightning.files import check_path

SIZE = 48
SUBSETS = {"Training": "training", "PublicTest": "validation", "PrivateTest": "testing"}
SEVEN = tuple(name for name in EXPRESSIONS if name != "contempt")
NUMBERED = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""What the numbers of labels mean."""
_GRAY = {str(value): value for value in range(256)}


class Fer2013(DataSource):
    """FER2013, a table with the pixels of an image in each row.

    It is `fer2013.csv` (emotion,pixels,Usage), `icml_face_data.csv`, or `train.csv` with or without `test.csv`, which
    have no column Usage. Training, PublicTest and PrivateTest are for training, validation and testing. The images are
    written as PNG files once.

    Args:
        root: The file, or the folder that it is in.
        classes: The class list, in the order of the network's outputs; without it, the seven expressions.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        on_error: A row that cannot be used is an error, or dropped.
        prepared_dir: Where the images are written.
    """

    name = "FER2013"

    def __init__(
        self,
        root: str,
        classes: list[str] | None = None,
        conflicts: Conflicts = "drop",
        on_error: OnError = "error",
        prepared_dir: str = "prepared_data",
    ) -> None:
        self.root, self.conflicts, self.on_error, self.prepared_dir = root, conflicts, on_error, prepared_dir
        self.class_names = normalised_classes(classes) if classes is not None else SEVEN

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether this is such a table, or a folder with one."""
        with contextlib.suppress(OSError):  # a folder that may not be read
            return bool(_tables(path))
        return False

    def read(self) -> Legend:
        """Write the images unless they are there, and read what they show.

        Raises:
            FERError: If there is no such table, or rows of it cannot be used.
        """
        check_path("--data.root", self.root)
        root = Path(self.root).expanduser()
        tables = _tables(root)
        if not tables:
            raise FERError(
                "Invalid value for --data.root. Expected FER2013: a file fer2013.csv with the columns emotion, pixels "
                f"and Usage, or a folder with it. Found none at '{root}'."
            )
        labelled = [table for table in tables if "emotion" in _headings(table)]
        images, entries = unpack("fer2013", labelled, [], partial(_write, labelled), self.prepared_dir)
        rows = LegendRows(labelled[0], images, self.class_names)
        add_entries(rows, entries)
        legend = rows.finish(self.conflicts, self.on_error == "error")
        notes = [f"{table.name} has no column emotion and is left out." for table in tables if table not in labelled]
        notes.append(f"The images are written as files in '{images}'.")
        names = " and ".join(table.name for table in labelled)
        return replace(legend, format=f"FER2013 ({names})", notes=tuple(notes))


def face_of(text: str) -> np.ndarray:
    """The image, uint8 `(48, 48)`, of a cell with its pixels.

    Raises:
        ValueError: If they are too few or many, or no numbers from 0 to 255; it says what was expected and found.
    """
    words = text.split()
    expected = f"expected {SIZE * SIZE:,} pixels from 0 to 255"
    if len(words) != SIZE * SIZE:
        raise ValueError(f"{expected}, found {len(words):,} words")
    try:
        return np.frombuffer(bytes(map(_GRAY.__getitem__, words)), np.uint8).reshape(SIZE, SIZE)
    except KeyError as error:
        raise ValueError(f"{expected}, found '{error.args[0][:80]}'") from None


def _tables(path: Path) -> list[Path]:
    """The table at a path, or those in a folder; the first has a column of emotions."""
    if _is_labelled(path):
        return [path]
    for folder in (path, path / "fer2013"):
        for name in ("fer2013.csv", "icml_face_data.csv"):
            if _is_labelled(folder / name):
                return [folder / name]
        if _is_labelled(folder / "train.csv"):
            return [folder / "train.csv", *(one for one in [folder / "test.csv"] if "pixels" in _headings(one))]
    return []


def _is_labelled(path: Path) -> bool:
    return {"emotion", "pixels"} <= set(_headings(path))


def _headings(path: Path) -> list[str]:
    """The headings of a table, by its first bytes; none if it cannot be read."""
    try:
        if not path.is_file():
            return []
        with open(path, "rb") as stream:
            line = stream.read(256).partition(b"\n")[0].decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return []
    return [word.strip(' "\r').lower() for word in re.split("[,;\t]", line)]


def _write(tables: list[Path], images: Path) -> Iterator[Entry]:
    for table in tables:
        start, part = ("fer", None) if len(tables) == 1 else (table.stem, table.stem)
        number = -1
        for number, (line, fields, cells) in enumerate(_rows(table)):  # as the names of FER+ count
            entry = _entry(cells, fields, part)
            if not entry.problem:
                try:
                    face = Image.fromarray(face_of(cells["pixels"]))
                    entry = entry._replace(image=f"{start}{number:07d}.png")
                    face.save(images / entry.image)
                except ValueError as error:
                    entry = entry._replace(problem=str(error))
            yield entry._replace(number=line, file=str(table) if len(tables) > 1 else "")
        if number < 0:
            raise FERError(f"{table}: the file has a header but no rows.")


def _rows(table: Path) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Line, number of fields that are expected, and cells of each row; more cells have numbers for headings."""
    with open_table(table, "--data.root") as reader:
        header = [name.strip().lower() for name in next(reader, [])]
        for row in reader:
            if "".join(row).strip():
                headings = (*header, *map(str, range(len(header), len(row))))
                yield reader.line_num, len(header), dict(zip(headings, row, strict=False))


def _entry(row: dict[str, str], fields: int, part: str | None) -> Entry:
    """What a row says of its image."""
    if len(row) != fields:
        return Entry(0, problem=f"expected {fields} fields, found {len(row)}")
    emotion = row["emotion"].strip()
    if not (emotion.isdecimal() and len(emotion) < 3 and int(emotion) < len(NUMBERED)):
        expected = ", ".join(f"{number} {name}" for number, name in enumerate(NUMBERED))
        return Entry(0, problem=f"unknown emotion '{emotion[:80]}'; expected one of {expected}")
    usage = row.get("usage", "").strip()
    if "usage" in row and usage not in SUBSETS:
        return Entry(0, problem=f"unknown Usage '{usage[:80]}'; expected one of {', '.join(SUBSETS)}")
    return Entry(0, label=NUMBERED[int(emotion)], subset=SUBSETS.get(usage, part))
