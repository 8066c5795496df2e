"""Folders of images with metadata files, as Hugging Face's `imagefolder` has them."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from fer_lightning.data.column_roles import places_of_roles, role_of
from fer_lightning.data.csv_columns import TableForm, open_table, read_lines
from fer_lightning.data.image_listing import is_junk
from fer_lightning.data.label_words import class_name
from fer_lightning.data.legend import SUBSETS, Conflicts, Legend, OnError
from fer_lightning.data.legend_rows import LegendRows, normalised_classes
from fer_lightning.data.part_names import part_of
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.parquet_files import class_labels, open_parquet, rows_of, text_of
from fer_lightning.data.sources.table import add_rows, header_of, understood
from fer_lightning.errors import FERError
from fer_lightning.files import check_path

_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_IMAGE = "file_name"
_Cells = dict[str, str]


class MetadataFolder(DataSource):
    """A folder of images with a file `metadata.csv`, `metadata.jsonl` or `metadata.parquet`.

    Its column `file_name` is relative to it. There may be one in each folder of a part (train, validation, test).

    Args:
        root: The folder.
        classes: The class list, in the order of the network's outputs; without it, the labels found.
        columns: Headings by role: label, split, identity, user.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        on_error: A row that cannot be used is an error, or dropped.
        follow_links: Whether links to files outside the folder are taken.
        label_names: What labels that are numbers mean, in their order; None takes the class list.
    """

    def __init__(
        self,
        root: str,
        classes: list[str] | None = None,
        columns: dict[str, str] | None = None,
        conflicts: Conflicts = "drop",
        on_error: OnError = "error",
        follow_links: bool = False,
        label_names: Sequence[str] | None = None,
    ) -> None:
        self.label_names = label_names
        self.root, self.columns, self.conflicts = root, columns, conflicts
        self.on_error, self.follow_links = on_error, follow_links
        self.class_names = normalised_classes(classes) if classes is not None else None

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether there are such files, with a column `file_name` and one for labels."""
        with contextlib.suppress(FERError, OSError):
            for _, cells in (row for one in _metadata_in(path) for row in _rows(one)):
                return _IMAGE in cells and any(role_of(name) == "label" for name in cells)
        return False

    def read(self) -> Legend:
        """Read the files; see `read_tables`."""
        check_path("--data.root", self.root)
        root = Path(self.root).expanduser()
        found = _metadata_in(root)
        if not found:
            raise FERError(
                f"Invalid value for --data.root. Expected a folder with {', '.join(_NAMES[:2])} or {_NAMES[2]}, or "
                f"with folders train and test that have one. Found none at '{root}'."
            )
        tables = []
        for path in found:
            folder = "" if path.parent == root else path.parent.name
            tables.append(PartTable(path, f"{folder}/" if folder else "", part_of(folder)))
        rows = LegendRows(
            found[0], root, self.class_names, follow_links=self.follow_links, label_names=self.label_names
        )
        columns = {**(self.columns or {}), "image": _IMAGE}
        legend = read_tables(rows, tables, columns, self.conflicts, self.on_error == "error")
        names = ", ".join(os.path.relpath(path, root) for path in found)
        return replace(legend, format=f"an image folder of Hugging Face ({names})")


class PartTable(NamedTuple):
    """A table with a row an image, for one part or several."""

    path: Path  # .csv, .jsonl or .parquet
    prefix: str = ""  # what stands before its image names
    part: int | None = None  # index into `SUBSETS`; None if the table is not of one


def read_tables(
    rows: LegendRows, tables: Sequence[PartTable], columns: Mapping[str, str], conflicts: Conflicts, strict: bool
) -> Legend:
    """Read several tables as one, with all columns that any of them has.

    Without a column for it, the part is that of the table, or that which the first folder in image names is called.

    Args:
        rows: Takes the rows.
        tables: The tables.
        columns: Headings by role, that of images among them.
        conflicts: See `read_table`.
        strict: See `read_table`.

    Raises:
        FERError: As of `read_table`.
    """
    headings: dict[str, None] = {}
    first: set[str] = set()
    image = columns["image"].strip().lower()
    for table in tables:
        for _, cells in _rows(table.path):
            headings |= dict.fromkeys(cells)
            first.add(cells.get(image, "").partition("/")[0])
    header = list(headings)
    by_table = all(table.part is not None for table in tables)
    by_name = not by_table and all(part_of(name) is not None for name in first)
    if (by_table or by_name) and not any(role_of(name) == "split" for name in header) and "split" not in columns:
        header.append("split")
    place = f"{tables[0].path}:1"
    places = places_of_roles(header, columns, place)
    long: set[str] = set()
    for table in tables:
        rows.file = str(table.path) if len(tables) > 1 else ""
        reader = _Reader(table, rows, header, image, header[-1] == "split" and "split" not in headings)
        long |= add_rows(rows, reader, header, places, f"{table.path}:1")
    return understood(rows.finish(conflicts, strict), TableForm(), header, places, long)


class _Reader:
    """Gives rows as a `csv.reader` does, all with the same fields."""

    def __init__(self, table: PartTable, rows: LegendRows, header: Sequence[str], image: str, tells_part: bool) -> None:
        self.line_num = 1
        self._table, self._rows, self._header, self._image, self._tells_part = table, rows, header, image, tells_part

    def __iter__(self) -> Iterator[list[str]]:
        for number, cells in _rows(self._table.path, self._rows):
            self.line_num = number
            name = cells.get(self._image, "")
            if self._tells_part:
                part = part_of(name.partition("/")[0]) if self._table.part is None else self._table.part
                cells["split"] = "" if part is None else SUBSETS[part]
            cells[self._image] = f"{self._table.prefix}{name}" if name else ""
            yield [cells.get(heading, "") for heading in self._header]


def _metadata_in(path: Path) -> list[Path]:
    """The metadata file in a folder, or those in the folders within."""
    for pattern in ("", "*/"):
        there = [one for name in _NAMES for one in sorted(path.glob(pattern + name)) if one.is_file()]
        if found := [one for one in there if not pattern or not is_junk(one.parent.name)]:
            return found if pattern else found[:1]
    return []


def _rows(path: Path, rows: LegendRows | None = None) -> Iterator[tuple[int, _Cells]]:
    """Number and cells of each row; what cannot be read goes to the problems of `rows`, if there is one."""

    def refuse(number: int, said: str) -> None:
        if rows is not None:
            rows.refuse(number, said)

    if path.suffix.lower() == ".parquet":
        schema = open_parquet(path).schema_arrow
        names = class_labels(path, schema)
        for number, cells in rows_of(path):
            try:
                yield number, {class_name(key): text_of(value, names.get(key)) for key, value in cells.items()}
            except ValueError as error:
                refuse(number, str(error))
    elif path.suffix.lower() == ".jsonl":
        for number, line in read_lines(path, "--data.root"):
            try:
                found: Any = json.loads(line)
                if not isinstance(found, dict):
                    raise ValueError("it is no object")
            except (ValueError, RecursionError) as error:
                expected = 'expected an object such as {"file_name": "a.jpg", "label": "anger"}'
                refuse(number, f"{expected}, found '{line[:80]}' ({error})")
                continue
            yield number, {class_name(key): text_of(value) for key, value in found.items()}
    else:
        with open_table(path, "--data.root") as reader:
            header, _ = header_of(reader, path)
            for row in reader:
                if "".join(row).strip() and len(row) != len(header):
                    refuse(reader.line_num, f"expected {len(header)} fields, found {len(row)}")
                elif "".join(row).strip():
                    yield reader.line_num, dict(zip(header, row, strict=True))
