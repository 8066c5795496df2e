"""Read and check `legend.csv`: which image shows which expression.

Pure: nothing is written, and the result depends on the file, the image folder's listing and the arguments alone.
"""

from __future__ import annotations

import csv
import os
import posixpath
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Literal

import numpy as np

from fer_lightning.errors import FERError

EXPRESSIONS = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The eight expressions of the `facial_expressions` and FER+ data sets, in the order of the network's outputs."""

PARTS = ("training", "validation", "testing")
"""The parts of a split; a number that names a part is an index into this tuple."""

Conflicts = Literal["error", "drop", "keep"]

_REQUIRED = ("user.id", "image", "emotion")
_OPTIONAL = ("split", "identity")
_SHOWN = 20
_MOST_CLASSES = 1000


@dataclass(frozen=True)
class Legend:
    """The checked rows of a legend, one entry an image and label; `n` rows, `c` classes.

    Attributes:
        path: The file that was read.
        image_dir: The folder that `images` are relative to.
        images: `n` image names, with forward slashes, each an existing file inside `image_dir`.
        labels: int64 `(n,)`, index into `class_names`.
        class_names: `c` names; alphabetical unless a class list was given.
        users: `n` values of the `user.id` column: who labelled the image.
        ranks: int64 `(n,)`, how many rows of the same class stand above this one in the file, repeats included.
        class_rows: int64 `(c,)`, rows of each class in the file, repeats included.
        declared: int8 `(n,)`, index into `PARTS` from the `split` column, or None without that column.
        identities: `n` values of the `identity` column, or None without that column.
        votes: float32 `(n, c)`, annotators' votes for each class, or None without vote columns.
        warnings: What was mended while reading, one sentence each.
    """

    path: Path
    image_dir: Path
    images: list[str]
    labels: np.ndarray
    class_names: tuple[str, ...]
    users: list[str]
    ranks: np.ndarray
    class_rows: np.ndarray
    declared: np.ndarray | None
    identities: list[str] | None
    votes: np.ndarray | None
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def locate_legend(
    root: str | os.PathLike[str], legend: str | None = None, images: str | None = None
) -> tuple[Path, Path]:
    """Find the legend file and the image folder of a data set.

    Args:
        root: The data set's folder.
        legend: The legend file, if it is neither `<root>/data/legend.csv` nor `<root>/legend.csv`.
        images: The image folder, if it is not `<root>/images`.

    Returns:
        The legend file and the image folder; both exist.

    Raises:
        FERError: If the root, the legend or the image folder does not exist.
    """
    base = Path(root).expanduser()
    if not base.is_dir() and (legend is None or images is None):
        raise FERError(
            f"Invalid value for --data.root. Expected a folder with a legend.csv, found no folder at '{base}'."
        )
    candidates = [Path(legend).expanduser()] if legend else [base / "data" / "legend.csv", base / "legend.csv"]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        looked = " or ".join(f"'{candidate}'" for candidate in candidates)
        raise FERError(f"No legend found: expected a file at {looked}. Name it with --data.legend FILE.")
    folder = Path(images).expanduser() if images else base / "images"
    if not folder.is_dir():
        raise FERError(f"No image folder found: expected one at '{folder}'. Name it with --data.images DIR.")
    return file, folder


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
    path, image_dir = Path(path), Path(image_dir)
    problems = _Problems(path)
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
    problems.raise_if_any()
    return legend


