"""Where the words about faces go in a picture, so that no panel covers another, nor another face."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Detail = Literal["full", "tag", "number"]
Area = tuple[float, float, float, float]
"""Left, top, right and bottom."""


@dataclass(frozen=True)
class Panel:
    """Place of a panel in pixels, and how much it says: everything, the answer alone, or a number."""

    left: float
    top: float
    width: float
    height: float
    detail: Detail

    @property
    def area(self) -> Area:
        """The place by its edges."""
        return self.left, self.top, self.left + self.width, self.top + self.height


def place(
    boxes: Sequence[Area], wanted: Sequence[dict[Detail, tuple[float, float]]], size: tuple[int, int]
) -> list[Panel | None]:
    """Find a place for a panel about each face: above, below, right or left of it, as large as there is room.

    Args:
        boxes: Where the faces are, those that matter most first.
        wanted: For each, the width and height of its panel, by how much it says, most first. A number lies within the
            box, the others outside of all other boxes. A face alone has its panel in any case.
        size: Width and height of the picture.

    Returns:
        A panel for each face; None where there is room for none.
    """
    faces = np.array(boxes, float).reshape(-1, 4)
    taken, count = np.empty((len(boxes), 4)), 0
    found: list[Panel | None] = []
    for number, (box, sizes) in enumerate(zip(boxes, wanted, strict=True)):
        others = np.delete(faces, number, axis=0)
        panels = (
            Panel(left, top, width, height, detail)
            for detail, (width, height) in sizes.items()
            for left, top in _spots(box, width, height, size, within=detail == "number")
        )
        for panel in panels:
            clear = not _meets(panel.area, taken[:count])
            if clear and (panel.detail == "number" or not _meets(panel.area, others)):
                taken[count], count = panel.area, count + 1
                found.append(panel)
                break
        else:
            found.append(None)
    if len(boxes) == 1 and wanted[0] and (found[0] is None or found[0].detail == "number"):  # then on its face
        detail, (width, height) = next(iter(wanted[0].items()))
        left = min(max(boxes[0][0], 0), max(size[0] - width, 0))
        return [Panel(left, min(boxes[0][3], size[1] - height), width, height, detail)]
    return found


def _spots(
    box: Area, width: float, height: float, size: tuple[int, int], within: bool
) -> Iterator[tuple[float, float]]:
    """Left and top of the places that a panel about a box may have in a picture, the best first."""
    left, top = min(max(box[0], 0), size[0] - width), min(max(box[1], 0), size[1] - height)
    right, bottom = min(box[2], size[0]) - width, min(box[3], size[1]) - height
    if within:
        spots = [(left, top), (right, top), (left, bottom), (right, bottom)]
    else:
        spots = [(left, box[1] - height), (left, box[3]), (box[2], top), (box[0] - width, top)]
        spots += [(right, box[1] - height), (right, box[3])]
        if height <= (box[3] - box[1]) / 2:  # on a face, but not over most of it
            spots.append((left, bottom))
    for x, y in spots:
        if x >= 0 and y >= 0 and x + width <= size[0] and y + height <= size[1]:
            yield x, y


def _meets(area: Area, others: np.ndarray) -> bool:
    """Whether an area has a point inside in common with one of others, float `(n, 4)`."""
    left, top, right, bottom = area
    apart = (others[:, 0] >= right) | (others[:, 2] <= left) | (others[:, 1] >= bottom) | (others[:, 3] <= top)
    return not bool(apart.all())
