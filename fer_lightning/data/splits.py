"""Which image goes to which subset; a function of legend, options and seed."""

import csv
import hashlib
import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from typing import Literal

import numpy as np

from fer_lightning.data.column_roles import role_of
from fer_lightning.data.held_out import fold_numbers, hold_out, numbered, reordered
from fer_lightning.data.identities import IDENTITY_PATTERN, told_apart
from fer_lightning.data.legend import SUBSETS, Legend
from fer_lightning.errors import FERError, check_range
from fer_lightning.names import cell, column, printable

SplitRule = Literal["sequential", "stratified", "grouped", "predefined"]

TRAINING, VALIDATION, TESTING = range(3)
_COLUMNS = ("user.id", "image", "emotion", "split", "identity")
_MOST_FOLDS = 1000
MEASURABLE = 10
"""Images of a class that it takes before its own figures are worth quoting."""


@dataclass(frozen=True)
class Split:
    """A legend with the subset of every image."""

    legend: Legend  # the rows that were split
    subsets: np.ndarray  # int8 `(n,)`, index into `SUBSETS`
    identities: list[str]  # `n` names of who is in the image
    options: dict[str, str | float | int]  # what the split was made with, plain values
    warnings: tuple[str, ...]  # what the user should know about it, one sentence each

    @cached_property
    def counts(self) -> np.ndarray:
        """int64 `(3, c)`: images of each class in each subset."""
        classes = len(self.legend.class_names)
        places = self.subsets.astype(np.int64) * classes + self.legend.labels
        return np.bincount(places, minlength=3 * classes).reshape(3, classes)

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change whenever an image, a label or its subset changes."""
        names, labels = self.legend.class_names, self.legend.labels.tolist()
        lines = sorted(
            f"{SUBSETS[subset]}\t{names[label]}\t{image}\n"
            for subset, label, image in zip(self.subsets.tolist(), labels, self.legend.images, strict=True)
        )
        whole = "\t".join(names) + "\n" + "".join(lines)
        return hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest()

    def rows(self, subset: int) -> np.ndarray:
        """int64 `(m,)`, the rows of a subset in the order of its samples.

        That is the order in which torchvision's ImageFolder lists the tree: class name, folder, file name.
        """
        names, images, labels = self.legend.class_names, self.legend.images, self.legend.labels.tolist()

        def place(row: int) -> tuple[str, str, str]:
            folder, _, name = images[row].rpartition("/")
            return names[labels[row]], folder.replace("/", os.sep), name

        return np.array(sorted(np.flatnonzero(self.subsets == subset).tolist(), key=place), np.int64)

    def shared_identities(self) -> tuple[int, int]:
        """How many testing images show somebody who is also in training or validation, and of how many."""
        testing = self.subsets == TESTING
        known, shown = set(compress(self.identities, ~testing)), list(compress(self.identities, testing))
        return sum(name in known for name in shown), len(shown)

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the split as a legend with a `split` column, which `--data.split predefined` reads back.

        What a spreadsheet would take for a formula has an apostrophe in front (`names.cell`), and the votes for a class
        that is called as one of the other columns stand under `class:` and its name.
        """
        legend, names = self.legend, self.legend.class_names
        labels = (names[label] for label in legend.labels.tolist())
        subsets = (SUBSETS[subset] for subset in self.subsets.tolist())
        texts = (map(cell, of) for of in (legend.users, legend.images, labels, subsets, self.identities))
        rows = zip(*texts, strict=True)
        with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
            writer = csv.writer(stream)
            more = legend.attributes
            taken = [*_COLUMNS, *more, *filter(role_of, names)]
            voted = names if legend.votes is not None else ()
            writer.writerow([*_COLUMNS, *map(cell, more), *(cell(column(name, taken)) for name in voted)])
            for number, row in enumerate(rows):
                votes = legend.votes[number] if legend.votes is not None else ()
                further = (cell(values[number]) for values in more.values())
                writer.writerow([*row, *further, *(f"{vote:g}" for vote in votes)])


