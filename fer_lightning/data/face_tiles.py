"""Small faces in large images: looked for in overlapping tiles, at several sizes, each counted once."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from fer_lightning.data.face_crop import LONGEST, find_faces
from fer_lightning.data.face_detectors import YUNET, Face

_OVERLAP = 192
"""Pixels that neighboring tiles share: a face up to that size is whole in one of them. Larger ones are found where the
image is half as large, so that nothing between is missed."""

_CLEAR = 48
"""Pixels from which on a box is precise: then the smallest image it is found in counts, below that the largest."""

_SAME_UNION, _SAME_WITHIN = 0.3, 0.7
"""Two boxes are of one face if they share so much of their union, or if so much of the smaller is in the larger."""


def find_faces_at(image: Image.Image, detector: str = YUNET, detection_size: int = LONGEST) -> list[Face]:
    """The faces in an image, the largest first, looked for at a size of your choice.

    Args:
        image: An upright image of any size and mode; it is never enlarged for this.
        detector: See `open_detector`.
        detection_size: The longer side in pixels at which faces are looked for. Above 640, that is done in tiles of
            640 pixels, and at a half, a quarter and so on of that size; what is found at 640 is found as ever.
    """
    size = min(detection_size, max(image.size))
    if size <= LONGEST:
        return find_faces(image, detector, detection_size)
    flat = image if image.mode == "RGB" else image.convert("RGB")
    found = [(face, LONGEST / max(flat.size)) for face in find_faces(flat, detector)]
    while size > LONGEST:
        scale = size / max(flat.size)
        level = flat
        if scale != 1:
            shape = (max(1, round(flat.width * scale)), max(1, round(flat.height * scale)))
            level = flat.resize(shape, Image.Resampling.BILINEAR, reducing_gap=2.0)
        for left, top in _corners(level.size):
            tile = level.crop((left, top, min(left + LONGEST, level.width), min(top + LONGEST, level.height)))
            found += [
                (face.moved(left, top, scale), scale)
                for face in find_faces(tile, detector)
                if _is_whole(face, left, top, tile.size, level.size)
            ]
        size //= 2
    return sorted(_once(found), key=lambda face: -face.width * face.height)


def _corners(size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Left and top of tiles that cover an image, the last ones flush with its edges."""
    step = LONGEST - _OVERLAP
    lefts, tops = (sorted({min(at, max(length - LONGEST, 0)) for at in range(0, length, step)}) for length in size)
    return ((left, top) for top in tops for left in lefts)


def _is_whole(face: Face, left: int, top: int, tile: tuple[int, int], level: tuple[int, int]) -> bool:
    """Whether a face in a tile is not cut by an edge that is none of the image, and small enough for the overlap."""
    inside = (face.left > 1 or left == 0) and (face.top > 1 or top == 0)
    inside &= face.left + face.width < tile[0] - 1 or left + tile[0] == level[0]
    inside &= face.top + face.height < tile[1] - 1 or top + tile[1] == level[1]
    return inside and max(face.width, face.height) <= _OVERLAP


def _once(found: list[tuple[Face, float]]) -> list[Face]:
    """The faces without those that were found at another size, or in another tile, as well."""

    def before(one: tuple[Face, float]) -> tuple[bool, float, float]:
        face, scale = one
        clear = max(face.width, face.height) * scale >= _CLEAR
        return not clear, scale if clear else -scale, -face.score

    kept: list[Face] = []
    boxes = np.empty((len(found), 4))
    for face, _ in sorted(found, key=before):
        box = np.array((face.left, face.top, face.left + face.width, face.top + face.height))
        others = boxes[: len(kept)]
        sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
        shared = sides.clip(0).prod(1)
        areas = (others[:, 2:] - others[:, :2]).prod(1)
        own = face.width * face.height
        same = (shared > _SAME_UNION * (areas + own - shared)) | (shared > _SAME_WITHIN * np.minimum(areas, own))
        if not same.any():
            boxes[len(kept)] = box
            kept.append(face)
    return kept
