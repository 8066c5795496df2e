"""The legend: which image shows which expression."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from fer_lightning.errors import FERError
from fer_lightning.files import check_path

EXPRESSIONS = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The eight expressions of the `facial_expressions` and FER+ data sets, in the order of the network's outputs."""

SUBSETS = ("training", "validation", "testing")
"""The subsets of a split; a number that names one is an index into this tuple."""

Conflicts = Literal["error", "drop", "keep"]


OnError = Literal["error", "drop"]


class Problem(NamedTuple):
    """What is wrong with a row of a data set."""

    number: int  # of the line, or of the entry in a list, from 1; 0 for a file in a folder
    message: str
    image: str = ""  # the image of that row, where it is the image that is missing
    file: str = ""  # the file that the row stands in, where a data set has several


@dataclass(frozen=True)
class Legend:
    """The checked rows of a legend, one entry an image and label; `n` rows, `c` classes.

    Attributes:
        path: The file or folder that was read.
        image_dir: The folder that `images` are relative to.
        images: `n` names, with forward slashes, each an existing file inside `image_dir`.
        labels: int64 `(n,)`, index into `class_names`.
        class_names: `c` names; alphabetical unless a class list was given.
        users: `n` values of the `user.id` column: who labelled the image.
        ranks: int64 `(n,)`, how many rows of the same class stand above this one in the file, with repeats.
        class_rows: int64 `(c,)`, rows of each class in the file, with repeats.
        declared: int8 `(n,)`, index into `SUBSETS` from the `split` column; None without that column.
        identities: `n` values of the `identity` column; None without that column.
        votes: float32 `(n, c)`, annotators' votes for each class; None without vote columns.
        warnings: What was mended while reading, one sentence each.
        attributes: Further columns, `n` texts each.
        format: In what form the data set was found, in words.
        notes: What was understood beyond that, one sentence each.
        spellings: The labels as they are written, and their classes.
        repeated: Images with more rows under the same label, once for each row too many.
        conflicting: Images under several labels, with those.
        problems: The rows that cannot be used.
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
    attributes: Mapping[str, list[str]] = field(default_factory=dict)
    format: str = "legend.csv"
    notes: tuple[str, ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)
    repeated: tuple[str, ...] = ()
    conflicting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def short_name(self) -> str:
        """A name of the data set for people and files: that of its folder."""
        folder = self.image_dir.resolve()
        return (folder.parent if folder.name == "images" else folder).name

    @cached_property
    def files_fingerprint(self) -> str:
        """Hexadecimal digest of the name and stamps of every image: another one if a file was replaced or renamed."""
        digest = hashlib.sha256(os.fsencode(self.image_dir.resolve()) + os.sep.encode())
        for image, stamps in zip(self.images, self.stamps(range(len(self))).tolist(), strict=True):
            digest.update(f"{image} {' '.join(map(str, stamps))}\n".encode(errors="surrogatepass"))
        return digest.hexdigest()

    def stamps(self, rows: Sequence[int]) -> np.ndarray:
        """int64 `(m, 3)`: size, time (ns) and inode of the images in `m` rows now; -1 for what is not there.

        Images that were renamed among each other may share size and time, and have another inode each. The time of that
        change (ctime) would say it too, but our own hard links in the image folders change it as well.
        """
        start = os.fspath(self.image_dir.resolve()) + os.sep
        stamps = []
        for row in tqdm(rows, "Looking at image files", delay=1, leave=False):
            try:
                found = os.stat(start + self.images[row])
                stamps.append((found.st_size, found.st_mtime_ns, found.st_ino % 2**63))
            except OSError:
                stamps.append((-1, -1, -1))
        return np.array(stamps, np.int64).reshape(-1, 3)

    def with_classes(self, class_names: Sequence[str]) -> Legend:
        """The legend with another class list, in another order or longer.

        Raises:
            FERError: If a class of the legend is not in the list.
        """
        if unknown := ", ".join(sorted(set(self.class_names) - set(class_names))):
            raise FERError(f"{self.path} has the labels {unknown}; the class list is {', '.join(class_names)}.")
        place = np.array([list(class_names).index(name) for name in self.class_names])
        class_rows, votes = np.zeros(len(class_names), np.int64), None
        class_rows[place] = self.class_rows
        if self.votes is not None:
            votes = np.zeros((len(self), len(class_names)), np.float32)
            votes[:, place] = self.votes
        labels = place[self.labels]
        return replace(self, labels=labels, class_names=tuple(class_names), class_rows=class_rows, votes=votes)

    def take(self, rows: np.ndarray) -> Legend:
        """The legend of some rows, in their order: int `(m,)`, their numbers, or bool `(n,)`, those to keep."""
        numbers = np.arange(len(self))[rows].tolist()

        def chosen(values: list[str]) -> list[str]:
            return [values[number] for number in numbers]

        return replace(
            self,
            images=chosen(self.images),
            labels=self.labels[rows],
            users=chosen(self.users),
            ranks=self.ranks[rows],
            declared=self.declared[rows] if self.declared is not None else None,
            identities=chosen(self.identities) if self.identities is not None else None,
            votes=self.votes[rows] if self.votes is not None else None,
            attributes={name: chosen(values) for name, values in self.attributes.items()},
        )

    def vote_distribution(self, rows: np.ndarray) -> np.ndarray:
        """float32 `(m, c)`, the fraction of the votes of `m` rows for each class (arXiv 1608.01041).

        Where the votes do not favour the label, as after --data.relabel, the label stands alone.

        Raises:
            FERError: If there are no votes.
        """
        if self.votes is None:
            names = ", ".join(self.class_names)
            raise FERError(f"--data.soft_labels needs a column of votes for each class ({names}) in {self.path}.")
        votes, labels = self.votes[rows], self.labels[rows]
        favoured = votes[np.arange(len(rows)), labels] >= votes.max(1)
        alone = np.eye(votes.shape[1], dtype=np.float32)[labels]
        targets: np.ndarray = np.where(favoured[:, None], votes / votes.sum(1, keepdims=True), alone)
        return targets


def ranks_of(labels: np.ndarray, classes: int) -> np.ndarray:
    """int64 `(n,)`: how many labels above each are the same."""
    ranks = np.zeros(len(labels), np.int64)
    for label in range(classes):
        rows = np.flatnonzero(labels == label)
        ranks[rows] = np.arange(len(rows))
    return ranks


def locate_legend(
    root: str | os.PathLike[str], legend: str | None = None, images: str | None = None
) -> tuple[Path, Path]:
    """Find the legend file and the image folder of a data set.

    They are `<root>/data/legend.csv` or `<root>/legend.csv`, and `<root>/images`, unless `legend` and `images` say so.

    Raises:
        FERError: If the root, the legend or the image folder does not exist.
    """
    for option, path in (("root", root), ("legend", legend), ("images", images)):
        if path is not None:
            check_path(f"--data.{option}", path)
    base = Path(root).expanduser()
    if not base.is_dir() and (legend is None or images is None):
        expected = f"Expected a folder with a legend.csv, found no folder at '{base}'."
        raise FERError(f"Invalid value for --data.root. {expected}")
    candidates = [Path(legend).expanduser()] if legend else [base / "data" / "legend.csv", base / "legend.csv"]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        looked = " or ".join(f"'{candidate}'" for candidate in candidates)
        raise FERError(f"No legend found: expected a file at {looked}. Name it with --data.legend FILE.")
    folder = Path(images).expanduser() if images else base / "images"
    if not folder.is_dir():
        raise FERError(f"No image folder found: expected one at '{folder}'. Name it with --data.images DIR.")
    return file, folder
