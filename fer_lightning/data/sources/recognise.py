"""Which form a data set is in, and what reads it."""

import inspect
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from fer_lightning import storage
from fer_lightning.data.column_roles import places_of_roles
from fer_lightning.data.csv_columns import open_table
from fer_lightning.data.image_files import IMAGE_SUFFIXES
from fer_lightning.data.label_words import class_name, expression_of
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.affectnet import AffectNet
from fer_lightning.data.sources.expw import ExpW
from fer_lightning.data.sources.fer2013 import Fer2013
from fer_lightning.data.sources.fetched import fetched
from fer_lightning.data.sources.file_names import FileNames
from fer_lightning.data.sources.image_folder import ImageFolder
from fer_lightning.data.sources.legend_csv import LegendCsv
from fer_lightning.data.sources.metadata_folder import MetadataFolder
from fer_lightning.data.sources.not_read import advice
from fer_lightning.data.sources.parquet import Parquet
from fer_lightning.data.sources.raf_db import RafDb
from fer_lightning.data.sources.synthetic import SyntheticFaces
from fer_lightning.data.sources.table import Table, header_of, table_in
from fer_lightning.data.sources.table_images import image_place
from fer_lightning.data.streams.manifest import is_stream
from fer_lightning.errors import FERError
from fer_lightning.files import check_path
from fer_lightning.names import printable

FORMS: tuple[Any, ...] = (
    Fer2013,
    RafDb,
    AffectNet,
    ExpW,
    FileNames,
    MetadataFolder,
    Parquet,
    ImageFolder,
    Table,
)
"""What is tried, in this order, where there is no legend.csv: a new form is a class and an entry here."""


def chosen_sources(
    source: DataSource | None, root: str | Sequence[str] | None, legend: str | None, options: Mapping[str, Any]
) -> list[DataSource]:
    """What the options for a data set mean; see `FERDataModule`.

    Args:
        source: An object that reads one, instead of all others.
        root: A folder or file, or several.
        legend: The table of one.
        options: Further arguments of the class that reads it, such as `images`; None is as if not given.

    Raises:
        FERError: If they contradict each other, or a folder is in no known form.
    """
    given = {name: value for name, value in options.items() if value is not None}
    roots = [os.fspath(root)] if isinstance(root, str | os.PathLike) else list(root or [])
    for option, path in (*(("root", one) for one in roots), ("legend", legend), ("images", given.get("images"))):
        if path is not None:
            check_path(f"--data.{option}", path, kept=True)
    if source is not None:
        if root or legend or "images" in given:
            raise FERError("--data.source is the data set: --data.root, legend and images do not go with it.")
        return [source]
    if not roots and legend is None:
        if "images" in given:
            raise FERError(
                "--data.images says where the images of --data.root or --data.legend are, and there is neither. A "
                "folder for each class is a --data.root."
            )
        return [SyntheticFaces()]
    if stream := next(filter(is_stream, roots), None):
        shown = storage.without_secret(stream)
        raise FERError(
            f"Invalid value for --data.root. '{shown}' is a stream, which fit, validate and test read. Name the data "
            "set that it was made of."
        )
    kept, columns = str(given.get("prepared_dir") or "prepared_data"), given.get("columns")
    roots = [fetched(one, "--data.root", kept, columns) for one in roots]
    legend = legend and fetched(legend, "--data.legend", kept)
    if "images" in given:
        given["images"] = fetched(given["images"], "--data.images", kept)
    if len(roots) > 1:
        if legend or "images" in given:
            raise FERError("--data.legend and --data.images go with one --data.root, not with a list.")
        if classes := given.pop("classes", None):  # not each need have all of them
            given.setdefault("label_names", classes)
        return [recognised(one, None, given, strict=False) for one in roots]
    return [recognised(roots[0] if roots else None, legend, given)]


