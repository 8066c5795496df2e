"""AffectNet as folders, with a small file (.npy) for each annotation of an image."""

import io
import math
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fer_lightning.data.image_files import IMAGE_SUFFIXES
from fer_lightning.data.image_listing import is_junk
from fer_lightning.data.legend_rows import LegendRows
from fer_lightning.names import many

NUMBERED = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""The expressions by their numbers, in the tables as in the folders."""

_WITHOUT = {8: "none", 9: "uncertain", 10: "no face"}
_SETS = {"train_set": "training", "val_set": "validation", "test_set": "testing"}
_MOST_BYTES = 4096


def label_of(text: str) -> tuple[int, str]:
    """The number of an expression, 0 to 10, and what is wrong with it."""
    try:
        number = float(text)
        if number in range(len(NUMBERED) + len(_WITHOUT)):
            return int(number), ""
    except ValueError:
        pass
    expected = ", ".join(f"{number} {name}" for number, name in [*enumerate(NUMBERED), *_WITHOUT.items()])
    return 0, f"unknown expression '{text[:80]}'; expected one of {expected}"


def left_out(skipped: Mapping[int, int]) -> tuple[str, ...]:
    """A note about the images that have no expression; `skipped` is how many there are of each number."""
    kinds = ", ".join(f"{_WITHOUT[number]} {count:,}" for number, count in sorted(skipped.items()))
    total = sum(skipped.values())
    return (f"Left out: {many(total, 'image')} without an expression ({kinds}).",) if total else ()


def parts_in(root: Path) -> list[str]:
    """The sets in a folder that have images and annotations."""
    return [name for name in _SETS if all((root / name / kind).is_dir() for kind in ("images", "annotations"))]


def read_folders(rows: LegendRows) -> tuple[str, ...]:
    """Take the images of all sets as rows, with valence and arousal as attributes; gives the notes."""
    rows.attribute_names = ("valence", "arousal")
    skipped: Counter[int] = Counter()
    others = 0
    values = _Values()
    for name in parts_in(rows.path):
        names = sorted(one for one in os.listdir(rows.path / name / "images") if not is_junk(one))
        there = set(os.listdir(rows.path / name / "annotations"))
        for image in tqdm(names, f"Reading {name}", unit=" images", delay=1, leave=False):
            stem, suffix = os.path.splitext(image)
            if suffix.lower() not in IMAGE_SUFFIXES:
                others += 1
                continue
            here, found = f"{name}/annotations", f"{stem}_exp.npy"
            try:
                if found not in there:
                    raise ValueError("it is not there")
                number, said = label_of(values.read(rows.path / here / found))
                if not said and number >= len(NUMBERED):
                    skipped[number] += 1
                    continue
                if said:
                    raise ValueError(said)
                feelings = []
                for kind in ("val", "aro"):
                    found = f"{stem}_{kind}.npy"
                    feelings.append(values.read(rows.path / here / found) if found in there else "")
            except (OSError, ValueError) as error:
                said = getattr(error, "strerror", None) or str(error)
                rows.refuse(0, f"the annotation '{here}/{found}' of an image is not usable: {said}")
                continue
            label = NUMBERED[number]
            rows.add(0, f"{name}/images/{image}", label, subset=_SETS[name], attributes=feelings)
    notes = left_out(skipped)
    return (*notes, f"Left out: {many(others, 'file')} without an image.") if others else notes


class _Values:
    """Reads files with one number or text each; nearly all begin alike, so each beginning is understood once."""

    def __init__(self) -> None:
        self._kinds: dict[bytes, np.dtype] = {}

    def read(self, path: Path) -> str:
        """The value as text.

        Raises:
            OSError: If it cannot be read.
            ValueError: If it is no such file.
        """
        with open(path, "rb") as stream:
            content = stream.read(_MOST_BYTES)
        if content[:6] != b"\x93NUMPY" or len(content) < 12:
            raise ValueError("it is no .npy file")
        old = content[6] == 1
        start = (10 if old else 12) + int.from_bytes(content[8 : 10 if old else 12], "little")
        head = content[:start]
        if head not in self._kinds:
            self._kinds[head] = _kind(head)
        kind = self._kinds[head]
        if len(content) < start + kind.itemsize:
            raise ValueError("it is cut off")
        value = np.frombuffer(content, kind, 1, start)[0].item()
        if isinstance(value, bytes):
            return value.decode("ascii", errors="replace").strip()
        if isinstance(value, float):
            return f"{value:.6g}" if math.isfinite(value) else ""
        return str(value).strip()


def _kind(head: bytes) -> np.dtype:
    """The type of the one value behind the beginning of a file; an object could hold code and is refused."""
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    if kind.kind not in "UiufS" or math.prod(shape) != 1:
        raise ValueError(f"expected one number or text, found {kind} of shape {shape}")
    return kind
