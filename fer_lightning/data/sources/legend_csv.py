"""Read and check `legend.csv`, row by row.

Pure: nothing is written, and the result depends on the file, the image folder's listing and the arguments alone.
"""

from __future__ import annotations

import csv
import os
import posixpath
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PureWindowsPath

import numpy as np

from fer_lightning.data.legend import EXPRESSIONS, PARTS, Conflicts, Legend
from fer_lightning.data.sources.image_names import ImageNames
from fer_lightning.errors import FERError

_REQUIRED = ("user.id", "image", "emotion")
_OPTIONAL = ("split", "identity")
_SHOWN = 20
_MOST_CLASSES = 1000


def read_legend(
    path: str | os.PathLike[str],
    image_dir: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    conflicts: Conflicts = "drop",
) -> Legend:
    """Read a legend and check every row of it against the image folder.

    Columns `user.id`, `image` and `emotion` are required. Optional are `split` (training, validation or
    testing), `identity` (who is in the picture) and one column of votes per class. Labels are compared without
    regard to case and surrounding space. A byte order mark, CRLF, quoting and blank lines are fine.

    Args:
        path: A CSV file in UTF-8.
        image_dir: The folder that image names are relative to.
        classes: The class list; None takes the labels (or vote columns) that the file holds.
        conflicts: What to do with an image that has rows under different labels: `error` reports it, `drop` leaves
            the image out, `keep` keeps it under each of its labels.

    Raises:
        FERError: With the first 20 problems and their count, each with file and line.
    """
    legend, problems = inspect_legend(path, image_dir, classes, conflicts)
    if problems:
        raise _complaint(path, problems)
    return legend


def _complaint(path: str | os.PathLike[str], problems: Sequence[tuple[int, str]]) -> FERError:
    noun = "problem" if len(problems) == 1 else "problems"
    more = f"\n  ... and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    shown = [f"{os.fspath(path)}:{line}: {message}" for line, message in problems[:_SHOWN]]
    return FERError(f"{len(problems)} {noun} in the legend:\n  " + "\n  ".join(shown) + more)


def inspect_legend(
    path: str | os.PathLike[str],
    image_dir: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    conflicts: Conflicts = "drop",
) -> tuple[Legend, list[tuple[int, str]]]:
    """Read a legend as `read_legend` does, but leave rows with problems out.

    Returns:
        The legend of the good rows, and line and message of every problem.

    Raises:
        FERError: If the file as a whole cannot be read, or has no good row.
    """
    path, image_dir = Path(path), Path(image_dir)
    problems: list[tuple[int, str]] = []
    reader = _Reader(path, image_dir, classes, problems)
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader.read(stream)
    except UnicodeDecodeError as error:
        raise FERError(
            f"{path}: expected UTF-8 text, found a byte that is not ({error.reason} at position {error.start}). "
            "Save the file as UTF-8."
        ) from None
    except csv.Error as error:
        raise FERError(f"{path}:{reader.line}: not readable as CSV: {error}.") from None
    legend = reader.finish(conflicts)
    if problems and not len(legend):
        raise _complaint(path, problems)
    return legend, problems


