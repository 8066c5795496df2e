"""Where the images of a table are, whatever machine it was written on."""

import os
import posixpath
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

_LOOKED_AT = 100
"""Names that are tried; some of the first may be missing."""


class ImagePlace(NamedTuple):
    """The folder of a table's images, and how its names become relative to it."""

    folder: Path
    here: str  # the table's own folder, which names that lead elsewhere start from
    start: str = ""  # what stands in front of names that were written on another machine

    def name(self, written: str) -> str:
        """The name of an image relative to the folder, as far as it is within."""
        image = _slashes(written)
        if self.start and image.startswith(self.start):
            return image[len(self.start) :]
        if not image.startswith("/") and ".." not in image:
            return image
        whole = posixpath.normpath(posixpath.join(self.here, image))
        folder = self.folder.as_posix().rstrip("/") + "/"
        if whole.startswith(folder):
            return whole[len(folder) :]
        inner = posixpath.normpath(image)
        return image if inner.startswith(("/", "..")) else inner


def image_place(table: Path, names: Iterable[str], image_dir: Path | None = None) -> ImagePlace:
    """Find the folder that the images of a table are in.

    It is the given one, or that of the table, `images` beside it, or the one above, whichever has the most of the first
    100. Absolute names, and such that lead elsewhere, are relative to the folder that they have in common. Names that
    were absolute on another machine are matched by their ends.

    Args:
        table: The file.
        names: The names of the images as they are written in it.
        image_dir: Where images are, if it is said.
    """
    here = table.absolute().parent
    column = (_slashes(name) for name in names if name)
    some = list(islice(column, _LOOKED_AT))
    places = (
        [here, here / "images", here.parent / "images", here.parent] if image_dir is None else [image_dir.absolute()]
    )
    plain = [name for name in some if not name.startswith("/") and not posixpath.normpath(name).startswith("..")]
    hits = [sum(os.path.isfile(place / posixpath.normpath(name)) for name in plain) for place in places]
    if max(hits) or not some:
        return ImagePlace(places[hits.index(max(hits))], here.as_posix())
    others = [name for name in some if name not in plain]
    if image_dir is None and any(os.path.isfile(here / name) for name in others):
        folders = {
            posixpath.dirname(posixpath.normpath(posixpath.join(here.as_posix(), name))) for name in (*some, *column)
        }
        return ImagePlace(Path(posixpath.commonpath(folders)), here.as_posix())
    for place in places:
        for name in others:
            parts = name.split("/")
            starts = ("/".join(parts[:number]) + "/" for number in range(1, len(parts)))
            if start := next((one for one in starts if os.path.isfile(place / name[len(one) :])), ""):
                return ImagePlace(place, here.as_posix(), start)
    return ImagePlace(places[0], here.as_posix())


def _slashes(name: str) -> str:
    """A name with forward slashes and without a drive."""
    return re.sub(r"^[A-Za-z]:(?=/)", "", name.strip().replace("\\", "/"))
