"""Rows of a legend, each checked against the image folder and the class list, on their way to a Legend."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from fer_lightning.data.image_names import ImageNames
from fer_lightning.data.label_words import class_among, class_name, expression_of, matched, meaning_of
from fer_lightning.data.legend import SUBSETS, Conflicts, Legend, Problem, ranks_of
from fer_lightning.data.legend_check import check_class_names
from fer_lightning.data.part_names import part_of
from fer_lightning.data.problems import REMEDY, listed_problems
from fer_lightning.errors import FERError
from fer_lightning.names import MOST_CLASSES, complaint, of_cell, twins


class LegendRows:
    """Takes rows one by one; `finish` makes a `Legend` of them.

    Args:
        path: What is read, for messages.
        image_dir: The folder that image names are relative to.
        classes: The class list; None takes the labels (or vote columns) that come.
        unit: What the number of a row counts: `line` for files, `entry` for lists.
        follow_links: Whether links to files outside the folder are taken.
        label_names: What labels that are numbers mean, in their order; None takes the class list.

    Attributes:
        problems: The rows that were refused, and why.
        file: The file that the next rows stand in, where there are several; empty for `path`.
        vote_names: The class that each of a row's votes is for; empty without votes.
        attribute_names: What each of a row's further cells is; empty without any.
    """

    def __init__(
        self,
        path: Path,
        image_dir: Path,
        classes: Sequence[str] | None = None,
        unit: Literal["line", "entry"] = "line",
        follow_links: bool = False,
        label_names: Sequence[str] | None = None,
    ) -> None:
        self.path, self.image_dir, self.unit = path, image_dir, unit
        self.classes = normalised_classes(classes) if classes is not None else None
        self._label_names = None if label_names is None else [class_name(name) for name in label_names]
        self.vote_names: tuple[str, ...] = ()
        self.attribute_names: tuple[str, ...] = ()
        self.problems: list[Problem] = []
        self.file = ""
        self._files = ImageNames(image_dir, follow_links)
        self._spellings: dict[str, str] = {}  # labels as written, and the classes that they mean
        self._rows: list[_Row] = []

    def add(
        self,
        number: int,
        image: str,
        label: str,
        user: str = "",
        subset: str | None = None,
        identity: str | None = None,
        votes: Sequence[str | float] = (),
        attributes: Sequence[str] = (),
    ) -> None:
        """Take a row, or note what is wrong with it; `subset` and `identity` are None in every row or in none."""
        try:
            known, relative = self._label(number, label), self._image(image)
            declared = None if subset is None else part_of(subset)
            if declared is None and subset is not None:
                raise _RefusedError(f"unknown split '{subset.strip()[:80]}'; expected one of {', '.join(SUBSETS)}")
            given = _votes(votes, len(self.vote_names)) if self.vote_names else None
        except _RefusedError as problem:
            self.refuse(number, str(problem), problem.image)
            return
        who = None if identity is None else sys.intern(identity.strip() or relative)
        more = tuple(map(sys.intern, map(str.strip, attributes)))
        self._rows.append(_Row(number, relative, known, sys.intern(user), declared, who, given, more, self.file))

    def refuse(self, number: int, said: str, image: str = "") -> None:
        """Note what is wrong with a row; `image` if it is the image."""
        self.problems.append(Problem(number, said, image, self.file))

    @property
    def empty(self) -> bool:
        """Whether nothing has come, neither good nor refused."""
        return not self._rows and not self.problems

    def place(self, number: int) -> str:
        """Where a row stands, for messages."""
        if self.unit == "entry":
            return f"{self.path}, entry {number}"
        return f"{self.path}:{number}" if number else os.fspath(self.path)  # a file in a folder has no line

    def finish(self, conflicts: Conflicts, strict: bool = True) -> Legend:
        """The legend of the good rows; `conflicts` as in `read_legend`.

        Raises:
            FERError: With the first 20 problems and their number, if it is `strict` or no row is good; or if only one
                class or no row is left.
        """
        self._read_numbers()
        class_names = self._class_names()
        places = {name: place for place, name in enumerate(class_names)}
        labels = np.array([places[row.label] for row in self._rows], np.int64)
        ranks = ranks_of(labels, len(class_names))
        keep, repeated, conflicting = self._unique(labels, class_names, conflicts)
        if self.problems and (strict or not keep.any()):
            raise FERError(listed_problems(self.problems, self.place).removesuffix(REMEDY * (self.unit == "entry")))
        if not keep.any():
            raise FERError(f"{self.path}: no image is left: every one stands under two labels (see --data.conflicts).")
        if len(class_names) < 2 and not self.problems:
            raise FERError(f"{self.path}: expected two or more classes, found only '{class_names[0]}'.")
        spellings = {raw.strip(): name for raw, name in sorted(self._spellings.items())}
        warnings = []
        if repeated:
            warnings.append(f"{len(repeated)} repeated rows were merged (first: {repeated[0]}).")
        if conflicting:
            noun = "image stands" if len(conflicting) == 1 else "images stand"
            done = "left out" if conflicts == "drop" else "kept under each label"
            first = f"first: {next(iter(conflicting))}; see --data.conflicts"
            warnings.append(f"{len(conflicting)} {noun} under two labels, {done} ({first}).")
        if len(spellings) > len(set(spellings.values())):
            warnings.append(f"{len(spellings)} spellings of {len(set(spellings.values()))} labels were merged.")
        warnings += matched(spellings)
        if self._files.linked:
            warnings.append(f"Links to files outside the image folder: {self._files.linked:,}.")
        _, images, _, users, declared, identities, votes, more, _ = map(list, zip(*self._rows, strict=True))
        order = [self.vote_names.index(name) for name in class_names] if self.vote_names else []
        whole = Legend(
            path=self.path,
            image_dir=self.image_dir,
            images=images,
            labels=labels,
            class_names=class_names,
            users=users,
            ranks=ranks,
            class_rows=np.bincount(labels, minlength=len(class_names)),
            declared=None if declared[0] is None else np.array(declared, np.int8),
            identities=None if identities[0] is None else identities,
            votes=np.array(votes, np.float32)[:, order] if self.vote_names else None,
            warnings=tuple(warnings),
            attributes={name: [row[place] for row in more] for place, name in enumerate(self.attribute_names)},
            spellings=spellings,
            repeated=tuple(repeated),
            conflicting=conflicting,
            problems=tuple(self.problems),
        )
        return whole if keep.all() else whole.take(keep)

    def _named(self, row: int) -> str:
        one = self._rows[row]
        return f"{one.file}:{one.number}" if one.file else f"{self.unit} {one.number}"

    def _label(self, number: int, raw: str) -> str:
        if raw not in self._spellings:
            written = class_name(raw)
            name = class_among(written, self.classes) if self.classes else written
            if not self.classes and self.unit == "line":  # in lists, they are what the program wants
                name = expression_of(written)
            if not written:
                raise _RefusedError("the label is empty")
            if name is None and written.isdecimal() and len(written) < 10:
                name = written  # what it stands for is known once all are
            if name is None:
                expected = ", ".join(self.classes or ())
                raise _RefusedError(f"unknown label '{raw.strip()[:80]}'; expected one of {expected}")
            if why := complaint(name):
                raise _RefusedError(f"the label {name[:80]!r} cannot name a folder: {why}")
            self._spellings[raw] = name
            if not self.classes and len(set(self._spellings.values())) > MOST_CLASSES:
                said = f"more than {MOST_CLASSES} different labels. Expected class names."
                raise FERError(f"{self.place(number)}: {said}")
        return self._spellings[raw]

    def _read_numbers(self) -> None:
        """Give labels that are numbers the classes that they stand for."""
        names = set(self._spellings.values())
        numbers = {name for name in names if name.isdecimal() and name not in (self.classes or ())}
        alone = numbers == names and self.unit == "line" and not self.vote_names
        if not numbers or not (self.classes or self._label_names or alone):
            return
        meant = meaning_of(numbers, self.classes, str(self.path), self._label_names)
        unknown = numbers.difference(meant)
        expected = f"expected one of {', '.join(self.classes or ())}"
        self.problems += [
            Problem(row.number, f"unknown label '{row.label}'; {expected}", "", row.file)
            for row in self._rows
            if row.label in unknown
        ]
        kept = (row for row in self._rows if row.label not in unknown)
        self._rows = [row._replace(label=meant.get(row.label, row.label)) for row in kept]
        self._spellings = {raw: meant.get(name, name) for raw, name in self._spellings.items() if name not in unknown}

    def _image(self, image: str) -> str:
        name, why = self._files.find(image)
        if why and of_cell(name) != name and not self._files.check(of_cell(name)):  # as `Split.write_csv` writes it
            return of_cell(name)
        if why:
            raise _RefusedError(why, name)
        return name

    def _class_names(self) -> tuple[str, ...]:
        if self.classes:
            return self.classes
        names = set(self._spellings.values())
        if not self.vote_names and (two := twins(sorted(names))):
            raise FERError(f"{self.path}: the labels '{two[0]}' and '{two[1]}' can be taken for one. Write them alike.")
        if self.vote_names and (unvoted := sorted(names.difference(self.vote_names))):
            raise FERError(f"{self.path}:1: there are vote columns, but none for the label {', '.join(unvoted)}.")
        return tuple(sorted(self.vote_names or names))

    def _unique(
        self, labels: np.ndarray, class_names: tuple[str, ...], conflicts: Conflicts
    ) -> tuple[np.ndarray, list[str], dict[str, tuple[str, ...]]]:
        """Which rows stay once repeats and conflicts are dealt with, bool `(n,)`; the repeats; the conflicts."""
        keep, repeated = np.ones(len(labels), bool), []
        images = [row.image for row in self._rows]
        several: dict[str, dict[int, int]] = {image: {} for image, rows in Counter(images).items() if rows > 1}
        for row, image in enumerate(images):
            if image in several and several[image].setdefault(int(labels[row]), row) != row:
                keep[row] = False
                repeated.append(image)
        conflicting = {image: rows for image, rows in several.items() if len(rows) > 1}
        for image, rows in conflicting.items() if conflicts != "keep" else ():
            keep[list(rows.values())] = conflicts == "error"
            if conflicts == "error":
                at = [f"{class_names[label]} ({self._named(row)})" for label, row in rows.items()]
                message = f"the image '{image}' stands under two labels: {' and '.join(at)}. Correct the legend, or "
                last = self._rows[max(rows.values())]
                said = message + "choose --data.conflicts drop or keep"
                self.problems.append(Problem(last.number, said, "", last.file))
        named = {image: tuple(class_names[label] for label in rows) for image, rows in conflicting.items()}
        return keep, repeated, named


def normalised_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """A class list in lower case without surrounding space.

    Raises:
        FERError: If there are fewer than two names, two can be taken for one, or one cannot name a folder.
    """
    names = [class_name(name) if isinstance(name, str) else name for name in classes]
    return check_class_names(names, "--data.classes")


class _RefusedError(Exception):
    """What is wrong with a row, and with which image."""

    def __init__(self, message: str, image: str = "") -> None:
        super().__init__(message)
        self.image = image


class _Row(NamedTuple):
    number: int
    image: str
    label: str
    user: str
    subset: int | None
    identity: str | None
    votes: list[float] | None
    attributes: tuple[str, ...]
    file: str


def _votes(raw: Sequence[str | float], classes: int) -> list[float]:
    try:
        votes = [float(vote) for vote in raw]
        with np.errstate(over="ignore"):
            kept = np.array(votes, np.float32)  # as the legend holds them
            total = float(kept.sum())
        if len(votes) != classes or not (kept >= 0).all() or not 0 < total < np.inf:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        found = str(raw) if not isinstance(raw, Sequence) else ",".join(map(str, raw))
        expected = f"{classes} votes must be numbers of 0 or more, not all 0 and none too large"
        raise _RefusedError(f"{expected}; found {found[:200]}") from None
    return votes
