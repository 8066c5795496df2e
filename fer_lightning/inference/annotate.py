"""Images for people: faces framed and named, and expressions over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_lightning.errors import FERError
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.recognizer import Expression
from fer_lightning.inference.rows import name_of
from fer_lightning.inference.sources import VIDEO_SUFFIXES

COLORS = ("#d9483b", "#8c6bb1", "#5b8c3e", "#e08e2b", "#f2c230", "#8a9299", "#3f78b5", "#2fa4a0")
"""Colors of the classes, in their order; told apart by color-blind people as far as eight can be."""

OTHER = "#555555"


def annotated(image: np.ndarray, expressions: Sequence[Expression], class_names: Sequence[str]) -> Image.Image:
    """The image with a box round each face, its label and confidence, and the three most probable classes as bars.

    Args:
        image: uint8 `(height, width, 3)`, RGB.
        expressions: The answers for the faces in it.
        class_names: Names of the classes, which settle the colors.
    """
    canvas = Image.fromarray(image)
    if max(canvas.size) < 360:  # letters need room
        times = -(-360 // max(canvas.size))
        canvas = canvas.resize((canvas.width * times, canvas.height * times), Image.Resampling.BICUBIC)
    times = canvas.width / image.shape[1]
    draw = ImageDraw.Draw(canvas, "RGBA")
    for said in expressions:
        color = COLORS[class_names.index(said.label) % len(COLORS)] if said.label in class_names else OTHER
        size = min(max(canvas.height // 36, 11), 40)
        box = [0.0, 0.0, canvas.width - 1.0, canvas.height - 1.0]
        if said.face is not None:
            face = said.face
            box = [v * times for v in (face.left, face.top, face.left + face.width, face.top + face.height)]
        draw.rectangle(box, outline=color, width=max(2, size // 6))
        _label(draw, said, class_names, box, color, size, canvas.size)
    return canvas


def _label(
    draw: ImageDraw.ImageDraw,
    said: Expression,
    class_names: Sequence[str],
    box: list[float],
    color: str,
    size: int,
    canvas: tuple[int, int],
) -> None:
    """A tag above the box, or below where there is no room, with bars of the three largest probabilities."""
    font, small = ImageFont.load_default(size), ImageFont.load_default(max(10, round(size * 0.72)))
    text = f"{said.label} {said.confidence:.0%}"
    top = sorted(said.probabilities.items(), key=lambda pair: -pair[1])[:3]
    pad, line = size // 3, round(small.size * 1.35)  # type: ignore[union-attr]
    names = max(draw.textlength(name, small) for name, _ in top)
    width = max(draw.textlength(text, font) + 2 * pad, names + 4 * size + 3 * pad, min(box[2] - box[0], 9 * size))
    height = size * 1.4 + line * len(top) + pad
    left = min(max(box[0], 0), max(canvas[0] - width, 0))
    above = box[1] - height
    under = box[3] if box[3] + height <= canvas[1] else canvas[1] - height
    start = above if above >= 0 else under
    draw.rectangle([left, start, left + width, start + height], fill=(20, 20, 24, 190))
    draw.rectangle([left, start, left + width, start + size * 1.4], fill=color)
    dark = sum(int(color[at : at + 2], 16) * weight for at, weight in ((1, 0.3), (3, 0.59), (5, 0.11))) > 150
    draw.text((left + pad, start + size * 0.08), text, fill="black" if dark else "white", font=font)
    for place, (name, value) in enumerate(top):
        row = start + size * 1.55 + place * line
        draw.text((left + pad, row), name, fill="white", font=small)
        first = left + 2 * pad + names
        room = left + width - pad - first
        bar = COLORS[class_names.index(name) % len(COLORS)]
        draw.rectangle([first, row + line * 0.25, first + room, row + line * 0.75], fill=(255, 255, 255, 50))
        draw.rectangle([first, row + line * 0.25, first + max(room * value, 1), row + line * 0.75], fill=bar)


class Annotations:
    """Writes annotated images: into a folder, or, for one video or camera, as a video.

    Args:
        output: A folder, or a file ending in .mp4.
        class_names: Names of the classes.
        fps: Frames a second of a written video.

    Raises:
        FERError: If the ending is another video's, which is not written.
    """

    def __init__(self, output: str, class_names: Sequence[str], fps: float = 25.0) -> None:
        self.path, self.class_names, self.fps = Path(output).expanduser(), tuple(class_names), fps
        suffix = self.path.suffix.lower()
        self.is_video = suffix == ".mp4"
        if suffix in VIDEO_SUFFIXES - {".mp4"}:
            raise FERError(
                f"Invalid value for --annotate. Expected a folder or a file ending in .mp4. Received: {output}."
            )
        self._writer: Any = None
        self._size = (0, 0)
        self.written = 0

    def add(self, frame: Frame, expressions: Sequence[Expression]) -> None:
        """Write one image; one that could not be read is left out."""
        if frame.image is None:
            return
        drawn = annotated(frame.image, expressions, self.class_names)
        self.written += 1
        if self.is_video:
            self._write_frame(drawn)
            return
        name = name_of(frame.source.name)
        if frame.frame is not None:
            name = f"{name}/{frame.frame:06d}"
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
        if drawn.size != self._size:
            drawn = drawn.resize(self._size)
        self._writer.write(np.asarray(drawn)[:, :, ::-1].copy())

    def close(self) -> str:
        """End a video properly; what was written."""
        if self._writer is not None:
            self._writer.release()
        return f"{self.written:,} annotated images in {self.path}"


class Timeline:
    """How probable each expression is over the time of a video, in one plot.

    Args:
        output: The PNG or SVG file to write.
        class_names: Names of the classes.
    """

    def __init__(self, output: str, class_names: Sequence[str]) -> None:
        self.path, self.class_names = Path(output).expanduser(), tuple(class_names)
        if self.path.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise FERError(f"Invalid value for --timeline. Expected a .png, .svg or .pdf file. Received: {output}.")
        self._sums: dict[int, np.ndarray] = defaultdict(lambda: np.zeros(len(self.class_names) + 1))
        self._step = 0.25

    def add(self, frame: Frame, expressions: Sequence[Expression]) -> None:
        """Take in one frame; its faces divide its weight."""
        if frame.seconds is None or frame.error:
            return
        cell = self._sums[int(frame.seconds / self._step)]
        for said in expressions:
            cell[:-1] += np.array(list(said.probabilities.values())) / len(expressions)
        cell[-1] += 1
        if len(self._sums) > 2_000:  # flat memory however long the video: half as many cells, twice as wide
            self._step *= 2
            halved: dict[int, np.ndarray] = defaultdict(lambda: np.zeros(len(self.class_names) + 1))
            for place, values in self._sums.items():
                halved[place // 2] += values
            self._sums = halved

    def close(self) -> str:
        """Draw it; what was written."""
        if not self._sums:
            return "No timeline, as no video was read"
        import matplotlib.pyplot as plt

        last = max(self._sums)
        means = np.array([self._sums[place][:-1] / max(self._sums[place][-1], 1) for place in range(last + 1)])
        times = np.arange(last + 1) * self._step
        figure, axes = plt.subplots(figsize=(10, 3.6), layout="constrained")
        order = np.argsort(-means.sum(0), kind="stable")
        axes.stackplot(
            np.append(times, times[-1] + self._step),
            np.vstack([means, means[-1:]])[:, order].T,
            step="post",
            colors=[COLORS[place % len(COLORS)] for place in order],
            labels=[self.class_names[place] for place in order],
            linewidth=0,
        )
        axes.set(xlim=(0, times[-1] + self._step), ylim=(0, 1), xlabel="seconds", ylabel="mean probability")
        axes.set_title("Expressions over time (white: no face)", loc="left", fontsize=11)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, reverse=True)
        axes.spines[["top", "right"]].set_visible(False)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(self.path, dpi=130)
        plt.close(figure)
        return f"Timeline in {self.path}"
