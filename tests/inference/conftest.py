"""A real photograph, a model, and a video made from synthetic faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

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