def recognised(root: str | None, legend: str | None, given: Mapping[str, Any], strict: bool = True) -> DataSource:
    """The source that reads what is at a path; the arguments as of `chosen_sources`, all used if it is `strict`."""
    if legend is not None and root is not None:
        return _made(LegendCsv, {"root": root, "legend": legend}, given)
    place = Path(legend or root or ".").expanduser()
    if any((place / name).is_file() for name in ("legend.csv", "data/legend.csv")):
        return _made(LegendCsv, {"root": os.fspath(place)}, given)
    if said := advice(place):
        raise FERError(f"Invalid value for --data.{'legend' if legend else 'root'}. {said}")
    if place.suffix.lower() in IMAGE_SUFFIXES and place.is_file():
        raise FERError(
            f"Invalid value for --data.root. '{place}' is one image. Expected the folder or table of a data set; "
            "`predict` takes images."
        )
    table = _usable_table(place, given.get("columns"))
    for form in FORMS:
        if form.fits(place) and not (table and form in (FileNames, ImageFolder)):
            return _made(form, {"root": os.fspath(place)}, given, strict)
    if legend is not None:
        return _made(Table, {"root": legend}, given)
    raise FERError(_unknown(place))


def _usable_table(folder: Path, columns: Mapping[str, str] | None) -> Path | None:
    """The only table in a folder, if its columns are known and some of its images are there.

    Raises:
        FERError: If images lie in folders of other expressions than the table says.
    """
    path = table_in(folder) if folder.is_dir() else None
    if path is None:
        return None
    try:
        with open_table(path, "--data.root") as reader:
            header, line = header_of(reader, path)
            at = places_of_roles(header, columns, f"{path}:{line}")
            rows = [(row[at["image"]], row[at["label"]]) for row in islice(reader, 100) if len(row) == len(header)]
    except FERError:
        return None
    place = image_place(path, [name for name, _ in rows])
    there = [(name, label) for raw, label in rows if os.path.isfile(place.folder / (name := place.name(raw)))]
    for name, label in there:
        folders = {expression_of(class_name(part)) for part in name.split("/")[:-1]}.intersection(EXPRESSIONS)
        meant = expression_of(class_name(label))  # of a number, only who gives the data knows
        if folders and not meant.isdecimal() and meant not in folders:
            raise FERError(
                f"Invalid value for --data.root. '{folder}' has a table and folders of classes, and they do not agree: "
                f"'{path.name}' says {label} of '{name}'. Name the one that counts, --data.root '{path}', or move it "
                "away."
            )
    return path if there else None


def _made(form: Any, place: Mapping[str, str], given: Mapping[str, Any], strict: bool = True) -> DataSource:
    known = inspect.signature(form).parameters
    told = {name: value for name, value in given.items() if name in known}
    unused = [name for name in ("images", "columns", "label_names") if given.get(name) and name not in known]
    if unused and strict:
        raise FERError(
            f"--data.{unused[0]} does not go with '{place['root']}', which is read as "
            f"{form.__doc__.partition('.')[0]}. Leave it away."
        )
    made: DataSource = form(**place, **told)
    return made


def _unknown(place: Path) -> str:
    if not place.exists():
        return f"Invalid value for --data.root. Expected a data set, found nothing at '{place}'."
    names = sorted(one.name for one in place.iterdir())[:8] if place.is_dir() else []
    found = f"a folder with {', '.join(map(printable, names)) or 'nothing'}" if place.is_dir() else "a file"
    if said := next(filter(None, map(advice, place.iterdir() if place.is_dir() else ())), ""):
        return f"Invalid value for --data.root. There is no data set in '{place}', but {said}"
    return (
        f"Invalid value for --data.root. '{place}' is in no known form: {found}. Expected one of\n"
        "  a folder for each class            angry/ann.jpg, or train/angry/ann.jpg and test/angry/eve.jpg\n"
        "  a table with images and labels     labels.csv with the columns image and label, and the images beside it\n"
        "  legend.csv and a folder images/    user.id,image,emotion\n"
        "a table elsewhere (--data.legend FILE), or a data set as it is published: FER2013, RAF-DB, AffectNet, ExpW, "
        "CK+48, JAFFE, KDEF, RaFD, Parquet."
    )
