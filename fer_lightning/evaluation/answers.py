"""Answers of any model: rows of a table, whatever its columns are called, as probabilities of classes."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.data.column_roles import listed, role_of
from fer_lightning.data.csv_columns import open_table, read_lines
from fer_lightning.data.label_words import class_among, class_name, expression_of
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.errors import FERError
from fer_lightning.names import of_cell, one_line, printable

_IMAGE = "source"
"""What `predict` calls the column of the image; other names are those of `role_of`."""

_ANSWER = (
    *("predicted", "prediction", "pred", "predictedlabel", "answer", "dominantemotion"),
    *("label", "emotion", "expression", "class", "dominantexpression"),
)
"""What a column of answers may be called, the surest first, in small letters alone."""

_PREFIX = re.compile(r"(?:p|prob|probability|probabilities|scores?|emotions?|expressions?|class)[._:/ -]+(?=.)", re.I)
"""What may stand before the name of a class in a heading, as where tables are made of nested values."""

_NO_ANSWER = ("", "no_face", "error")
_TOLERANCE = 0.05
"""By how much probabilities that were rounded may miss 1."""


@dataclass(frozen=True)
class Answers:
    """What a model said about `n` images, which may be named as they like, and any of them several times."""

    origin: str  # the file or function, for messages
    images: list[str]
    places: list[str]  # where each stands, for messages
    probabilities: np.ndarray  # float64 `(n, c)`, rows add up to 1; NaN where there is no answer
    class_names: tuple[str, ...]  # `c`: those of the data set, then others that answers name
    known: tuple[bool, ...]  # `c`: whether the model can give that answer, as far as the rows show
    areas: list[float]  # pixels of the face that each is about; 0 where that is not said
    scored: bool  # whether they are probabilities, or 1 for the class that is named
    notes: tuple[str, ...]  # what was understood


def read_rows(path: str, option: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a .csv or .jsonl file by their headings, each with its place; values within values are taken out.

    Raises:
        FERError: If it cannot be read.
    """
    name = printable(os.path.basename(path))
    if Path(path).suffix.lower() not in (".csv", ".jsonl"):
        raise FERError(f"Invalid value for {option}. Expected a .csv or .jsonl file of answers. Received: '{path}'.")
    if not Path(path).is_file():
        raise FERError(f"Invalid value for {option}. There is no file '{path}'.")
    if path.lower().endswith(".jsonl"):
        for number, text in read_lines(path, option):
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise FERError(f"{name}, line {number}: expected JSON, one object a line: {error}.") from None
            if not isinstance(row, dict):
                raise FERError(f'{name}, line {number}: expected an object such as {{"image": ...}}.')
            yield f"{name}, line {number}", flat(row)
        return
    with open_table(path, option) as reader:
        head = [of_cell(heading.strip()) for heading in next(reader, [])]
        if twice := next((heading for heading in head if heading and head.count(heading) > 1), None):
            raise FERError(f"{name}: the column '{printable(twice)}' stands twice.")
        for cells in reader:
            if not "".join(cells).strip():
                continue
            if len(cells) != len(head):
                raise FERError(
                    f"{name}, line {reader.line_num}: expected {len(head)} columns, found {len(cells)}. Is the file "
                    "complete?"
                )
            yield (
                f"{name}, line {reader.line_num}",
                dict(zip(head, (of_cell(one.strip()) for one in cells), strict=True)),
            )


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose values are no mappings: these are taken apart, as `{"emotion": {"happy": 90.1}}` of deepface."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        found |= {str(key): one for key, one in value.items()} if isinstance(value, Mapping) else {str(name): value}
    return found


def answers_of(rows: Iterable[tuple[str, dict[str, Any]]], origin: str, classes: Sequence[str]) -> Answers:
    """Understand rows: which column is the image, which are classes, and whether they are probabilities or percent.

    Args:
        rows: Place and cells of each; a cell that is missing is empty.
        origin: The file or function that they are from.
        classes: The classes of the data set.

    Raises:
        FERError: If there is no image or no answer, a column has two meanings, or rows hold no probabilities.
    """
    table = list(rows)
    if not table:
        raise FERError(f"'{origin}' holds no answers: expected a row an image.")
    headings = list(dict.fromkeys(heading for _, row in table for heading in row))
    image = _image_column(headings, origin)
    columns, ignored = _class_columns([one for one in headings if one != image], classes, origin)
    size = [next((one for one in headings if one.lower() == name), "") for name in ("width", "height")]
    areas = [_number(row.get(size[0])) * _number(row.get(size[1])) for _, row in table]
    images = [str(row.get(image) or "") for _, row in table]
    places = [place for place, _ in table]
    if nameless := next((place for place, name in zip(places, images, strict=True) if not name), None):
        raise FERError(f"{nameless}: expected the name of an image in the column '{printable(image)}'.")
    answer = next((one for name in _ANSWER for one in headings if _plain(one) == name), "")
    if len(columns) > 1:
        names = (*classes, *(name for name in columns.values() if name not in classes))
        values, percent = _probabilities(table, columns, names, ignored)
        notes = ["The answers are in percent."] if percent else []
        if answer and _is_sure(answer):
            notes += _disagreement(table, answer, values, names)
        able = set(columns.values())
    elif answer:
        values, names = _labels(table, answer, classes)
        doubt = " If these are the labels, name the column of answers 'predicted'." if not _is_sure(answer) else ""
        notes = [f"The answers are those in the column '{printable(answer)}', without probabilities.{doubt}"]
        able = set(names)
    else:
        raise FERError(
            f"'{origin}' has no answers that are understood. Expected a column of probabilities a class, for "
            f"{', '.join(classes[:20])}, or one of labels, 'predicted'. Found: {listed(headings)}."
        )
    known = tuple(name in able for name in names)
    return Answers(origin, images, places, values, names, known, areas, len(columns) > 1, tuple(notes))