def make_split(
    legend: Legend,
    rule: SplitRule | None = None,
    train_fraction: float = 0.8,
    val_fraction: float = 0.1,
    seed: int = 0,
    identity: str = IDENTITY_PATTERN,
    fold: tuple[int, int] | None = None,
) -> Split:
    """Give every image of a legend its subset.

    Validation is carved out of training by the same rule, so that the testing subset stays unseen.

    Args:
        legend: The images and their labels.
        rule: `sequential` takes, per class and in file order, the first `int(train_fraction * rows)` rows for
            training; `stratified` draws per class; `grouped` draws whole identities and keeps class frequencies as
            close as it can; `predefined` follows the legend's `split` column (validation, if the column has none, is
            drawn from training as in `grouped`; if it has no testing, what it calls validation is tested). None is
            `predefined` where the data set says what each image is for, else, and for folds, `grouped`.
        train_fraction: Fraction of the images for training and validation together, between 0 and 1.
        val_fraction: Fraction of the training images that becomes validation, 0 or more and below 1; 0 makes none.
        seed: Draws another split; without effect on `sequential`.
        identity: Regular expression matched at the start of an image name; its first group names who is in the
            image. An `identity` column in the legend takes its place.
        fold: `(i, k)` takes the `i`-th of `k` folds as the testing subset, for `stratified` and `grouped`; every image
            is in one of them. `train_fraction` then does not count.

    Raises:
        FERError: If an option is out of range, or training or testing would be empty.
    """
    for name, value, fits, least in (
        ("train_fraction", train_fraction, 0 < train_fraction < 1, "above 0"),
        ("val_fraction", val_fraction, 0 <= val_fraction < 1, "0 or more"),
    ):
        if not fits:
            raise FERError(
                f"Invalid value for --data.{name}. Expected a number {least} and below 1. Received: {value}."
            )
    check_range("--data.split_seed", seed, -(2**63), 2**63)
    if rule is None:
        whole = legend.declared is not None and len(np.unique(legend.declared)) > 1 and TRAINING in legend.declared
        rule = "predefined" if whole and fold is None else "grouped"
    if fold is not None and (rule not in ("stratified", "grouped") or not 0 <= fold[0] < fold[1] or fold[1] < 2):
        raise FERError(
            "Invalid value for --data.fold. Expected --data.split grouped or stratified, --data.folds of 2 or more and "
            f"--data.fold below it. Received: {rule}, {fold[1]} and {fold[0]}."
        )
    identities, said = (legend.identities, "") if legend.identities else told_apart(legend.images, identity)
    if rule == "predefined" and legend.declared is None:
        raise FERError(
            f"--data.split predefined needs a column 'split' in {legend.path}; there is none. Add it, or choose "
            "sequential, stratified or grouped."
        )
    declared = legend.declared if rule == "predefined" else None
    subsets = np.full(len(legend), TRAINING, np.int8) if declared is None else declared.copy()
    notes = [said] if said and rule in ("grouped", "predefined") else []
    if declared is not None and not (subsets == TESTING).any() and (subsets == VALIDATION).any():
        subsets[subsets == VALIDATION] = TESTING
        notes.append(
            "There is no testing part: what is called validation is tested; validation is drawn from training."
        )
    if rule == "sequential":
        train_rows = np.floor(train_fraction * legend.class_rows + 1e-9).astype(np.int64)
        seen_rows = np.floor((1 - val_fraction) * train_rows + 1e-9).astype(np.int64)
        seen_rows = np.maximum(seen_rows, np.minimum(train_rows, 1))  # a lone training row is not given away
        subsets[legend.ranks >= seen_rows[legend.labels]] = VALIDATION
        subsets[legend.ranks >= train_rows[legend.labels]] = TESTING
    else:
        names = legend.images if rule == "stratified" else identities
        groups, keys = numbered(names, seed)
        if fold is not None:
            subsets[_fold_numbers(groups, keys, legend, fold[1]) == fold[0]] = TESTING
        elif rule != "predefined":
            subsets[hold_out(groups, keys, legend, subsets == TRAINING, 1 - train_fraction)] = TESTING
        if val_fraction > 0 and not (subsets == VALIDATION).any():
            subsets[hold_out(groups, reordered(keys), legend, subsets == TRAINING, val_fraction)] = VALIDATION
    options: dict[str, str | float | int] = {"rule": rule, "val_fraction": val_fraction}
    if fold is not None:
        options |= {"fold": fold[0], "folds": fold[1]}
    elif rule != "predefined":
        options["train_fraction"] = train_fraction
    if rule != "sequential":
        options["seed"] = seed
    if rule in ("grouped", "predefined"):
        options["identity"] = "column" if legend.identities else identity
    split = Split(legend, subsets, identities, options, ())
    return replace(split, warnings=(*notes, *_warnings(split, rule, bool(said))))


def _fold_numbers(groups: np.ndarray, keys: np.ndarray, legend: Legend, folds: int) -> np.ndarray:
    """The fold of each row, once it is sure that none is empty: of a later one, that would show after trainings."""
    most = min(len(keys), _MOST_FOLDS)
    numbers = fold_numbers(groups, keys, legend, min(folds, most))
    empty = folds - len(np.unique(numbers))
    if empty:
        raise FERError(
            f"Invalid value for --data.folds. Expected fewer, at most {most}. Received: {folds}, of which {empty} "
            f"would be empty: {legend.path} has {len(legend):,} images in {len(keys):,} groups to divide."
        )
    return numbers


def _warnings(split: Split, rule: str, distrusted: bool) -> list[str]:
    legend, counts, warnings = split.legend, split.counts, []
    pattern = "set --data.identity to a pattern that fits your file names"
    numbers = Counter(split.identities)
    name, largest = numbers.most_common(1)[0]
    for subset in (TRAINING, TESTING):
        if counts[subset].sum() == 0:
            raise FERError(
                f"The {rule} split leaves the {SUBSETS[subset]} subset empty: {len(legend)} images, {len(numbers)} "
                f"identities in {legend.path}; the largest is '{printable(name[:80])}' with {largest}. Expected at "
                f"least one image in each. If people are not told apart, {pattern}, or choose --data.split stratified."
            )
    if rule == "grouped" and largest > 0.2 * len(legend) and largest > 1:
        said = f"{largest} of {len(legend)} images are taken for one identity, '{name}': if that is not so"
        warnings.append(f"{said}, {pattern}, or choose --data.split stratified.")
    if rule == "grouped" and len(numbers) == len(legend) and not distrusted:
        said = "Every image counts as a person of its own, as no identity repeats: if people do repeat"
        warnings.append(f"{said}, {pattern}.")
    for label, name in enumerate(legend.class_names):
        row = counts[:, label]
        if row.sum() == 0:
            warnings.append(f"'{name}' has no image: where a network answers with it, that counts as wrong.")
        elif row[TRAINING] == 0:
            warnings.append(f"'{name}' has no training image: it cannot be learned.")
        elif row[TESTING] < MEASURABLE:
            warnings.append(f"'{name}' has too few test images to measure: {row[TESTING]} (at least {MEASURABLE}).")
    shared, testing = split.shared_identities()
    if shared:
        warnings.append(
            f"{shared} of {testing} test images ({shared / testing:.0%}) show somebody who is also in training: "
            "results will look better than on new people."
        )
    return warnings
