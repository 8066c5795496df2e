"""Data sets with a `legend.csv`: one row an image, read and checked row by row."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fer_lightning.data.csv_columns import open_table
from fer_lightning.data.legend import EXPRESSIONS, Conflicts, Legend, locate_legend
from fer_lightning.data.legend_rows import LegendRows, class_name, normalised_classes
from fer_lightning.data.sources import DataSource
from fer_lightning.errors import FERError
from fer_lightning.names import of_cell, of_column, printable

_REQUIRED = ("user.id", "image", "emotion")
_OPTIONAL = ("split", "identity")
_SHOWN = 20


class LegendCsv(DataSource):
    """A folder with a `legend.csv` and `images/`; what `--data.root` takes.

    Args:
        root: Folder of the data set: `data/legend.csv` or `legend.csv`, and `images/`.
        legend: The legend file, if it is elsewhere.
        images: The image folder, if it is elsewhere.
        classes: The class list, in the order of the network's outputs; without it, the labels found in the legend.
        conflicts: An image under two labels is an error, dropped, or kept under each.
    """

    def __init__(
        self,
        root: str = ".",
        legend: str | None = None,
        images: str | None = None,
        classes: list[str] | None = None,
        conflicts: Conflicts = "drop",
    ) -> None:
        self.root, self.legend, self.images, self.conflicts = root, legend, images, conflicts
        self.class_names = normalised_classes(classes) if classes is not None else None

    def read(self) -> Legend:
        """Find the legend and read it, see `read_legend`."""
        path, images = locate_legend(self.root, self.legend, self.images)
        return read_legend(path, images, self.class_names, self.conflicts)


def read_legend(
    path: str | os.PathLike[str],
    image_dir: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    conflicts: Conflicts = "drop",
    strict: bool = True,
) -> Legend:
    """Read a legend and check every row of it against the image folder.

    Columns `user.id`, `image` and `emotion` are required. Optional are `split` (training, validation or
    testing), `identity` (who is in the image) and one column of votes per class. Labels are compared without
    regard to case, surrounding space and the encoding of accents. A byte order mark, CRLF, quoting and blank lines are
    fine. The votes for a class that is called as one of the other columns are in the column `class:` and its name, and
    an apostrophe before what would be a formula in a spreadsheet does not count: `Split.write_csv` writes both.

    Args:
        path: A CSV file in UTF-8.
        image_dir: The folder that image names are relative to.
        classes: The class list; None takes the labels (or vote columns) that the file holds.
        conflicts: An image under two labels is a problem (`error`), dropped, or kept under each.
        strict: Whether rows with problems are refused; else they are left out, see `Legend.problems`.

    Raises:
        FERError: With the first 20 problems and their count, each with file and line; or if the file as a whole cannot
            be read, or has no good row.
    """
    rows = LegendRows(Path(path), Path(image_dir), classes)
    with open_table(path, "--data.legend") as reader:
        _add_rows(rows, reader)
    return rows.finish(conflicts, strict)


def _add_rows(rows: LegendRows, reader: Any) -> None:
    header = next((row for row in reader if any(cell.strip() for cell in row)), None)
    if header is None:
        raise FERError(f"{rows.path}: the file is empty. Expected a header line {','.join(_REQUIRED)}.")
    columns = [class_name(cell) for cell in header]
    rows.vote_names = _vote_columns(columns, rows.classes, rows.place(reader.line_num))
    at = {name: number for number, name in enumerate(columns)}
    user_at, image_at, emotion_at = (at[name] for name in _REQUIRED)
    split_at, identity_at = map(at.get, _OPTIONAL)
    vote_at = [at[name] for name in columns if name not in _REQUIRED + _OPTIONAL]
    any_row = False
    for row in tqdm(reader, "Reading the legend", unit=" rows", delay=1, leave=False):
        if not row or (len(row) <= 1 and not row[0].strip()):
            continue
        any_row, line = True, reader.line_num
        if len(row) != len(columns):
            rows.problems.append((line, f"expected {len(columns)} fields, found {len(row)}"))
            continue
        if not all(map(str.strip, row)):
            needed = (name for name in (*_REQUIRED, "split") if name in at)
            if empty := [name for name in needed if not row[at[name]].strip()]:
                rows.problems += [(line, f"the field '{name}' is empty") for name in empty]
                continue
        rows.add(
            line,
            row[image_at].strip(),
            row[emotion_at],
            of_cell(row[user_at].strip()),
            row[split_at] if split_at is not None else None,
            of_cell(row[identity_at]) if identity_at is not None else None,
            [row[index] for index in vote_at],
        )
    if not any_row:
        raise FERError(f"{rows.path}: the legend has a header but no rows.")


def _vote_columns(columns: Sequence[str], classes: Sequence[str] | None, place: str) -> tuple[str, ...]:
    """The classes of the columns of votes, in their order, once the header is checked."""
    if missing := [name for name in _REQUIRED if name not in columns]:
        found = _listed(columns)
        hint = " Fields are separated by commas." if len(columns) == 1 and (";" in found or "\t" in found) else ""
        raise FERError(f"{place}: missing column {', '.join(missing)}; found {found}.{hint}")
    extra = tuple(of_column(name) for name in columns if name not in _REQUIRED + _OPTIONAL)
    if twice := sorted(name for name, count in (Counter(columns) | Counter(extra)).items() if count > 1):
        raise FERError(f"{place}: column {_listed(twice)} stands twice.")
    known = set(classes or EXPRESSIONS)
    if unknown := [name for name in extra if name not in known]:
        raise FERError(
            f"{place}: unknown column {_listed(unknown)}. Expected {', '.join(_REQUIRED)}, optionally "
            f"{', '.join(_OPTIONAL)} and one column of votes for each class (name the classes with --data.classes "
            f"if they are not {_listed(sorted(known))})."
        )
    if extra and (lacking := [name for name in classes or () if name not in extra]):
        raise FERError(f"{place}: vote columns are there, but none for {_listed(lacking)}.")
    return extra


def _listed(names: Sequence[str]) -> str:
    """The names, in a message that can be read whatever was found."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return printable(", ".join(name[:80] for name in names[:_SHOWN])) + more
