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
    """A folder with DATA, PHOTOS, FILM.mp4, photo.jpg and configs/, as pages assume."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "DATA").symlink_to(drawn)
    (folder / "configs").symlink_to(PROJECT / "configs")
    (folder / "PHOTOS").mkdir()
    picture = Image.fromarray(skimage.data.astronaut())
    picture.save(folder / "PHOTOS" / "photo.png")
    picture.save(folder / "photo.jpg")
    write_video(folder / "FILM.mp4", [picture.resize((160, 160))] * 5)
    return folder
