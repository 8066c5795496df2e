"""Data sets whose file names say who shows what: JAFFE, KDEF, RaFD, FACES, CFD, NimStim."""

import contextlib
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from fer_lightning.data.image_files import IMAGE_SUFFIXES
from fer_lightning.data.image_listing import is_junk
from fer_lightning.data.legend import SUBSETS, Conflicts, Legend, OnError
from fer_lightning.data.legend_rows import LegendRows, normalised_classes
from fer_lightning.data.part_names import part_of
from fer_lightning.data.sources import DataSource
from fer_lightning.errors import FERError
from fer_lightning.files import check_path
from fer_lightning.names import many, printable

_LOOKED_AT = 2000
_ENOUGH = 0.9
_GENDERS = {"f": "female", "m": "male", "female": "female", "male": "male"}


class Naming(NamedTuple):
    """How the files of a data set are named."""

    name: str  # of the data set
    example: str
    pattern: re.Pattern[str]  # of the name without its ending; groups `who`, `emotion`, and more to be attributes
    emotions: Mapping[str, str]  # labels by what the group `emotion` matches, in lower case
    words: Mapping[str, Mapping[str, str]]  # for some groups, the values by what they match, in lower case


def _naming(name: str, example: str, pattern: str, emotions: str, **words: Mapping[str, str]) -> Naming:
    labels = {code: label for code, _, label in (pair.partition("=") for pair in emotions.split())}
    return Naming(name, example, re.compile(pattern, re.IGNORECASE), labels, words)


NAMINGS = (
    _naming(
        "JAFFE",
        "KA.AN1.39.tiff",
        r"(?P<who>[A-Z]{2})\.(?P<emotion>AN|DI|FE|HA|NE|SA|SU)\d+\.\d+",
        "an=anger di=disgust fe=fear ha=happiness ne=neutral sa=sadness su=surprise",
    ),
    _naming(
        "KDEF",
        "AF01ANS.JPG",
        r"(?P<session>[AB])(?P<who>(?P<gender>[FM])\d{2})(?P<emotion>AF|AN|DI|HA|NE|SA|SU)(?P<view>S|HL|HR|FL|FR)",
        "af=fear an=anger di=disgust ha=happiness ne=neutral sa=sadness su=surprise",
        gender=_GENDERS,
        view={"s": "straight", "hl": "half left", "hr": "half right", "fl": "full left", "fr": "full right"},
    ),
    _naming(
        "RaFD",
        "Rafd090_01_Caucasian_female_angry_frontal.jpg",
        r"Rafd(?P<angle>\d{3})_(?P<who>\d+)_(?P<race>[a-z]+)_(?P<gender>female|male)_"
        r"(?P<emotion>angry|contemptuous|disgusted|fearful|happy|neutral|sad|surprised)_(?P<gaze>frontal|left|right)",
        "angry=anger contemptuous=contempt disgusted=disgust fearful=fear happy=happiness neutral=neutral sad=sadness "
        "surprised=surprise",
        gender=_GENDERS,
    ),
    _naming(
        "FACES",
        "004_o_m_a_a.jpg",
        r"(?P<who>\d{1,3})_(?P<age>[oym])_(?P<gender>[fm])_(?P<emotion>[adfhns])_(?P<set>[ab])",
        "a=anger d=disgust f=fear h=happiness n=neutral s=sadness",
        gender=_GENDERS,
        age={"o": "old", "m": "middle-aged", "y": "young"},
    ),
    _naming(
        "CFD",
        "CFD-BF-001-025-HC.jpg",
        r"CFD-(?P<who>(?P<race>[ABILWM]+)(?P<gender>[FM])-\d{3})-\d{3}-(?P<emotion>A|F|HC|HO|N)",
        "a=anger f=fear hc=happiness ho=happiness n=neutral",
        gender=_GENDERS,
        race={"a": "Asian", "b": "Black", "l": "Latino", "w": "White", "i": "Indian", "m": "multiracial"},
    ),
    _naming(
        "NimStim",
        "01F_AN_C.BMP",
        r"(?P<who>\d{2}(?P<gender>[FM]))_(?P<emotion>AN|CA|DI|FE|HA|NE|SA|SP)_(?P<mouth>[OCX])",
        "an=anger ca=calm di=disgust fe=fear ha=happiness ne=neutral sa=sadness sp=surprise",
        gender=_GENDERS,
        mouth={"o": "open", "c": "closed", "x": "open wide"},
    ),
)
"""A further data set is an entry here."""


