"""Words about a crowd: no panel covers another one or another face, and everybody is named."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fer_lightning.data.face_detectors import Face
from fer_lightning.inference import drawing
from fer_lightning.inference.drawing import annotated
from fer_lightning.inference.expression import Expression
from fer_lightning.inference.panels import place

NAMES = ("calm", "jolly", "surprised")


def said(left, top, width, height, label="jolly"):
    rest = dict.fromkeys(NAMES, 0.1) | {label: 0.8}
    return Expression(label, 0.8, rest, Face(left, top, width, height, 0.9))


def grid(columns, rows, side, gap):
    return [
        said(gap + column * (side + gap), gap + row * (side + gap), side, side, NAMES[(row + column) % 3])
        for row in range(rows)
        for column in range(columns)
    ]


def scattered(count, size, least, most):
    rng = random.Random(count)
    sides = [rng.randint(least, most) for _ in range(count)]
    return [said(rng.randrange(size[0] - side), rng.randrange(size[1] - side), side, side) for side in sides]


def meet(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


CROWDS = {
    "one": ((600, 400), [said(200, 150, 100, 120)]),
    "two close": ((900, 500), [said(300, 200, 100, 120), said(410, 205, 95, 115)]),
    "class photograph": ((1200, 800), grid(8, 5, 90, 50)),
    "packed": ((1000, 600), grid(20, 12, 40, 8)),
    "scattered": ((1600, 1000), scattered(60, (1600, 1000), 40, 130)),
    "one upon another": ((640, 480), scattered(50, (640, 480), 60, 120)),
    "whole": ((400, 300), [Expression("calm", 0.9, {"calm": 0.9, "jolly": 0.06, "surprised": 0.04}, None)]),
}


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("name", CROWDS)
def test_no_two_panels_meet(name, listed, monkeypatch):
    size, expressions = CROWDS[name]
    placed = {}

    def noted(boxes, wanted, size):
        placed["boxes"], placed["panels"] = boxes, place(boxes, wanted, size)
        return placed["panels"]

    monkeypatch.setattr(drawing, "place", noted)
    drawn = annotated(Image.new("RGB", size, "gray"), expressions, NAMES, listed)
    panels = [panel for panel in placed["panels"] if panel is not None]
    for number, panel in enumerate(panels):
        left, top, right, bottom = panel.area
        assert left >= 0
        assert top >= 0
        assert right <= size[0]
        assert bottom <= size[1]
        assert not any(meet(panel.area, other.area) for other in panels[:number])
    for own, panel in zip(placed["boxes"], placed["panels"], strict=True):
        if panel is not None and panel.detail != "number":
            assert not any(meet(panel.area, box) for box in placed["boxes"] if box is not own)
            assert name == "whole" or not meet(panel.area, own) or panel.height <= (own[3] - own[1]) / 2
    numbers = [panel for panel in panels if panel.detail == "number"]
    assert (drawn.width > size[0]) == bool(numbers)
    if not listed:
        assert drawn.size == size  # a film's frames are all of one size
    elif name != "one upon another":
        assert len(panels) == len(expressions)
    if name in ("one", "two close", "whole"):
        assert [panel.detail for panel in panels] == ["full"] * len(expressions)


def test_one_face_has_its_panel_above_or_where_there_is_room():
    wanted = [{"full": (100, 50)}]
    (above,) = place([(200, 100, 300, 200)], wanted, (640, 480))
    assert above.area == (200, 50, 300, 100)
    (below,) = place([(200, 10, 300, 110)], wanted, (640, 480))
    assert below.area == (200, 110, 300, 160)
    (beside,) = place([(200, 10, 300, 470)], wanted, (640, 480))
    assert beside.area == (300, 10, 400, 60)
    (inside,) = place([(0, 0, 639, 479)], wanted, (640, 480))
    assert inside.area == (0, 429, 100, 479)
    (anyhow,) = place([(0, 0, 39, 29)], wanted, (40, 30))
    assert anyhow.detail == "full"


def test_a_list_beside_the_picture_explains_the_numbers():
    size, expressions = CROWDS["packed"]
    drawn = annotated(Image.new("RGB", size, "gray"), expressions, NAMES)
    beside = np.asarray(drawn)[:, size[0] :]
    assert beside.max() == 255  # letters
    colors = {tuple(color) for color in beside.reshape(-1, 3).tolist()}
    for _, color in zip(NAMES, drawing.COLORS, strict=False):
        assert tuple(int(color[place : place + 2], 16) for place in (1, 3, 5)) in colors
    assert ImageDraw.Draw(drawn) is not None
    assert annotated(Image.new("RGB", size, "gray"), [], NAMES).size == size
