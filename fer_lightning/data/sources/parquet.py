"""Parquet files with an image in each row, as data sets on Hugging Face have them."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from fer_lightning.data.column_roles import listed, places_of_roles, role_of
from fer_lightning.data.image_listing import is_junk
from fer_lightning.data.label_words import class_name
from fer_lightning.data.legend import SUBSETS, Conflicts, Legend, OnError
from fer_lightning.data.legend_rows import LegendRows, normalised_classes
from fer_lightning.data.part_names import part_of
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.metadata_folder import PartTable, read_tables
from fer_lightning.data.sources.parquet_files import (
    class_labels,
    holds_images,
    holds_texts,
    open_parquet,
    rows_of,
    text_of,
)
from fer_lightning.data.sources.table import LONGEST
from fer_lightning.data.sources.unpacked import Entry, FreeNames, add_entries, unpack
from fer_lightning.errors import FERError
from fer_lightning.files import check_path
from fer_lightning.names import many

_LOOKED_AT = 1000
"""Entries of a folder of images without any file of ours may be many more."""

_BEGINNINGS = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n": "png",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
    b"P5": "pgm",
    b"P6": "ppm",
}


class Parquet(DataSource):
    """Parquet files with images, as data sets on Hugging Face are.

    The images are bytes in a column (with or without their path), and are written as files once; or a column has their
    paths. Labels are text, or numbers whose names are in the file or in README.md. Parts are a column, or what file
    names begin with: train, validation, test.

    Args:
        root: The file, or the folder with them: in it, in `data`, or in folders for the parts.
        images: The folder that paths are relative to; without it, the files' own.
        classes: The class list, in the order of the network's outputs; without it, the labels found.
        columns: Headings by role: image, label, split, identity, user.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        on_error: A row that cannot be used is an error, or dropped.
        follow_links: Whether links to files outside the image folder are taken.
        prepared_dir: Where the images are written.
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
        prepared_dir: str = "prepared_data",
        label_names: Sequence[str] | None = None,
    ) -> None:
        self.label_names = label_names
        self.root, self.images, self.columns, self.conflicts = root, images, columns, conflicts
        self.on_error, self.follow_links, self.prepared_dir = on_error, follow_links, prepared_dir
        self.class_names = normalised_classes(classes) if classes is not None else None
        self.name = os.path.basename(os.path.abspath(root)).removesuffix(".parquet")

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether this is a Parquet file, or a folder with some that are not called metadata."""
        with contextlib.suppress(OSError):  # a folder that may not be read
            return bool(_files(path))
        return False

    def read(self) -> Legend:
        """Write the images unless they are there, and read what they show.

        Raises:
            FERError: If a file cannot be read, columns are missing, or rows cannot be used.
        """
        check_path("--data.root", self.root)
        root, strict = Path(self.root).expanduser(), self.on_error == "error"
        files = _files(root)
        if not files:
            raise FERError(
                "Invalid value for --data.root. Expected a Parquet file, or a folder with some, such as "
                f"data/train-00000-of-00001.parquet. Found none at '{root}'."
            )
        _check_one_set(files, root)
        names = [os.path.relpath(file, root if root.is_dir() else root.parent) for file in files]
        form = f"Parquet ({names[0] if len(names) == 1 else f'{len(names)} files, such as {names[0]}'})"
        shape = _Shape.of(files, self.columns or {})
        told = [_part_of(file) for file in files]
        parts = told if all(part is not None for part in told) else [None] * len(files)
        unclear = [name for name, part in zip(names, told, strict=True) if part is None] if any(told) else []
        notes = [f"Files are not taken for parts, as '{unclear[0]}' names none."] if unclear else []
        if shape.paths:
            folder = Path(self.images).expanduser() if self.images else files[0].parent
            rows = LegendRows(
                files[0], folder, self.class_names, follow_links=self.follow_links, label_names=self.label_names
            )
            tables = [PartTable(file, "", part) for file, part in zip(files, parts, strict=True)]
            legend = read_tables(rows, tables, shape.columns, self.conflicts, strict)
            return replace(legend, format=form, notes=(*notes, *legend.notes))
        write = partial(_write, files, parts, shape)
        images, entries = unpack(self.name, files, [shape], write, self.prepared_dir, shape.total)
        rows = LegendRows(files[0], images, self.class_names, label_names=self.label_names)
        rows.attribute_names = tuple(shape.further)
        add_entries(rows, entries)
        if rows.empty:
            raise FERError(f"{files[0]}: no row has a label.")
        legend = rows.finish(self.conflicts, strict)
        kept = {
            name: values
            for name, values in legend.attributes.items()
            if any(values) and max(map(len, values)) <= LONGEST
        }
        if long := sorted(name for name, values in legend.attributes.items() if name not in kept and any(values)):
            notes.append(f"Not kept, as cells are longer than {LONGEST} characters: {listed(long)}.")
        if without := sum(not entry.image and not entry.problem for entry in entries):
            notes.append(f"Left out: {many(without, 'row')} without a label.")
        notes.append(f"The images are written as files in '{images}'.")
        return replace(legend, format=form, attributes=kept, notes=tuple(notes))


class _Shape(NamedTuple):
    """What the columns of all files are."""

    columns: dict[str, str]  # headings by role
    labels: Mapping[str, Sequence[str]]  # the names of classes by column
    further: list[str]  # columns of no role, with text or numbers
    paths: bool  # whether images are paths, and no bytes
    total: int  # rows

    @classmethod
    def of(cls, files: Sequence[Path], chosen: Mapping[str, str]) -> "_Shape":
        schemas, total = [], 0
        for file in files:
            with contextlib.closing(open_parquet(file)) as opened:
                schemas.append(opened.schema_arrow)
                total += opened.metadata.num_rows
        whole = max(range(len(files)), key=lambda place: len(schemas[place]))  # of a test, labels may be secret
        schema, path = schemas[whole], files[whole]
        labels = class_labels(path, schema)
        images = [field.name for field in schema if holds_images(field.type)]
        names = [field.name for field in schema if field.name in images or holds_texts(field.type)]
        given: dict[str, str] = dict(chosen)
        if "image" not in given and len(images) == 1:
            given["image"] = images[0]
        named = [name for name in names if name in labels]
        fitting = [name for name in named if role_of(name) == "label"] or named
        if "label" not in given and len(fitting) == 1:
            given["label"] = fitting[0]
        places = places_of_roles([class_name(name) for name in names], given, str(path))
        columns: dict[str, str] = {role: names[place] for role, place in places.items()}
        for file, one in zip(files, schemas, strict=True):
            if lacking := sorted(set(columns.values()) - set(one.names)):
                raise FERError(f"'{file}' does not have the column {listed(lacking)}, which '{path}' has.")
        taken = {*columns.values(), *images}
        further = [name for name in names if name not in taken and not re.match("__index|unnamed:", name.lower())]
        further = [name for name in further if all(name in one.names for one in schemas)]
        return cls(columns, labels, further, columns["image"] not in images, total)


def _write(files: Sequence[Path], parts: Sequence[int | None], shape: _Shape, images: Path) -> Iterator[Entry]:
    names = FreeNames()
    wanted = [*shape.columns.values(), *shape.further]
    texted = [name for name in wanted if name != shape.columns["image"]]
    for file, part in zip(files, parts, strict=True):
        folder = "" if part is None else f"{SUBSETS[part]}/"
        (images / folder).mkdir(exist_ok=True)
        for number, row in rows_of(file, wanted):
            entry = Entry(number, file=str(file) if len(files) > 1 else "")
            try:
                label = row[shape.columns["label"]]
                if label is None or label == -1:  # so Hugging Face writes that there is none
                    yield entry
                    continue
                texts = {name: text_of(row[name], shape.labels.get(name)) for name in texted}
                content, path = _image(row[shape.columns["image"]])
                stem = re.sub(r"[^\w.+@=, -]", "_", os.path.splitext(re.split(r"[/\\]", path)[-1])[0])[:80].strip(". ")
                name = names.name(f"{folder}{stem or f'{file.stem}-{number:06d}'}.{_ending(content)}", number)
            except ValueError as error:
                yield entry._replace(problem=str(error))
                continue
            (images / name).write_bytes(content)
            split = texts[shape.columns["split"]] if "split" in shape.columns else None
            yield entry._replace(
                image=name,
                label=texts[shape.columns["label"]],
                subset=split or (None if part is None else SUBSETS[part]),
                user=texts[shape.columns["user"]] if "user" in shape.columns else "",
                identity=texts[shape.columns["identity"]] if "identity" in shape.columns else None,
                attributes=tuple(texts[name][: LONGEST + 1] for name in shape.further),
            )


def _image(cell: Any) -> tuple[bytes, str]:
    """The bytes of an image, and its path as far as it is known."""
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    path = (cell.get("path") or "") if isinstance(cell, dict) else ""
    if not isinstance(content, bytes) or not content:
        raise ValueError(f"the image has no bytes, only the path '{path[:200]}'" if path else "there is no image")
    return content, path


def _ending(content: bytes) -> str:
    """The ending of a file, by how its content begins."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    if content[4:12] in (b"ftypavif", b"ftypavis"):
        return "avif"
    found = next((ending for start, ending in _BEGINNINGS.items() if content.startswith(start)), None)
    if found is None:
        raise ValueError(f"the {len(content):,} bytes of the image are of no format that is known")
    return found