class FileNames(DataSource):
    """Files whose names say who shows what, as in JAFFE, KDEF and RaFD.

    The files may lie in folders within; where all lie in folders for parts, such as train and test, these are the
    split. What else the names tell (view, gender and the like) is kept as columns.

    Args:
        root: The folder.
        classes: The class list, in the order of the network's outputs; without it, the labels found.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        on_error: A file that cannot be used is an error, or dropped.
        follow_links: Whether links to files outside the folder are taken.
    """

    def __init__(
        self,
        root: str,
        classes: list[str] | None = None,
        conflicts: Conflicts = "drop",
        on_error: OnError = "error",
        follow_links: bool = False,
    ) -> None:
        self.root, self.conflicts, self.on_error, self.follow_links = root, conflicts, on_error, follow_links
        self.class_names = normalised_classes(classes) if classes is not None else None

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether nine of ten images, among the first 2,000, are named as those of one of these data sets."""
        with contextlib.suppress(OSError):  # a folder that may not be read
            return _naming_of(path) is not None
        return False

    def read(self) -> Legend:
        """List the images and read their names.

        Raises:
            FERError: If the names are of no data set that is known, or files cannot be used.
        """
        check_path("--data.root", self.root)
        root = Path(self.root).expanduser()
        naming = _naming_of(root)
        if naming is None:
            known = ", ".join(f"{one.example} ({one.name})" for one in NAMINGS)
            raise FERError(
                f"Invalid value for --data.root. Expected a folder with images that are named such as {known}. Found "
                f"none at '{root}'."
            )
        self.name = naming.name
        rows = LegendRows(root, root, self.class_names, follow_links=self.follow_links)
        further = [group for group in naming.pattern.groupindex if group not in ("who", "emotion")]
        rows.attribute_names = tuple(further)
        others: list[str] = []
        found: list[tuple[str, re.Match[str]]] = []
        for image in tqdm(_images(root, self.follow_links), "Reading file names", unit=" images", delay=1, leave=False):
            match = naming.pattern.fullmatch(_stem(image))
            if match is None:
                others.append(image)
            else:
                found.append((image, match))
        parts = _parts([image for image, _ in found])
        for (image, match), part in zip(found, parts, strict=True):
            label = naming.emotions[match["emotion"].lower()]
            values = [naming.words.get(name, {}).get(match[name].lower(), match[name]) for name in further]
            rows.add(0, image, label, subset=part, identity=match["who"].upper(), attributes=values)
        legend = rows.finish(self.conflicts, self.on_error == "error")
        notes = [f"The file names tell {', '.join(['who', 'what', *further])}."]
        if others:
            said = f"{many(len(others), 'image')} with another name, such as '{printable(others[0])}'"
            notes.append(f"Left out: {said}.")
        return replace(legend, format=f"{naming.name} (file names such as {naming.example})", notes=tuple(notes))


def _naming_of(path: Path) -> Naming | None:
    some = list(map(_stem, islice(_images(path, True), _LOOKED_AT)))
    for naming in NAMINGS:
        if some and sum(naming.pattern.fullmatch(name) is not None for name in some) >= _ENOUGH * len(some):
            return naming
    return None


def _stem(image: str) -> str:
    return os.path.splitext(os.path.basename(image))[0]


def _parts(images: Sequence[str]) -> Sequence[str | None]:
    """The part that each image is for, by the folders that it lies in; None for all where one lies in none."""
    folders = {image: posixpath.dirname(image) for image in images}
    around = len(posixpath.commonpath(folders.values())) if all(folders.values()) else 0
    known: dict[str, int | None] = {}
    for folder in set(folders.values()):
        meant = map(part_of, folder[around:].split("/"))
        known[folder] = next((part for part in meant if part is not None), None)
    parts = set(known.values())
    if None in parts or len(parts) < 2:  # one part is no split
        return [None] * len(images)
    return [SUBSETS[known[folders[image]] or 0] for image in images]


def _images(root: Path, follow_links: bool) -> Iterator[str]:
    """The images in a folder and the folders in it, folder by folder, without what is hidden."""
    start = len(os.fspath(root)) + 1
    seen: set[str] = set()
    for folder, inner, names in os.walk(root, followlinks=follow_links):
        if follow_links and (real := os.path.realpath(folder)) in seen:  # links may lead in circles
            inner.clear()
            continue
        seen.add(real if follow_links else "")
        inner[:] = sorted(name for name in inner if not is_junk(name))
        here = folder[start:].replace(os.sep, "/")
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not is_junk(name):
                yield f"{here}/{name}" if here else name
