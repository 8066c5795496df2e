"""Folders of images, one for each class, as torchvision's ImageFolder and most published data sets have them."""

import os
import posixpath
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from fer_lightning.data.image_files import IMAGE_SUFFIXES
from fer_lightning.data.image_listing import Listing, by_ending, is_junk, list_images
from fer_lightning.data.label_words import class_name, classes_of, expression_of, matched
from fer_lightning.data.legend import EXPRESSIONS, Legend, OnError, Problem, ranks_of
from fer_lightning.data.legend_rows import normalised_classes
from fer_lightning.data.part_names import part_of
from fer_lightning.data.problems import listed_problems
from fer_lightning.data.sources import DataSource
from fer_lightning.errors import FERError
from fer_lightning.files import check_path
from fer_lightning.names import many, printable

_LOOKED_AT = 10_000
_HANDFUL = 10
"""No more folders around those of classes than this are rather kinds of images than people."""
_EXPECTED = """Expected a folder for each class, with or without folders for the parts of the split around them:
  train/angry/ann.jpg        or    angry/ann.jpg
  train/happy/ben.jpg              happy/ben.jpg
  test/angry/eve.jpg               happy/eve.jpg"""


class ImageFolder(DataSource):
    """A folder for each class, within or around folders for the parts of a split, where there are any.

    Folders of parts are called train, validation, test and the like (`fer_lightning.data.part_names`); classes as in
    `fer_lightning.data.label_words`. Folders may lie below those of classes, and one alone around all is passed over.

    Args:
        root: The folder.
        classes: The class list, in the order of the network's outputs; without it, the folders, alphabetically.
        on_error: A file or folder that cannot be used is an error, or dropped.
        follow_links: Whether links to files outside the folder are taken.
        label_names: What folders that are numbers mean, in their order; None takes the class list.
    """

    def __init__(
        self,
        root: str,
        classes: list[str] | None = None,
        on_error: OnError = "error",
        follow_links: bool = False,
        label_names: Sequence[str] | None = None,
    ) -> None:
        self.label_names = label_names
        self.root, self.on_error, self.follow_links = root, on_error, follow_links
        self.class_names = normalised_classes(classes) if classes is not None else None

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether there are several folders side by side, at the first place with more than one, and images below."""
        if not path.is_dir():
            return False
        here: os.PathLike[str] | str = path
        while len(inner := _folders(here)) == 1:
            here = inner[0]
        return len(inner) > 1 and any(_has_image(folder) for folder in inner[:100])

    def read(self) -> Legend:
        """List the folder and work out what its folders mean.

        Raises:
            FERError: If folders cannot be told apart into parts and classes, or files cannot be used.
        """
        check_path("--data.root", self.root)
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise FERError(f"Invalid value for --data.root. Expected a folder, found none at '{root}'.")
        listing = list_images(root, self.follow_links)
        layout = _Layout.of(list(listing.images), root)
        written = sorted({label for _, label in layout.places.values() if label is not None})
        meant = classes_of(written, self.class_names, str(root), self.label_names)
        names = self.class_names or tuple(sorted(set(meant.values())))
        problems = [Problem(0, f"'{name}' {why}", name) for name, why in listing.refused]
        problems += [Problem(0, f"the folder '{name}' cannot be read: {why}") for name, why in listing.closed]
        problems += [
            Problem(0, f"the folder '{label}' is none of the classes {', '.join(names)}")
            for label in written
            if label not in meant
        ]
        if problems and self.on_error == "error":
            raise FERError(listed_problems(problems, lambda number: str(root)))
        images, labels, parts, outer = [], [], [], []
        for folder in sorted(listing.images):
            part, label = layout.places[folder]
            if label is None or label not in meant:
                continue
            files = listing.images[folder]
            images += [f"{folder}/{name}" for name in files]
            labels.append(np.full(len(files), names.index(meant[label]), np.int64))
            parts.append(np.full(len(files), part, np.int8))
            outer += [layout.outer[folder]] * len(files) if layout.outer else []
        if not images:
            raise FERError(f"'{root}' has no images in folders of classes. {_EXPECTED}")
        together = np.concatenate(labels)
        if len(np.unique(together)) < 2 and not self.class_names:
            raise FERError(f"'{root}': expected two or more classes, found only '{names[0]}'. {_EXPECTED}")
        return Legend(
            path=root,
            image_dir=root,
            images=images,
            labels=together,
            class_names=names,
            users=[""] * len(images),
            ranks=ranks_of(together, len(names)),
            class_rows=np.bincount(together, minlength=len(names)),
            declared=np.concatenate(parts) if layout.has_parts else None,
            identities=outer if len(set(outer)) > _HANDFUL else None,
            votes=None,
            attributes={"folder": outer} if outer else {},
            warnings=tuple(matched(meant)),
            format="a folder for each class" + (", within folders for parts" if layout.has_parts else ""),
            notes=tuple(_notes(listing, layout)),
            spellings=dict(meant),
            problems=tuple(problems),
        )


class _Layout:
    """What the folders with images mean: for each, its part (0 without parts) and the label as it is written."""

    def __init__(
        self,
        places: Mapping[str, tuple[int, str | None]],
        has_parts: bool,
        outside: list[str],
        outer: Mapping[str, str] | None = None,
        note: str = "",
    ) -> None:
        self.places, self.has_parts, self.outside, self.outer, self.note = places, has_parts, outside, outer, note

    @classmethod
    def of(cls, folders: list[str], root: Path) -> "_Layout":
        levels = {folder: folder.split("/") if folder else [] for folder in folders}
        inner = list(filter(None, folders))
        shared = posixpath.commonpath(inner) if len(inner) > 1 else ""
        common = shared.split("/") if shared else []
        rest = {folder: path[len(common) :] for folder, path in levels.items()}
        first = {path[0] for path in rest.values() if path}
        known = {name for name in first if part_of(name) is not None}
        if known and known != first:
            others, parts = ", ".join(sorted(first - known)[:20]), ", ".join(sorted(known))
            raise FERError(
                f"'{root / '/'.join(common)}': the folders {printable(parts)} are parts of a split, but "
                f"{printable(others)} beside them are not. {_EXPECTED}"
            )
        at = 0 if known else _class_level(list(rest.values()))
        if at:
            told = ", ".join(sorted(first)[:5])
            outer = {folder: path[0] for folder, path in rest.items() if len(path) > at}
            found = {folder: (0, path[at] if len(path) > at else None) for folder, path in rest.items()}
            outside = [folder for folder, (_, label) in found.items() if label is None]
            return cls(found, False, outside, outer, f"Classes are the folders within those of {printable(told)} ...")
        places: dict[str, tuple[int, str | None]] = {}
        second = {path[1] for path in rest.values() if len(path) > 1}
        inverted = not known and bool(second) and all(part_of(name) is not None for name in second)
        inverted = inverted and all(len(path) > 1 for path in rest.values() if path)
        for folder, path in rest.items():
            if known:
                part = part_of(path[0]) if path else None
                places[folder] = (part or 0, path[1] if len(path) > 1 else None)
            else:
                part = part_of(path[1]) if inverted and path else None
                places[folder] = (part or 0, path[0] if path else None)
        return cls(places, bool(known) or inverted, [folder for folder, (_, label) in places.items() if label is None])


def _class_level(paths: Sequence[Sequence[str]]) -> int:
    """How many folders stand around those of the classes: 1 where only the second ones are words for expressions."""
    first, second = ({class_name(path[at]) for path in paths if len(path) > at} for at in (0, 1))
    named = [sum(expression_of(name) in EXPRESSIONS for name in names) for names in (first, second)]
    return int(named[0] < 2 <= named[1] and 2 * named[1] > len(second))


def _notes(listing: Listing, layout: _Layout) -> list[str]:
    notes = [layout.note] if layout.note else []
    if outside := sum(len(listing.images[folder]) for folder in layout.outside):
        notes.append(f"Left out: {many(outside, 'image')} outside of the folders of classes.")
    if listing.others:
        notes.append(f"Files that are not images are left out: {by_ending(listing.others)}.")
    if listing.links:
        notes.append(f"Links to files outside the folder: {listing.links:,}.")
    return notes


def _folders(path: os.PathLike[str] | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [entry for entry in islice(entries, _LOOKED_AT) if entry.is_dir() and not is_junk(entry.name)]
    except OSError:
        return []


def _has_image(path: os.PathLike[str] | str, depth: int = 4) -> bool:
    try:
        with os.scandir(path) as entries:
            some = list(islice(entries, _LOOKED_AT))
    except OSError:
        return False
    if any(os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES for entry in some):
        return True
    return depth > 0 and any(_has_image(entry, depth - 1) for entry in some if entry.is_dir(follow_symlinks=False))
