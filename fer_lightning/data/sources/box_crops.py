"""Faces that data sets name by a box in a photograph, each cut out as an image of its own."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fer_lightning.cores import available_cpus
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.image_files import UnreadableImageError, read_image
from fer_lightning.data.legend import Problem
from fer_lightning.data.problems import listed_problems
from fer_lightning.data.sources.unpacked import Entry, FreeNames, unpack
from fer_lightning.errors import FERError

MARGIN = 0.02
"""Added to the longer side of a box, as `--data.margin` is by default."""

LARGEST = 512
"""Pixels on the side of a cut image; larger ones are shrunk."""

_QUALITY = 95
_AT_ONCE = 1024


class Box(NamedTuple):
    """A face in a photograph."""

    entry: Entry  # its row; the image is what its file is to be called, without ending
    photograph: str  # its path
    face: Face


def cut_out(
    name: str,
    boxes: Sequence[Box],
    tables: Sequence[Path],
    problems: Sequence[Problem],
    strict: bool,
    prepared_dir: str,
) -> tuple[Path, list[Entry]]:
    """Cut faces out of photographs, or find them where they were cut before; see `unpack`.

    A box is made a square, with a margin, which lies within the photograph. Gray images are PNG, others JPEG.

    Args:
        name: Of the data set.
        boxes: The faces.
        tables: The files that the boxes are from.
        problems: The rows that have none.
        strict: Whether these are refused, before the long work begins.
        prepared_dir: Where to keep the images.

    Raises:
        FERError: If there are problems and it is strict, or no box; or as of `unpack`.
    """
    if problems and (strict or not boxes):
        raise FERError(listed_problems(problems, lambda number: f"{tables[0]}:{number}"))
    if not boxes:
        raise FERError(f"{tables[0]}: no row names a face with one of the expressions.")
    sources = dict.fromkeys((*map(str, tables), *(box.photograph for box in boxes)))
    return unpack(name, sources, [MARGIN, LARGEST], partial(_write, boxes), prepared_dir, len(boxes))


def _write(boxes: Sequence[Box], images: Path) -> Iterator[Entry]:
    names = FreeNames()
    with ThreadPoolExecutor(available_cpus(keep=0)) as threads:
        for start in range(0, len(boxes), _AT_ONCE):  # else all would wait in memory at once
            some = [
                box._replace(entry=box.entry._replace(image=names.name(box.entry.image, box.entry.number)))
                for box in boxes[start : start + _AT_ONCE]
            ]
            for folder in {os.path.dirname(box.entry.image) for box in some}:
                os.makedirs(images / folder, exist_ok=True)
            yield from threads.map(partial(_cut, images), some)


def _cut(images: Path, box: Box) -> Entry:
    entry, face = box.entry, box.face
    try:
        photograph = read_image(box.photograph)
    except UnreadableImageError as error:
        return entry._replace(image="", problem=str(error).rstrip("."))
    x, y = face.left + face.width / 2, face.top + face.height / 2
    if not (face.width > 0 and face.height > 0 and 0 <= x < photograph.width and 0 <= y < photograph.height):
        said = ", ".join(f"{value:g}" for value in (face.left, face.top, face.width, face.height))
        size = f"{photograph.width} x {photograph.height}"
        problem = f"the face box (left, top, width, height: {said}) is outside of the image, which has {size} pixels"
        return entry._replace(image="", problem=problem)
    left, top, right, _ = face.square(MARGIN, photograph.size)
    side = max(1, round(right - left))
    left, top = min(round(left), photograph.width - side), min(round(top), photograph.height - side)
    image = photograph.crop((left, top, left + side, top + side))
    if side > LARGEST:
        image = image.resize((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    gray = image.mode in ("1", "L")
    name = f"{entry.image}.{'png' if gray else 'jpg'}"
    if gray:
        image.convert("L").save(images / name)
    else:
        image.convert("RGB").save(images / name, quality=_QUALITY)
    return entry._replace(image=name)