def _plain(heading: str) -> str:
    return re.sub(r"[\W_]", "", heading.lower())


def _is_sure(heading: str) -> bool:
    """Whether a column with this heading holds answers; `label` may hold what images really show."""
    return _ANSWER.index(_plain(heading)) < _ANSWER.index("label")


def _image_column(headings: Sequence[str], origin: str) -> str:
    found = [one for one in headings if one.lower() == "image"]
    found = found or [one for one in headings if one.lower() == _IMAGE or role_of(one) == "image"]
    if len(found) != 1:
        said = f"several columns may be the image: {listed(found)}" if found else "no column is known to be the image"
        raise FERError(f"'{origin}': {said}. Expected one named 'image'. Found: {listed(headings)}.")
    return found[0]


def _class_columns(headings: Sequence[str], classes: Sequence[str], origin: str) -> tuple[dict[str, str], list[str]]:
    """The class that each column is about; and the other columns."""
    found: dict[str, str] = {}
    ignored = []
    for heading in headings:
        name = _class_of(heading, classes) or _class_of(_PREFIX.sub("", heading, count=1), classes)
        if name is None or (_plain(heading) in _ANSWER and heading not in classes):
            ignored.append(heading)
        elif name in found.values():
            twin = next(other for other, known in found.items() if known == name)
            raise FERError(f"'{origin}': the columns '{printable(twin)}' and '{printable(heading)}' both mean {name}.")
        else:
            found[heading] = name
    return found, ignored


def _class_of(word: str, classes: Sequence[str]) -> str | None:
    """The class of the data set that a word means, or the expression; None for other words."""
    name = class_name(word)
    meant = expression_of(name)
    return class_among(name, classes) or (meant if meant in EXPRESSIONS else None)


def _number(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return found if math.isfinite(found) else 0.0


def _probabilities(
    table: Sequence[tuple[str, dict[str, Any]]],
    columns: Mapping[str, str],
    names: Sequence[str],
    ignored: Sequence[str],
) -> tuple[np.ndarray, bool]:
    """Float64 `(n, len(names))`, and whether the columns are in percent; rows without an answer are NaN."""
    values = np.full((len(table), len(columns)), np.nan)
    for number, (place, row) in enumerate(table):
        cells = [row.get(heading) for heading in columns]
        empty = [cell is None or cell == "" for cell in cells]
        if all(empty):
            continue
        for spot, (heading, cell) in enumerate(zip(columns, cells, strict=True)):
            try:
                value = math.nan if cell is None or isinstance(cell, bool) else float(cell)
            except (TypeError, ValueError, OverflowError):
                value = math.nan
            if not 0 <= value <= 101:
                raise FERError(
                    f"{place}: expected a probability in the column '{printable(heading)}', 0 to 1 or in percent. "
                    f"Found: '{one_line(str('' if cell is None else cell))}'."
                )
            values[number, spot] = value
    given = ~np.isnan(values[:, 0])
    if not given.any():
        raise FERError(f"No row has probabilities in the columns {listed(list(columns))}.")
    sums = values.sum(1)
    percent = bool(np.median(sums[given]) > 10)
    sums = sums / 100 if percent else sums
    bad = given & (np.abs(sums - 1) > _TOLERANCE)
    if bad.any():
        number = int(bad.argmax())
        others = f" These columns were taken for no class: {listed(ignored)}." if ignored else ""
        raise FERError(
            f"{table[number][0]}: the probabilities add up to {sums[number] * (100 if percent else 1):.4g}. Expected "
            f"{100 if percent else 1}, as after a softmax, over {', '.join(columns.values())}.{others}"
        )
    found = np.zeros((len(table), len(names)))
    found[:, [names.index(name) for name in columns.values()]] = values / values.sum(1, keepdims=True)
    found[~given] = np.nan
    return found, percent


def _labels(
    table: Sequence[tuple[str, dict[str, Any]]], column: str, classes: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Float64 `(n, c)`, 1 for the class that is named, NaN without an answer; and the names of the classes."""
    found: list[str | None] = []
    for place, row in table:
        word = "" if row.get(column) is None else str(row[column])
        name = _class_of(word, classes)
        if name is None and word.strip().lower() not in _NO_ANSWER:
            raise FERError(
                f"{place}: expected a class in the column '{printable(column)}', one of {', '.join(classes[:20])}, or "
                f"nothing where there is no answer. Found: '{one_line(word)}'."
            )
        found.append(name)
    if not any(found):
        raise FERError(f"No row has an answer in the column '{printable(column)}'.")
    names = (*classes, *dict.fromkeys(name for name in found if name is not None and name not in classes))
    nothing = np.full(len(names), np.nan)
    return np.array([nothing if one is None else np.eye(len(names))[names.index(one)] for one in found]), names


def _disagreement(
    table: Sequence[tuple[str, dict[str, Any]]], column: str, values: np.ndarray, names: Sequence[str]
) -> list[str]:
    """A sentence if a column of answers says something else than the probabilities; none if it does not."""
    best = [None if np.isnan(row[0]) else names[int(row.argmax())] for row in values]
    said = [_class_of(str(row.get(column) or ""), names) for _, row in table]
    apart = sum(one is not None and two is not None and one != two for one, two in zip(best, said, strict=True))
    rows = f"In {apart:,} of {len(table):,} rows the column '{column}' names another class than the most probable one"
    return [f"{rows}: the probabilities count."] if apart else []
