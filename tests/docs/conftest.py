"""Folders in which a page's commands work."""

from __future__ import annotations

from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from tests.conftest import PROJECT
from tests.inference.conftest import write_video


@pytest.fixture(scope="module")
def place(drawn, tmp_path_factory) -> Path:
    """A folder with DATA, PHOTOS, FILM.mp4, photo.jpg, configs/ and what other programs said, as pages assume."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "DATA").symlink_to(drawn)
    images = sorted((drawn / "images").iterdir())
    (folder / "configs").symlink_to(PROJECT / "configs")
    (folder / "PHOTOS").mkdir()
    picture = Image.fromarray(skimage.data.astronaut())
    picture.save(folder / "PHOTOS" / "photo.png")
    picture.save(folder / "photo.jpg")
    write_video(folder / "FILM.mp4", [picture.resize((160, 160))] * 5)
    words = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
    rows = [f"/faces/{path.name},{','.join('0.94' if n == 0 else '0.01' for n in range(7))}" for path in images]
    (folder / "faceapi.csv").write_text("\n".join([",".join(["image", *words]), *rows]))
    answer = {"emotion": {"happy": 60.0, "sad": 40.0}, "dominant_emotion": "happy"}
    (folder / "my_model.py").write_text(f"def predict(paths):\n    return [{answer}] * len(paths)\n")
    return folder
