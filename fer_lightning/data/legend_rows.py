"""Rows of a legend, each checked against the image folder and the class list, on their way to a Legend."""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Literal

import numpy as np

from fer_lightning.data.image_names import ImageNames
from fer_lightning.data.legend import SUBSETS, Conflicts, Legend
from fer_lightning.errors import FERError

_SHOWN = 20
_MOST_CLASSES = 1000


class LegendRows:
    """Takes rows one by one; `finish` makes a `Legend` of them.

    Args:
        path: What is read, for messages.
        image_dir: The folder that image names are relative to.
        classes: The class list; None takes the labels (or vote columns) that come.
        unit: What the number of a row counts: `line` for files, `entry` for lists.

    Attributes:
        problems: Number and message of every row that was refused.
        vote_names: The class that each of a row's votes is for; empty without votes.
    """

    def __init__(
        self, path: Path, image_dir: Path, classes: Sequence[str] | None = None, unit: Literal["line", "entry"] = "line"
    ) -> None:
        self.path, self.image_dir, self.unit = path, image_dir, unit
        self.classes = normalised_classes(classes) if classes is not None else None
        self.vote_names: tuple[str, ...] = ()
        self.problems: list[tuple[int, str]] = []
        self._files = ImageNames(image_dir)
        self._names: list[str] = list(self.classes or ())
        self._spellings: dict[str, int] = {}
        self._numbers: list[int] = []
        self._images: list[str] = []
        self._labels: list[int] = []
        self._users: list[str] = []
        self._declared: list[int] = []
        self._identities: list[str] = []
        self._votes: list[list[float]] = []

    def add(
        self,
        number: int,
        image: str,
        label: str,
        user: str = "",
        subset: str | None = None,
        identity: str | None = None,
        votes: Sequence[str | float] = (),
    ) -> None:
        """Take a row, or note what is wrong with it.

        Args:
            number: The row's number, for messages.
            image: Image name, relative to the image folder.
            label: Its class; case and surrounding space do not count.
            user: Who labelled it.
            subset: Its subset of the split; None in every row if that is not declared.
            identity: Who is in the image, empty for the image itself; None in every row if that is not known.
            votes: Annotators' votes, one for each of `vote_names`.
        """
        try:
            known = self._label(number, label)
            relative = self._image(image)
            declared = None if subset is None else _subset(subset)
            given = [] if not self.vote_names else _votes(votes)
        except _RefusedError as problem:
            self.problems.append((number, str(problem)))
            return
        if declared is not None:
            self._declared.append(declared)
        if identity is not None:
            self._identities.append(sys.intern(identity.strip() or relative))
        if given:
            self._votes.append(given)
        self._numbers.append(number)
        self._images.append(relative)
        self._labels.append(known)
        self._users.append(sys.intern(user))

    def place(self, number: int) -> str:
        """Where a row stands, for messages."""
        return f"{self.path}:{number}" if self.unit == "line" else f"{self.path}, {self.unit} {number}"

    def complaint(self) -> FERError:
        """The first problems and their number, as an exception."""
        noun = "problem" if len(self.problems) == 1 else "problems"
        more = f"\n  ... and {len(self.problems) - _SHOWN} more" if len(self.problems) > _SHOWN else ""
        shown = [f"{self.place(number)}: {message}" for number, message in self.problems[:_SHOWN]]
        return FERError(f"{len(self.problems)} {noun} in the legend:\n  " + "\n  ".join(shown) + more)

    def finish(self, conflicts: Conflicts) -> Legend:
        """The legend of the good rows.

        Args:
            conflicts: What to do with an image that has rows under different labels: `error` adds a problem, `drop`
                leaves the image out, `keep` keeps it under each of its labels.

        Raises:
            FERError: If no row or only one class is left although no row has a problem.
        """
        class_names = self._class_names()
        order = np.array([class_names.index(name) if name in class_names else -1 for name in self._names], np.int64)
        labels = order[np.array(self._labels, np.int64)] if self._labels else np.zeros(0, np.int64)
        ranks = np.zeros(len(labels), np.int64)
        for label in range(len(class_names)):
            rows = np.flatnonzero(labels == label)
            ranks[rows] = np.arange(len(rows))
        keep, repeated, conflicting = self._unique(labels, class_names, conflicts)
        if len(keep) == 0 and not self.problems:
            raise FERError(f"{self.path}: no image is left: every one stands under two labels (see --data.conflicts).")
        if len(class_names) < 2 and not self.problems:
            raise FERError(f"{self.path}: expected two or more classes, found only '{class_names[0]}'.")
        columns = [self.vote_names.index(name) for name in class_names] if self.vote_names else []
        whole = Legend(
            path=self.path,
            image_dir=self.image_dir,
            images=self._images,
            labels=labels,
            class_names=class_names,
            users=self._users,
            ranks=ranks,
            class_rows=np.bincount(labels[labels >= 0], minlength=len(class_names)),
            declared=np.array(self._declared, np.int8) if self._declared else None,
            identities=self._identities or None,
            votes=np.array(self._votes, np.float32)[:, columns] if self._votes else None,
            warnings=tuple(self._warnings(class_names, repeated, conflicting, conflicts)),
            spellings=tuple(sorted({raw.strip() for raw in self._spellings})),
            repeated=tuple(repeated),
            conflicting=conflicting,
        )
        return whole if len(keep) == len(labels) else whole.take(keep)

    def _label(self, number: int, raw: str) -> int:
        label = self._spellings.get(raw)
        if label is None:
            name = raw.strip().lower()
            if not name:
                raise _RefusedError("the label is empty")
            if name not in self._names:
                if self.classes:
                    raise _RefusedError(f"unknown label '{raw.strip()}'; expected one of {', '.join(self.classes)}")
                if not _is_folder_name(name):
                    raise _RefusedError(f"the label '{name}' cannot name a folder")
                if len(self._names) == _MOST_CLASSES:
                    raise FERError(
                        f"{self.place(number)}: more than {_MOST_CLASSES} different labels. Expected class names."
                    )
                self._names.append(name)
            label = self._spellings[raw] = self._names.index(name)
        return label

    def _image(self, image: str) -> str:
        if "/" in image or "\\" in image or ":" in image or image in (".", ".."):
            windows = PureWindowsPath(image)
            if image.startswith("/") or windows.is_absolute() or windows.drive or ".." in windows.parts:
                raise _RefusedError(f"the image name '{image}' leaves the image folder")
            image = posixpath.normpath(image)
        if complaint := self._files.check(image):
            raise _RefusedError(f"the image '{image}' {complaint}")
        return image

    def _class_names(self) -> tuple[str, ...]:
        if self.classes:
            return tuple(self.classes)
        if self.vote_names:
            unvoted = sorted(set(self._names) - set(self.vote_names))
            if unvoted:
                raise FERError(f"{self.path}:1: there are vote columns, but none for the label {', '.join(unvoted)}.")
            return tuple(sorted(self.vote_names))
        return tuple(sorted(self._names))

    def _unique(
        self, labels: np.ndarray, class_names: tuple[str, ...], conflicts: Conflicts
    ) -> tuple[np.ndarray, list[str], dict[str, tuple[str, ...]]]:
        """Rows that stay once repeats and conflicts are dealt with; the repeats; the conflicts."""
        repeated: list[str] = []
        conflicting: dict[str, tuple[str, ...]] = {}
        first: dict[str, int] = {}
        others: dict[str, list[int]] = {}
        images = self._images if len(set(self._images)) < len(self._images) else ()
        for row, image in enumerate(images):
            if first.setdefault(image, row) != row:
                others.setdefault(image, []).append(row)
        drop: set[int] = set()
        for image, rows in others.items():
            rows_by_label = {int(labels[first[image]]): first[image]}
            for row in rows:
                if int(labels[row]) in rows_by_label:
                    drop.add(row)
                    repeated.append(image)
                else:
                    rows_by_label[int(labels[row])] = row
            if len(rows_by_label) > 1:
                conflicting[image] = tuple(class_names[label] for label in rows_by_label)
                if conflicts == "error":
                    said = " and ".join(
                        f"{class_names[label]} ({self.unit} {self._numbers[row]})"
                        for label, row in rows_by_label.items()
                    )
                    message = f"the image '{image}' stands under two labels: {said}. Correct the legend, or choose "
                    self.problems.append((self._numbers[rows[-1]], message + "--data.conflicts drop or keep"))
                elif conflicts == "drop":
                    drop.update((first[image], *rows))
        keep = np.ones(len(labels), bool)
        keep[list(drop)] = False
        return np.flatnonzero(keep), repeated, conflicting

    def _warnings(
        self,
        class_names: tuple[str, ...],
        repeated: list[str],
        conflicting: dict[str, tuple[str, ...]],
        conflicts: Conflicts,
    ) -> list[str]:
        warnings = []
        if repeated:
            warnings.append(f"{len(repeated)} repeated rows were merged (first: {repeated[0]}).")
        if conflicting:
            done = "left out" if conflicts == "drop" else "kept under each label"
            noun = "image stands" if len(conflicting) == 1 else "images stand"
            first = next(iter(conflicting))
            warnings.append(
                f"{len(conflicting)} {noun} under two labels, {done} (first: {first}; see --data.conflicts)."
            )
        spellings = {raw.strip() for raw in self._spellings}
        if len(spellings) > len({raw.lower() for raw in spellings}):
            warnings.append(f"{len(spellings)} spellings of {len(class_names)} labels were merged.")
        return warnings


def normalised_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """A class list in lower case without surrounding space.

    Raises:
        FERError: If there are fewer than two names, one stands twice, or one cannot name a folder.
    """
    names = tuple(name.strip().lower() for name in classes)
    if len(names) < 2 or len(set(names)) != len(names) or not all(map(_is_folder_name, names)):
        raise FERError(
            "Invalid value for --data.classes. Expected two or more different names without slashes. Received: "
            f"{list(classes)}."
        )
    return names


class _RefusedError(Exception):
    """What is wrong with a row."""


def _is_folder_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\\" not in name


def _subset(raw: str) -> int:
    subset = raw.strip().lower()
    if subset not in SUBSETS:
        raise _RefusedError(f"unknown split '{subset}'; expected one of {', '.join(SUBSETS)}")
    return SUBSETS.index(subset)


def _votes(raw: Sequence[str | float]) -> list[float]:
    try:
        votes = [float(vote) for vote in raw]
        if min(votes) < 0 or not np.isfinite(votes).all() or sum(votes) == 0:
            raise ValueError
    except ValueError:
        found = ",".join(map(str, raw))
        raise _RefusedError(f"votes must be numbers of 0 or more, not all 0; found {found}") from None
    return votes
