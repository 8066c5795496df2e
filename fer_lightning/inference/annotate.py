"""Images for people: faces framed and named, and expressions over time."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from fer_lightning.errors import FERError
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.recognizer import Expression
from fer_lightning.inference.sources import VIDEO_SUFFIXES

COLORS = ("#d9483b", "#8c6bb1", "#5b8c3e", "#e08e2b", "#f2c230", "#8a9299", "#3f78b5", "#2fa4a0")
"""Colors of the classes, in their order; told apart by color-blind people as far as eight can be."""


def annotated(image: np.ndarray, expressions: Sequence[Expression], class_names: Sequence[str]) -> Image.Image:
    """The image, uint8 `(height, width, 3)`, RGB, with a box round each face and its most probable classes as bars."""
    canvas = Image.fromarray(image)
    if max(canvas.size) < 360:  # letters need room
        canvas = ImageOps.scale(canvas, -(-360 // max(canvas.size)))
    times = canvas.width / image.shape[1]
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
    text = f"{said.label} {said.confidence:.0%}"
    top = sorted(said.probabilities.items(), key=lambda pair: -pair[1])[:3]
    pad, line = size // 3, round(small.size * 1.35)  # type: ignore[union-attr]
    names = max(draw.textlength(name, small) for name, _ in top)
    width = max(draw.textlength(text, font) + 2 * pad, names + 4 * size + 3 * pad, min(box[2] - box[0], 9 * size))
    height = size * 1.4 + line * len(top) + pad
    left = min(max(box[0], 0), max(across - width, 0))
    start = box[1] - height if box[1] >= height else min(box[3], down - height)
    draw.rectangle([left, start, left + width, start + height], fill=(20, 20, 24, 190))
    draw.rectangle([left, start, left + width, start + size * 1.4], fill=color)
    bright = np.dot(ImageColor.getrgb(color), (0.3, 0.59, 0.11)) > 150
    draw.text((left + pad, start + size * 0.08), text, fill="black" if bright else "white", font=font)
    first, end = left + 2 * pad + names, left + width - pad
    for place, (name, value) in enumerate(top):
        row = start + size * 1.55 + place * line
        draw.text((left + pad, row), name, fill="white", font=small)
        draw.rectangle([first, row + line * 0.25, end, row + line * 0.75], fill=(255, 255, 255, 50))
        filled = first + max((end - first) * value, 1)
        draw.rectangle([first, row + line * 0.25, filled, row + line * 0.75], fill=colors[name])


class Annotations:
    """Writes annotated images: into a folder, or, for one video or camera, as an .mp4 of `fps` frames a second."""

    def __init__(self, output: str, class_names: Sequence[str], fps: float) -> None:
        self.path, self.class_names, self.fps = Path(output).expanduser(), tuple(class_names), fps
        self.is_video = self.path.suffix.lower() == ".mp4"
        if not self.is_video and self.path.suffix.lower() in VIDEO_SUFFIXES:
            raise FERError(f"Invalid value for --annotate. Expected a folder or an .mp4 file. Received: {output}.")
        self._writer: Any = None
        self.written = 0

    def add(self, frame: Frame, expressions: Sequence[Expression]) -> None:
        """Write one image; one that could not be read is left out."""
        if frame.image is None:
            return
        drawn = annotated(frame.image, expressions, self.class_names)
        self.written += 1
        if self.is_video:
            return self._write_frame(drawn)
        name = frame.source.file_name + ("" if frame.frame is None else f"/{frame.frame:06d}")
        target = self.path / (name if name.endswith(".jpg") else f"{name}.jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        drawn.save(target, quality=92)

    def _write_frame(self, drawn: Image.Image) -> None:
        import cv2

        if self._writer is None:
            self._size = (drawn.width // 2 * 2, drawn.height // 2 * 2)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*"mp4v"), self.fps, self._size)
            if not self._writer.isOpened():
                raise FERError(f"Cannot write the video '{self.path}' here. Choose a folder for --annotate instead.")
        self._writer.write(np.asarray(drawn.resize(self._size))[:, :, ::-1].copy())

    def close(self) -> str:
        """End a video properly; what was written."""
        if self._writer is not None:
            self._writer.release()
        return f"{self.written:,} annotated images in {self.path}"


class Timeline:
    """How probable each expression is over the time of a video, in one plot (PNG, SVG or PDF)."""

    def __init__(self, output: str, class_names: Sequence[str]) -> None:
        self.path, self.class_names = Path(output).expanduser(), tuple(class_names)
        if self.path.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise FERError(f"Invalid value for --timeline. Expected a .png, .svg or .pdf file. Received: {output}.")
        self._cells = np.zeros((2_000, len(self.class_names) + 1))  # sums of probabilities, and of frames
        self._step = 0.25  # seconds of a cell

    def add(self, frame: Frame, expressions: Sequence[Expression]) -> None:
        """Take in one frame; its faces divide its weight."""
        if frame.seconds is None or frame.error:
            return
        while frame.seconds >= self._step * len(self._cells):  # flat memory however long the video: cells twice as wide
            halves = self._cells.reshape(len(self._cells) // 2, 2, -1).sum(1)
            self._cells, self._step = np.concatenate([halves, np.zeros_like(halves)]), self._step * 2
        cell = self._cells[int(frame.seconds / self._step)]
        for said in expressions:
            cell[:-1] += np.array(list(said.probabilities.values())) / len(expressions)
        cell[-1] += 1

    def close(self) -> str:
        """Draw it; what was written."""
        filled = np.flatnonzero(self._cells[:, -1])
        if not len(filled):
            return "No timeline, as no video was read"
        import matplotlib.pyplot as plt

        cells = self._cells[: filled[-1] + 1]
        means = cells[:, :-1] / np.maximum(cells[:, -1:], 1)
        edges = np.arange(len(means) + 1) * self._step
        order = np.argsort(-means.sum(0), kind="stable")
        figure, axes = plt.subplots(figsize=(10, 3.6), layout="constrained")
        axes.stackplot(
            edges,
            np.vstack([means, means[-1:]])[:, order].T,
            step="post",
            colors=[COLORS[place % len(COLORS)] for place in order],
            labels=[self.class_names[place] for place in order],
            linewidth=0,
        )
        axes.set(xlim=(0, edges[-1]), ylim=(0, 1), xlabel="seconds", ylabel="mean probability")
        axes.set_title("Expressions over time (white: no face)", loc="left", fontsize=11)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, reverse=True)
        axes.spines[["top", "right"]].set_visible(False)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(self.path, dpi=130)
        plt.close(figure)
        return f"Timeline in {self.path}"
