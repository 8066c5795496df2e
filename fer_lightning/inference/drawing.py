"""Faces framed and named in an image."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from fer_lightning.inference.expression import Expression
from fer_lightning.names import printable

COLORS = ("#d9483b", "#8c6bb1", "#5b8c3e", "#e08e2b", "#f2c230", "#8a9299", "#3f78b5", "#2fa4a0")
"""Colors of the classes, in their order; told apart by color-blind people as far as eight can be."""


def annotated(image: Image.Image, expressions: Sequence[Expression], class_names: Sequence[str]) -> Image.Image:
    """The image with a box round each face and its most probable classes as bars."""
    canvas = image.convert("RGB")
    if max(canvas.size) < 360:  # letters need room
        canvas = ImageOps.scale(canvas, -(-360 // max(canvas.size)))
    times = canvas.width / image.width
    colors = dict(zip(class_names, cycle(COLORS), strict=False))
    draw = ImageDraw.Draw(canvas, "RGBA")
    for said in expressions:
        box = [0.0, 0.0, canvas.width - 1.0, canvas.height - 1.0]
        if (face := said.face) is not None:
            box = [v * times for v in (face.left, face.top, face.left + face.width, face.top + face.height)]
        _draw_answer(draw, said, box, colors)
    return canvas


def _draw_answer(draw: ImageDraw.ImageDraw, said: Expression, box: list[float], colors: Mapping[str, str]) -> None:
    """A box with a tag above, or below where there is no room, with bars of the three largest probabilities."""
    across, down = draw.im.size
    size = min(max(down // 36, 11), 40)
    color = colors.get(said.label, "#555555")
    draw.rectangle(box, outline=color, width=max(2, size // 6))
    font, small = ImageFont.load_default(size), ImageFont.load_default(max(10, round(size * 0.72)))
    text = f"{on_one_line(said.label)} {said.confidence:.0%}"
    top = [(on_one_line(name), value, colors[name]) for name, value in said.probabilities.items()]
    top = sorted(top, key=lambda one: -one[1])[:3]
    pad, line = size // 3, round(small.size * 1.35)  # type: ignore[union-attr]
    names = max(draw.textlength(name, small) for name, *_ in top)
    width = max(draw.textlength(text, font) + 2 * pad, names + 4 * size + 3 * pad, min(box[2] - box[0], 9 * size))
    height = size * 1.4 + line * len(top) + pad
    left = min(max(box[0], 0), max(across - width, 0))
    start = box[1] - height if box[1] >= height else min(box[3], down - height)
    draw.rectangle([left, start, left + width, start + height], fill=(20, 20, 24, 190))
    draw.rectangle([left, start, left + width, start + size * 1.4], fill=color)
    bright = np.dot(ImageColor.getrgb(color), (0.3, 0.59, 0.11)) > 150
    draw.text((left + pad, start + size * 0.08), text, fill="black" if bright else "white", font=font)
    first, end = left + 2 * pad + names, left + width - pad
    for place, (name, value, bar) in enumerate(top):
        row = start + size * 1.55 + place * line
        draw.text((left + pad, row), name, fill="white", font=small)
        draw.rectangle([first, row + line * 0.25, end, row + line * 0.75], fill=(255, 255, 255, 50))
        filled = first + max((end - first) * value, 1)
        draw.rectangle([first, row + line * 0.25, filled, row + line * 0.75], fill=bar)


def on_one_line(name: str) -> str:
    """A name for a picture, where a line break or a control character has no place."""
    return " ".join(printable(name).split())
