"""Faces framed and named in an image."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from fer_lightning.inference.expression import Expression
from fer_lightning.inference.panels import Area, Detail, Panel, place
from fer_lightning.names import printable

COLORS = ("#d9483b", "#8c6bb1", "#5b8c3e", "#e08e2b", "#f2c230", "#8a9299", "#3f78b5", "#2fa4a0")
"""Colors of the classes, in their order; told apart by color-blind people as far as eight can be."""


def annotated(
    image: Image.Image, expressions: Sequence[Expression], class_names: Sequence[str], listed: bool = True
) -> Image.Image:
    """The image with a box round each face and its most probable classes as bars.

    Panels do not cover one another, or other faces: where there is no room, they say less, and in the end have a number
    that a list beside the image explains.

    Args:
        image: What was looked at; a small one is enlarged.
        expressions: What was seen in it.
        class_names: All classes, for their colors.
        listed: Whether the picture may become wider, for that list; a film's must not.
    """
    canvas = image.convert("RGB")
    if max(canvas.size) < 360:  # letters need room
        canvas = ImageOps.scale(canvas, -(-360 // max(canvas.size)))
    times = canvas.width / image.width
    boxes = [_box_of(said, canvas.size, times) for said in expressions]
    letters = min(max(canvas.height // 36, 11), 40)
    if len(boxes) > 4:  # in a crowd, letters are for its faces
        letters = min(letters, max(round(float(np.median([box[3] - box[1] for box in boxes])) / 4), 11))
    pen = _Pen(ImageDraw.Draw(canvas, "RGBA"), letters, dict(zip(class_names, cycle(COLORS), strict=False)))
    sizes = [pen.sizes(said, box, number) for number, (said, box) in enumerate(zip(expressions, boxes, strict=True), 1)]
    if not listed:
        for one in sizes:
            one.pop("number")
    lines = []
    for number, (said, box, panel) in enumerate(
        zip(expressions, boxes, place(boxes, sizes, canvas.size), strict=True), 1
    ):
        pen.frame(said, box)
        if panel is not None:
            pen.panel(said, panel, number)
            lines += [(f"{number}  {_answer(said)}", pen.color(said))] if panel.detail == "number" else []
    return _with_list(canvas, lines, pen.font) if lines else canvas


def _box_of(said: Expression, size: tuple[int, int], times: float) -> Area:
    if (face := said.face) is None:
        return 0.0, 0.0, size[0] - 1.0, size[1] - 1.0
    right, bottom = face.left + face.width, face.top + face.height
    return face.left * times, face.top * times, right * times, bottom * times


class _Pen:
    """Draws what is said about faces, in letters of one size."""

    def __init__(self, draw: ImageDraw.ImageDraw, size: int, colors: Mapping[str, str]) -> None:
        self.draw, self.size, self.colors = draw, size, colors
        self.font = ImageFont.load_default(size)
        self.small = ImageFont.load_default(max(10, round(size * 0.72)))
        self.pad, self.line = size // 3, round(self.small.size * 1.35)  # type: ignore[union-attr]

    def color(self, said: Expression) -> str:
        return self.colors.get(said.label, "#555555")

    def frame(self, said: Expression, box: Area) -> None:
        self.draw.rectangle(box, outline=self.color(said), width=max(2, self.size // 6))

    def sizes(self, said: Expression, box: Area, number: int) -> dict[Detail, tuple[float, float]]:
        """Width and height of the panels that may be drawn, the largest first."""
        width = self.draw.textlength(_answer(said), self.font) + 2 * self.pad
        names = max(self.draw.textlength(name, self.small) for name, *_ in _top(said))
        full = max(width, names + 4 * self.size + 3 * self.pad, min(box[2] - box[0], 9 * self.size))
        height = self.size * 1.4 + self.line * len(_top(said)) + self.pad
        digits = self.draw.textlength(str(number), self.small) + self.pad
        return {"full": (full, height), "tag": (width, self.size * 1.4), "number": (digits, float(self.line))}

    def panel(self, said: Expression, panel: Panel, number: int) -> None:
        """A tag with the answer, below it bars of the three largest probabilities; or the number alone."""
        color = self.color(said)
        ink = "black" if np.dot(ImageColor.getrgb(color)[:3], (0.3, 0.59, 0.11)) > 150 else "white"
        left, start, right, _ = panel.area
        if panel.detail == "number":
            self.draw.rectangle(panel.area, fill=color)
            self.draw.text((left + self.pad / 2, start), str(number), fill=ink, font=self.small)
            return
        if panel.detail == "full":
            self.draw.rectangle(panel.area, fill=(20, 20, 24, 190))
            names = max(self.draw.textlength(name, self.small) for name, *_ in _top(said))
            first, end = left + 2 * self.pad + names, right - self.pad
            for row_number, (name, value, key) in enumerate(_top(said)):
                row = start + self.size * 1.55 + row_number * self.line
                self.draw.text((left + self.pad, row), name, fill="white", font=self.small)
                top, bottom = row + self.line * 0.25, row + self.line * 0.75
                self.draw.rectangle([first, top, end, bottom], fill=(255, 255, 255, 50))
                self.draw.rectangle([first, top, first + max((end - first) * value, 1), bottom], fill=self.colors[key])
        self.draw.rectangle([left, start, right, start + self.size * 1.4], fill=color)
        self.draw.text((left + self.pad, start + self.size * 0.08), _answer(said), fill=ink, font=self.font)


def _answer(said: Expression) -> str:
    return f"{on_one_line(said.label)} {said.confidence:.0%}"


def _top(said: Expression) -> list[tuple[str, float, str]]:
    """Three classes, as they are written, with their probabilities and their names."""
    found = [(on_one_line(name), value, name) for name, value in said.probabilities.items()]
    return sorted(found, key=lambda one: -one[1])[:3]


def _with_list(canvas: Image.Image, lines: Sequence[tuple[str, str]], font: Any) -> Image.Image:
    """The picture with a list at its right, in as many columns as it needs."""
    draw = ImageDraw.Draw(canvas)
    height = round(font.size * 1.5)
    width = round(max(draw.textlength(text, font) for text, _ in lines) + 2 * font.size)
    rows = max(canvas.height // height, 1)
    wide = Image.new("RGB", (canvas.width + -(-len(lines) // rows) * width, canvas.height), "#141418")
    wide.paste(canvas, (0, 0))
    draw = ImageDraw.Draw(wide)
    for number, (text, color) in enumerate(lines):
        left, top = canvas.width + number // rows * width, number % rows * height
        draw.rectangle(
            [left + font.size * 0.3, top + height * 0.2, left + font.size * 0.7, top + height * 0.8], fill=color
        )
        draw.text((left + font.size, top), text, fill="white", font=font)
    return wide


def on_one_line(name: str) -> str:
    """A name for a picture, where a line break or a control character has no place."""
    return " ".join(printable(name).split())
