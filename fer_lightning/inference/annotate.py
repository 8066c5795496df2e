"""Images for people: faces framed and named."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from fer_lightning.data.image_files import IMAGE_SUFFIXES, UnreadableImageError, read_image
from fer_lightning.errors import FERError
from fer_lightning.inference.film_writer import FilmWriter
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.pictures import Pictures
from fer_lightning.inference.recognizer import Expression
from fer_lightning.inference.sources import VIDEO_SUFFIXES
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


class Annotations:
    """Writes annotated images: into a folder, or, for one video or camera, as an .mp4.

    A film has as many frames as it needs for each to be shown as long as it was: its clock is that of the video.

    Args:
        output: The folder, or the file.
        class_names: Names of the classes.
        fps: Frames a second of a film.
        overwrite: Whether images in the folder that are not ours may be replaced.
    """

    def __init__(self, output: str, class_names: Sequence[str], fps: float, overwrite: bool = False) -> None:
        self.path, self.class_names = Path(output).expanduser(), tuple(class_names)
        self.is_video = self.path.suffix.lower() == ".mp4"
        if not self.is_video and self.path.suffix.lower() in VIDEO_SUFFIXES:
            raise FERError(f"Invalid value for --annotate. Expected a folder or an .mp4 file. Received: {output}.")
        self.written = 0
        self._film = FilmWriter(self.path, fps) if self.is_video else None
        self._pictures = Pictures(self.path, overwrite)

    def add(self, frame: Frame, expressions: Sequence[Expression]) -> None:
        """Write one image; one that could not be read is left out."""
        if frame.error:
            return
        try:  # image files are read again: that is cheaper than to carry them along
            image = Image.fromarray(frame.image) if frame.image is not None else read_image(frame.source.name)
        except UnreadableImageError:
            return
        drawn = annotated(image, expressions, self.class_names)
        self.written += 1
        if self._film is not None:
            self._film.add(drawn, frame.seconds or 0.0)
            return
        self._pictures.save(drawn, frame.source, lambda name: _picture_name(name, frame.frame), quality=92)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._film is not None:
            self._film.end(whole=False)  # unless it was closed

    def close(self) -> str:
        """End a film; what was written."""
        if self._film is not None:
            self._film.end(whole=True)
        return f"{self.written:,} annotated images in {printable(str(self.path))}"


def _picture_name(name: str, frame: int | None) -> str:
    if frame is not None:
        return f"{name}/{frame:06d}.jpg"
    if name.lower().endswith(".jpg") and Path(name[:-4]).suffix.lower() not in IMAGE_SUFFIXES:
        return name
    return f"{name}.jpg"  # also to a.png.jpg, as a.png has that name


def on_one_line(name: str) -> str:
    """A name for a picture, where a line break or a control character has no place."""
    return " ".join(printable(name).split())