class _Problems:
    """Collects what is wrong, keeps the first few, counts the rest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shown: list[str] = []
        self.count = 0

    def add(self, line: int, message: str) -> None:
        self.count += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(f"{self.path}:{line}: {message}")

    def raise_if_any(self) -> None:
        if self.count:
            more = f"\n  ... and {self.count - len(self.shown)} more" if self.count > len(self.shown) else ""
            noun = "problem" if self.count == 1 else "problems"
            raise FERError(f"{self.count} {noun} in the legend:\n  " + "\n  ".join(self.shown) + more)


class _ImageFiles:
    """Answers 'is this name a file inside the image folder?', listing every folder only once."""

    def __init__(self, image_dir: Path) -> None:
        self._root = image_dir
        self._real_root = os.path.realpath(image_dir)
        self._listings: dict[str, dict[str, str | None] | None] = {}

    def check(self, name: str) -> str | None:
        """The complaint about `name`, or None if it is fine."""
        folder, _, base = name.rpartition("/")
        if folder not in self._listings:
            self._listings[folder] = self._list(folder)
        listing = self._listings[folder]
        if listing is None:
            return "lies behind a link that leaves the image folder"
        if base in listing:
            return listing[base]
        twin = next((other for other in listing if other.lower() == base.lower()), None)
        hint = f" (there is '{twin}': upper and lower case differ)" if twin else ""
        return f"is not a file in '{self._root}'{hint}"

    def _list(self, folder: str) -> dict[str, str | None] | None:
        """The complaint about each file of a folder; None for a folder that is not inside the image folder."""
        here = os.path.join(self._root, folder) if folder else os.fspath(self._root)
        if not self._inside(here):
            return None
        listing: dict[str, str | None] = {}
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_symlink() and not self._inside(entry.path):
                        listing[entry.name] = "is a link to a file outside the image folder"
                    elif entry.is_file():
                        listing[entry.name] = None
        except (FileNotFoundError, NotADirectoryError):
            pass
        return listing

    def _inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep)


class _Reader:
    """One pass over the rows; `finish` turns what was gathered into a `Legend`."""

    def __init__(self, path: Path, image_dir: Path, classes: Sequence[str] | None, problems: _Problems) -> None:
        self.path, self.image_dir, self.problems = path, image_dir, problems
        self.classes = _normalised_classes(classes)
        self.files = _ImageFiles(image_dir)
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
                self.problems.add(self.line, f"expected {width} fields, found {len(row)}")
                continue
            label = self._label(row[emotion_at])
            image = row[image_at].strip()
            user = row[user_at].strip()
            if not (image and user and label is not None) or (split_at is not None and not row[split_at].strip()):
                for name, index in required:
                    if not row[index].strip():
                        self.problems.add(self.line, f"the field '{name}' is empty")
                continue
            if label < 0:
                known = ", ".join(self.classes or ())
                self.problems.add(self.line, f"unknown label '{row[emotion_at].strip()}'; expected one of {known}")
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
                    self.problems.add(self.line, f"the label '{name}' cannot name a folder")
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
                self.problems.add(self.line, f"the image name '{image}' leaves the image folder")
                return None
            image = posixpath.normpath(image)
        complaint = self.files.check(image)
        if complaint:
            self.problems.add(self.line, f"the image '{image}' {complaint}")
            return None
        return image

    def _split(self, raw: str) -> bool:
        part = raw.strip().lower()
        if part not in PARTS:
            self.problems.add(self.line, f"unknown split '{part}'; expected one of {', '.join(PARTS)}")
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
            self.problems.add(self.line, f"votes must be numbers of 0 or more, not all 0; found {found}")
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
        keep, warnings = self._unique_rows(labels, class_names, conflicts)
        if len(keep) == 0 and not self.problems.count:
            raise FERError(f"{self.path}: no image is left: every one stands under two labels (see --data.conflicts).")
        if len(class_names) < 2 and not self.problems.count:
            raise FERError(f"{self.path}: expected two or more classes, found only '{class_names[0]}'.")
        merged = len({raw.strip() for raw in self.spellings}) - len({raw.strip().lower() for raw in self.spellings})
        if merged:
            warnings.append(f"{len(self.spellings)} spellings of {len(class_names)} labels were merged.")

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
        )

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
    ) -> tuple[np.ndarray, list[str]]:
        """Row numbers that stay once repeats and conflicts are dealt with, and what to say about it."""
        warnings: list[str] = []
        if len(set(self.images)) == len(self.images):
            return np.arange(len(labels)), warnings
        first: dict[str, int] = {}
        others: dict[str, list[int]] = {}
        for row, image in enumerate(self.images):
            if first.setdefault(image, row) != row:
                others.setdefault(image, []).append(row)
        drop: set[int] = set()
        repeated, conflicting = [], []
        for image, rows in others.items():
            rows_by_label = {int(labels[first[image]]): first[image]}
            for row in rows:
                if int(labels[row]) in rows_by_label:
                    drop.add(row)
                    repeated.append(image)
                else:
                    rows_by_label[int(labels[row])] = row
            if len(rows_by_label) > 1:
                conflicting.append(image)
                said = " and ".join(f"{class_names[k]} (line {self.lines[r]})" for k, r in rows_by_label.items())
                if conflicts == "error":
                    self.problems.add(
                        self.lines[rows[-1]],
                        f"the image '{image}' stands under two labels: {said}. Correct the legend, or choose "
                        "--data.conflicts drop or keep",
                    )
                elif conflicts == "drop":
                    drop.update((first[image], *rows))
        if repeated:
            warnings.append(f"{len(repeated)} repeated rows were merged (first: {repeated[0]}).")
        if conflicting:
            done = "left out" if conflicts == "drop" else "kept under each label"
            noun = "image stands" if len(conflicting) == 1 else "images stand"
            warnings.append(
                f"{len(conflicting)} {noun} under two labels, {done} (first: {conflicting[0]}; see --data.conflicts)."
            )
        keep = np.ones(len(labels), bool)
        keep[list(drop)] = False
        return np.flatnonzero(keep), warnings


def _normalised_classes(classes: Sequence[str] | None) -> tuple[str, ...] | None:
    if classes is None:
        return None
    names = tuple(name.strip().lower() for name in classes)
    if len(names) < 2 or len(set(names)) != len(names) or "" in names:
        raise FERError(
            f"Invalid value for --data.classes. Expected two or more different names. Received: {list(classes)}."
        )
    return names
