"""Tables of any data set: CSV, TSV or what a spreadsheet exports, a row an image."""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fer_lightning.data.column_roles import Role, listed, places_of_roles, role_of
from fer_lightning.data.csv_columns import TableForm, form_of, open_table
from fer_lightning.data.label_words import class_among, class_name
from fer_lightning.data.legend import EXPRESSIONS, Conflicts, Legend, OnError
from fer_lightning.data.legend_rows import LegendRows, normalised_classes
from fer_lightning.data.part_names import part_of
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.table_images import ImagePlace, image_place
from fer_lightning.errors import FERError
from fer_lightning.files import check_path
from fer_lightning.names import of_cell, of_column, printable

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
LONGEST = 100
"""Characters in a cell of a column that can be a slice; landmarks and the like are longer."""
_USUAL = ("user.id", "image", "emotion", "split", "identity")


class Table(DataSource):
    """A table with a row an image: any CSV file, with the columns that people use; what `--data.legend` takes.

    Separators are commas, semicolons or tabs; the text is UTF-8, UTF-16 with its mark, or Latin-1. Columns are known by
    their usual names (`fer_lightning.data.column_roles`). Columns of votes have the names of classes; all others are
    kept, to be slices of a test.

    Args:
        root: The file.
        images: The folder that image names are relative to; without it, the file's own, or `images` beside it.
        classes: The class list, in the order of the network's outputs; without it, the labels found.
        columns: Headings by role: image, label, split, identity, user.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        on_error: A row that cannot be used is an error, or dropped.
        follow_links: Whether links to files outside the image folder are taken.
        label_names: What labels that are numbers mean, in their order; None takes the class list.
    """

    def __init__(
        self,
        root: str,
        images: str | None = None,
        classes: list[str] | None = None,
        columns: dict[str, str] | None = None,
        conflicts: Conflicts = "drop",
        on_error: OnError = "error",
        follow_links: bool = False,
        label_names: Sequence[str] | None = None,
    ) -> None:
        self.label_names = label_names
        self.root, self.images, self.columns, self.conflicts = root, images, columns, conflicts
        self.on_error, self.follow_links = on_error, follow_links
        self.class_names = normalised_classes(classes) if classes is not None else None

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether this is a table, or a folder with one and no other."""
        return table_in(path) is not None

    def read(self) -> Legend:
        """Read the table, see `read_table`."""
        check_path("--data.root", self.root)
        path = table_in(Path(self.root).expanduser())
        if path is None:
            raise FERError(f"Invalid value for --data.root. Expected a CSV file. Received: '{self.root}'.")
        images = None if self.images is None else Path(self.images).expanduser()
        if images is not None and not images.is_dir():
            raise FERError(f"No image folder found: expected one at '{images}'. Name it with --data.images DIR.")
        strict = self.on_error == "error"
        options = (strict, self.columns, self.follow_links, self.label_names)
        return read_table(path, images, self.class_names, self.conflicts, *options)


def table_in(path: Path) -> Path | None:
    """The table at a path: the file itself, or the only one in a folder."""
    if path.is_file():
        return path
    found = [one for one in sorted(path.glob("*")) if one.suffix.lower() in TABLE_SUFFIXES[:2]] if path.is_dir() else []
    return found[0] if len(found) == 1 else None


def read_table(
    path: str | os.PathLike[str],
    image_dir: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    conflicts: Conflicts = "drop",
    strict: bool = True,
    columns: Mapping[str, str] | None = None,
    follow_links: bool = False,
    label_names: Sequence[str] | None = None,
) -> Legend:
    """Read a table and check every row of it against the image folder.

    Labels are compared without regard to case, surrounding space and the encoding of accents, and words of one meaning
    (`angry`, `anger`) are one class. An apostrophe before what would be a formula in a spreadsheet does not count, and
    the votes for a class that is called as another column are in `class:` and its name: `Split.write_csv` writes both.

    Args:
        path: The file.
        image_dir: The folder that image names are relative to; None finds it, see `Table`.
        classes: The class list; None takes the labels (or vote columns) that the file holds.
        conflicts: An image under two labels is a problem (`error`), dropped, or kept under each.
        strict: Whether rows with problems are refused; else they are left out, see `Legend.problems`.
        columns: Headings by role, where they have unusual ones.
        follow_links: Whether links to files outside the image folder are taken.
        label_names: What labels that are numbers mean, in their order; None takes the class list.

    Raises:
        FERError: With the first 20 problems and their count, each with file and line; or if the file as a whole cannot
            be read, or has no good row.
    """
    form = form_of(path, "--data.legend")
    with open_table(path, "--data.legend", form) as reader:
        header, line = header_of(reader, path)
        places = places_of_roles(header, columns, f"{path}:{line}")
        column = (row[places["image"]] for row in reader if len(row) == len(header))
        place = image_place(Path(path), column, None if image_dir is None else Path(image_dir))
    places = _without_other_splits(path, form, header, places, columns)
    folder = place.folder if image_dir is None else Path(image_dir)
    rows = LegendRows(Path(path), folder, classes, follow_links=follow_links, label_names=label_names)
    with open_table(path, "--data.legend", form) as reader:
        header, line = header_of(reader, path)
        long = add_rows(rows, reader, header, places, f"{path}:{line}", place)
    return understood(rows.finish(conflicts, strict), form, header, places, long)


def _without_other_splits(
    path: str | os.PathLike[str],
    form: TableForm,
    header: Sequence[str],
    places: dict[Role, int],
    chosen: Mapping[str, str] | None,
) -> dict[Role, int]:
    """The roles without that of a column such as `set`, unless what is in it are parts of a split."""
    at = places.get("split")
    if at is None or header[at] in ("split", "usage") or "split" in (chosen or {}):
        return places
    with open_table(path, "--data.legend", form) as reader:
        header_of(reader, path)
        parts = all(part_of(row[at]) is not None for row in reader if len(row) == len(header))
    return places if parts else {role: place for role, place in places.items() if role != "split"}


def header_of(reader: Any, path: str | os.PathLike[str]) -> tuple[list[str], int]:
    """The headings in the first line that is not blank, as class names are written, and its number.

    Raises:
        FERError: If there is none.
    """
    header = next((row for row in reader if any(cell.strip() for cell in row)), None)
    if header is not None and len(header) <= 2 and header[0].strip().lower() in ("sep=", "sep=,"):  # as Excel writes
        header = next(reader, None)
    if header is None:
        raise FERError(f"{path}: the file is empty. Expected a header line such as image,emotion.")
    return [class_name(cell) for cell in header], reader.line_num


def add_rows(
    rows: LegendRows,
    reader: Any,
    header: list[str],
    places: dict[Role, int],
    place: str,
    images: ImagePlace | None = None,
) -> set[str]:
    """Take the rows of a table.

    Args:
        rows: Takes them.
        reader: Gives the fields of each row, and has its `line_num`, as a `csv.reader`.
        header: The headings.
        places: Their roles.
        place: File and line of the header, for messages.
        images: Where images are; None where names are as they are.

    Returns:
        The headings of columns that are too long to be kept.

    Raises:
        FERError: If columns of votes are wrong, or there is no row.
    """
    vote_at, extra_at = _further_columns(header, places, rows.classes, place)
    rows.vote_names = tuple(vote_at)
    rows.attribute_names = tuple(header[at] for at in extra_at)
    long: set[int] = set()
    needed = [places[role] for role in ("image", "label", "split") if role in places]
    any_row = False
    for row in tqdm(reader, "Reading the legend", unit=" rows", delay=1, leave=False):
        if not row or (len(row) <= 1 and not row[0].strip()):
            continue
        any_row, line = True, reader.line_num
        if len(row) != len(header):
            rows.refuse(line, f"expected {len(header)} fields, found {len(row)}")
            continue
        if empty := [at for at in needed if not row[at].strip()]:
            for at in empty:
                rows.refuse(line, f"the field '{header[at]}' is empty")
            continue
        image = row[places["image"]].strip()
        if images is not None:
            image = images.name(image)
        long.update(at for at in extra_at if len(row[at]) > LONGEST)
        rows.add(
            line,
            image,
            row[places["label"]],
            of_cell(row[places["user"]].strip()) if "user" in places else "",
            row[places["split"]] if "split" in places else None,
            of_cell(row[places["identity"]]) if "identity" in places else None,
            [row[at] for at in vote_at.values()],
            ["" if at in long else of_cell(row[at]) for at in extra_at],
        )
    if not any_row:
        raise FERError(f"{rows.path}: the legend has a header but no rows.")
    return {header[at] for at in long}


def _further_columns(
    header: Sequence[str], places: Mapping[Role, int], classes: Sequence[str] | None, place: str
) -> tuple[dict[str, int], list[int]]:
    """The columns of votes by class, and those of neither role nor vote."""
    free = [at for at, name in enumerate(header) if at not in places.values() and name and not _is_index(name)]
    votes: dict[str, int] = {}
    known = tuple(classes or EXPRESSIONS)
    twice = {name for name, count in Counter(header[at] for at in free).items() if count > 1}
    for at in free:
        name = of_column(header[at])
        if name == header[at] and role_of(name):
            continue
        if (voted := class_among(name, known)) is not None:
            twice |= {name} if voted in votes else set()
            votes[voted] = at
        elif name != header[at]:
            raise FERError(f"{place}: column {listed([header[at]])} has votes for no class. Expected {listed(known)}.")
    if len(votes) == 1 and not header[next(iter(votes.values()))].startswith("class:"):
        votes = {}
    if twice:
        raise FERError(f"{place}: column {listed(sorted(twice))} stands twice.")
    if votes and (lacking := [name for name in classes or () if name not in votes]):
        raise FERError(f"{place}: vote columns are there, but none for {listed(lacking)}.")
    return votes, [at for at in free if at not in votes.values()]


def _is_index(name: str) -> bool:
    return name == "index" or name.startswith("unnamed:")  # as pandas writes it


def understood(
    legend: Legend, form: TableForm, header: Sequence[str], places: Mapping[Role, int], long: Collection[str]
) -> Legend:
    """The legend with what was understood beyond a plain CSV file with usual columns.

    Args:
        legend: What was read.
        form: How the table is written.
        header: The headings.
        places: Their roles.
        long: The headings that are not kept, as of `add_rows`.
    """
    found = {header[place]: role for role, place in places.items()}
    unusual = [f"'{printable(name)}' is the {role}" for name, role in found.items() if name not in _USUAL]
    notes = [f"Columns: {', '.join(unusual)}."] if unusual else []
    if form.unusual:
        notes.append(f"The table is {form.unusual}.")
    if long:
        notes.append(f"Not kept, as cells are longer than {LONGEST} characters: {listed(sorted(long))}.")
    kept = {name: values for name, values in legend.attributes.items() if name not in long and any(values)}
    known = "legend.csv" if legend.path.name == "legend.csv" else "a table"
    return replace(legend, attributes=kept, format=known, notes=tuple(notes))