def _files(path: Path) -> list[Path]:
    """The Parquet files at a path, without those that describe files beside them."""
    if path.is_file():
        with open(path, "rb") as stream:
            start = stream.read(40)
        known = start.startswith(b"PAR1") or (
            path.suffix == ".parquet" and start.startswith(b"version https://git-lfs")
        )
        return [path] if known else []
    folders = [path] if path.is_dir() else []
    for _ in range(3):
        there = [one for folder in folders for one in sorted(folder.glob("*.parquet")) if not is_junk(one.name)]
        if found := [one for one in there if one.name != "metadata.parquet"]:
            return found
        entries = [entry for folder in folders for entry in islice(os.scandir(folder), _LOOKED_AT)]
        folders = [Path(entry) for entry in entries if entry.is_dir() and not is_junk(entry.name)]
        folders.sort(key=lambda folder: (folder.name != "data", folder))
        folders = folders[:1] if folders and folders[0].name == "data" else folders[:_LOOKED_AT]
    return []


def _part_of(file: Path) -> int | None:
    """The part that a file is for, by what its name begins with, or by its folder."""
    start = re.match(r"[A-Za-z]*", file.stem)
    part = part_of(start[0]) if start else None
    return part_of(file.parent.name) if part is None else part


def _check_one_set(files: Sequence[Path], root: Path) -> None:
    folders = sorted({file.parent for file in files})
    if len(folders) > 1 and len(sets := {f.parent if part_of(f.name) is not None else f for f in folders}) > 1:
        raise FERError(
            f"Invalid value for --data.root. '{root}' has several data sets of Parquet files: "
            f"{', '.join(sorted(map(str, sets)))}. Choose one of them."
        )