class _Reader:
    """One pass over the rows; `finish` turns what was gathered into a `Legend`."""

    def __init__(
        self, path: Path, image_dir: Path, classes: Sequence[str] | None, problems: list[tuple[int, str]]
    ) -> None:
        self.path, self.image_dir, self.problems = path, image_dir, problems
        self.classes = _normalised_classes(classes)
        self.files = ImageNames(image_dir)
        self.line = 1
        self.images: list[str] = []
        self.users: list[str] = []
        self.label_ids: list[int] = []
        self.lines: list[int] = []
        self.declared: list[int] = []
        self.identities: list[str] = []
        self.votes: list[list[float]] = []
        self.names: list[str] = list(self.classes or ())
        self.spellings: dict[str, int] = {}
        self.has: dict[str, bool] = {}
        self.vote_names: list[str] = []
        self.saw_rows = False

    def read(self, stream: Iterable[str]) -> None:
        rows = csv.reader(stream)
        header = next((row for row in rows if any(cell.strip() for cell in row)), None)
        if header is None:
            raise FERError(f"{self.path}: the file is empty. Expected a header line {','.join(_REQUIRED)}.")
        columns = [cell.strip().lower() for cell in header]
        self._check_header(columns, rows.line_num)
        at = {name: columns.index(name) for name in columns}
        user_at, image_at, emotion_at = (at[name] for name in _REQUIRED)
        split_at, identity_at = at.get("split"), at.get("identity")
        vote_at = [at[name] for name in self.vote_names]
        required = [(name, at[name]) for name in (*_REQUIRED, *(n for n in _OPTIONAL if n in at))]
        width, intern = len(columns), sys.intern
        for row in rows:
            self.line = rows.line_num
            if not row or (len(row) <= 1 and not row[0].strip()):
                continue
            self.saw_rows = True
            if len(row) != width:
                self._problem(self.line, f"expected {width} fields, found {len(row)}")
                continue
            label = self._label(row[emotion_at])
            image = row[image_at].strip()
            user = row[user_at].strip()
            if not (image and user and label is not None) or (split_at is not None and not row[split_at].strip()):
                for name, index in required:
                    if not row[index].strip():
                        self._problem(self.line, f"the field '{name}' is empty")
                continue
            if label < 0:
                known = ", ".join(self.classes or ())
                self._problem(self.line, f"unknown label '{row[emotion_at].strip()}'; expected one of {known}")
                continue
            relative = self._image(image)
            if relative is None:
                continue
            if split_at is not None and not self._split(row[split_at]):
                continue
            if vote_at and not self._vote(row, vote_at):
                continue
            if identity_at is not None:
                self.identities.append(intern(row[identity_at].strip() or relative))
            self.images.append(relative)
            self.users.append(intern(user))
            self.label_ids.append(label)
            self.lines.append(self.line)

    def _problem(self, line: int, message: str) -> None:
        self.problems.append((line, message))

    def _check_header(self, columns: list[str], line: int) -> None:
        missing = [name for name in _REQUIRED if name not in columns]
        if missing:
            found = ", ".join(columns)
            hint = " Fields are separated by commas." if len(columns) == 1 and (";" in found or "\t" in found) else ""
            raise FERError(f"{self.path}:{line}: missing column {', '.join(missing)}; found {found}.{hint}")
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise FERError(f"{self.path}:{line}: column {', '.join(twice)} stands twice.")
        extra = [name for name in columns if name not in _REQUIRED + _OPTIONAL]
        known = set(self.classes or EXPRESSIONS)
        unknown = [name for name in extra if name not in known]
        if unknown:
            raise FERError(
                f"{self.path}:{line}: unknown column {', '.join(unknown)}. Expected {', '.join(_REQUIRED)}, optionally "
                f"{', '.join(_OPTIONAL)} and one column of votes for each class (name the classes with --data.classes "
                f"if they are not {', '.join(sorted(known))})."
            )
        if extra and self.classes and set(extra) != set(self.classes):
            lacking = ", ".join(name for name in self.classes if name not in extra)
            raise FERError(f"{self.path}:{line}: vote columns are there, but none for {lacking}.")
        self.vote_names = extra
        self.has = {name: name in columns for name in _OPTIONAL}

    def _label(self, raw: str) -> int | None:
        """The label's number in `names`; None if it is empty, -1 if it is not in the class list."""
        label = self.spellings.get(raw)
        if label is None:
            name = raw.strip().lower()
            if not name:
                return None
            if name not in self.names:
                if self.classes is not None:
                    return -1
                if name in (".", "..") or "/" in name or "\\" in name:
                    self._problem(self.line, f"the label '{name}' cannot name a folder")
                self.names.append(name)
                if len(self.names) > _MOST_CLASSES:
                    raise FERError(
                        f"{self.path}:{self.line}: more than {_MOST_CLASSES} different labels. Expected the column "
                        "'emotion' to hold class names."
                    )
            label = self.spellings[raw] = self.names.index(name)
        return label

    def _image(self, image: str) -> str | None:
        if "/" in image or "\\" in image or ":" in image or image in (".", ".."):
            windows = PureWindowsPath(image)
            if image.startswith("/") or windows.is_absolute() or windows.drive or ".." in windows.parts:
                self._problem(self.line, f"the image name '{image}' leaves the image folder")
                return None
            image = posixpath.normpath(image)
        complaint = self.files.check(image)
        if complaint:
            self._problem(self.line, f"the image '{image}' {complaint}")
            return None
        return image

    def _split(self, raw: str) -> bool:
        part = raw.strip().lower()
        if part not in PARTS:
            self._problem(self.line, f"unknown split '{part}'; expected one of {', '.join(PARTS)}")
            return False
        self.declared.append(PARTS.index(part))
        return True

    def _vote(self, row: list[str], at: list[int]) -> bool:
        try:
            votes = [float(row[index]) for index in at]
            if min(votes) < 0 or not np.isfinite(votes).all() or sum(votes) == 0:
                raise ValueError
        except ValueError:
            found = ",".join(row[index] for index in at)
            self._problem(self.line, f"votes must be numbers of 0 or more, not all 0; found {found}")
            if self.has["split"]:
                self.declared.pop()
            return False
        self.votes.append(votes)
        return True

    def finish(self, conflicts: Conflicts) -> Legend:
        if not self.saw_rows:
            raise FERError(f"{self.path}: the legend has a header but no rows.")
        class_names = self._class_names()
        order = np.array([class_names.index(name) if name in class_names else -1 for name in self.names], np.int64)
        labels = order[np.array(self.label_ids, np.int64)] if self.label_ids else np.zeros(0, np.int64)
        class_rows = np.bincount(labels[labels >= 0], minlength=len(class_names))
        ranks = np.zeros(len(labels), np.int64)
        for label in range(len(class_names)):
            rows = np.flatnonzero(labels == label)
            ranks[rows] = np.arange(len(rows))
        keep, repeated, conflicting = self._unique_rows(labels, class_names, conflicts)
        warnings = self._warnings(class_names, repeated, conflicting, conflicts)
        if len(keep) == 0 and not self.problems:
            raise FERError(f"{self.path}: no image is left: every one stands under two labels (see --data.conflicts).")
        if len(class_names) < 2 and not self.problems:
            raise FERError(f"{self.path}: expected two or more classes, found only '{class_names[0]}'.")

        def chosen(values: list[str]) -> list[str]:
            return values if len(keep) == len(values) else [values[index] for index in keep]

        votes = None
        if self.vote_names:
            columns = [self.vote_names.index(name) for name in class_names]
            votes = np.array(self.votes, np.float32).reshape(-1, len(columns))[:, columns][keep]
        return Legend(
            path=self.path,
            image_dir=self.image_dir,
            images=chosen(self.images),
            labels=labels[keep],
            class_names=class_names,
            users=chosen(self.users),
            ranks=ranks[keep],
            class_rows=class_rows,
            declared=np.array(self.declared, np.int8)[keep] if self.has["split"] else None,
            identities=chosen(self.identities) if self.has["identity"] else None,
            votes=votes,
            warnings=tuple(warnings),
            spellings=tuple(sorted({raw.strip() for raw in self.spellings})),
            repeated=tuple(repeated),
            conflicting=conflicting,
        )

    def _warnings(
        self,
        class_names: tuple[str, ...],
        repeated: list[str],
        conflicting: Mapping[str, tuple[str, ...]],
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
        spellings = {raw.strip() for raw in self.spellings}
        if len(spellings) > len({raw.lower() for raw in spellings}):
            warnings.append(f"{len(spellings)} spellings of {len(class_names)} labels were merged.")
        return warnings

    def _class_names(self) -> tuple[str, ...]:
        if self.classes is not None:
            return self.classes
        if self.vote_names:
            unvoted = sorted(set(self.names) - set(self.vote_names))
            if unvoted:
                raise FERError(f"{self.path}:1: there are vote columns, but none for the label {', '.join(unvoted)}.")
            return tuple(sorted(self.vote_names))
        return tuple(sorted(self.names))

    def _unique_rows(
        self, labels: np.ndarray, class_names: tuple[str, ...], conflicts: Conflicts
    ) -> tuple[np.ndarray, list[str], dict[str, tuple[str, ...]]]:
        """Row numbers that stay once repeats and conflicts are dealt with; the repeats; the conflicts."""
        repeated: list[str] = []
        conflicting: dict[str, tuple[str, ...]] = {}
        if len(set(self.images)) == len(self.images):
            return np.arange(len(labels)), repeated, conflicting
        first: dict[str, int] = {}
        others: dict[str, list[int]] = {}
        for row, image in enumerate(self.images):
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
                said = " and ".join(f"{class_names[k]} (line {self.lines[r]})" for k, r in rows_by_label.items())
                if conflicts == "error":
                    self._problem(
                        self.lines[rows[-1]],
                        f"the image '{image}' stands under two labels: {said}. Correct the legend, or choose "
                        "--data.conflicts drop or keep",
                    )
                elif conflicts == "drop":
                    drop.update((first[image], *rows))
        keep = np.ones(len(labels), bool)
        keep[list(drop)] = False
        return np.flatnonzero(keep), repeated, conflicting


def _normalised_classes(classes: Sequence[str] | None) -> tuple[str, ...] | None:
    if classes is None:
        return None
    names = tuple(name.strip().lower() for name in classes)
    if len(names) < 2 or len(set(names)) != len(names) or "" in names:
        raise FERError(
            f"Invalid value for --data.classes. Expected two or more different names. Received: {list(classes)}."
        )
    return names
