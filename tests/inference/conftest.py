"""A real photograph, a model, and a video made from synthetic faces."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from fer_lightning.inference.columns import rows_about
from fer_lightning.inference.expression import Expression
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.model import open_model
from fer_lightning.model.expression_model import ExpressionModel


@pytest.fixture(scope="session")
def photograph() -> Image.Image:
    """Eileen Collins (NASA, public domain), 512 x 512, one face."""
    return Image.fromarray(skimage.data.astronaut())


@pytest.fixture(scope="session")
def pretrained() -> ExpressionModel:
    """The model that comes with the package."""
    return open_model("pretrained", device="cpu")


def rows_of(frame: Frame, expressions: Sequence[Expression], class_names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows about a frame."""
    told = (frame.error, frame.frame, frame.seconds)
    return rows_about(frame.source.name, expressions, frame.numbers, class_names, *told)


def write_video(path: Path, frames: list[Image.Image], rate: float = 10) -> Path:
    """Write frames of one size as a video."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, frames[0].size)
    for frame in frames:
        writer.write(np.asarray(frame.convert("RGB"))[:, :, ::-1].copy())
    writer.release()
    return path


@pytest.fixture(scope="session")
def video(drawn, tmp_path_factory) -> Path:
    """30 frames, 10 a second: one face that moves right, a second one from frame 10 on, none from frame 25 on."""
    one, two = (Image.open(path).convert("RGB").resize((120, 120)) for path in sorted((drawn / "images").iterdir())[:2])
    frames = []
    for number in range(30):
        frame = Image.new("RGB", (480, 240), "gray")
        if number < 25:
            frame.paste(one, (10 + 3 * number, 40))
        if 10 <= number < 25:
            frame.paste(two.resize((100, 100)), (340, 100 - number))
        frames.append(frame)
    return write_video(tmp_path_factory.mktemp("video") / "two.mp4", frames)


def write_webm(path: Path, frames: list[Image.Image], milliseconds: Sequence[int]) -> Path:
    """Write a film as browsers do: VP8, "1,000 frames a second", every frame at a time of its own, below 32 s."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), 1000, frames[0].size)
    for frame in frames:
        writer.write(np.asarray(frame.convert("RGB"))[:, :, ::-1].copy())
    writer.release()
    content = bytearray(path.read_bytes())
    times = iter(milliseconds)
    for identity, start, size in elements(content, 0, len(content)):
        if identity == 0xA3:  # SimpleBlock: a byte for the track, the time in two
            struct.pack_into(">h", content, start + 1, next(times))
        elif identity == 0xE7:  # of a cluster, which the others count from
            content[start : start + size] = bytes(size)
        elif identity == 0x4489:  # Duration
            struct.pack_into(">d", content, start, float(milliseconds[-1] + milliseconds[-1] / len(milliseconds)))
    assert next(times, None) is None
    path.write_bytes(content)
    return path


def elements(content: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Identity, start and size of the elements of a Matroska file, with those in Segment, Info and Cluster."""
    while start < end:
        width = 9 - content[start].bit_length()
        identity = int.from_bytes(content[start : start + width], "big")
        start += width
        width = 9 - content[start].bit_length()
        size = int.from_bytes(content[start : start + width], "big") & ((1 << 7 * width) - 1)
        start += width
        size = min(size, end - start)
        yield identity, start, size
        if identity in (0x18538067, 0x1549A966, 0x1F43B675):
            yield from elements(content, start, start + size)
        start += size
