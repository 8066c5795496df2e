from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fer_lightning.errors import FERError
from fer_lightning.inference.annotate import Annotations
from fer_lightning.inference.expression import Expression
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.sources import Source
from fer_lightning.inference.timeline import Timeline

FILM = Source("film.mp4", "video")


def test_a_timeline_of_a_long_video_takes_no_more_memory(tmp_path):
    """Cells become wider; what is in them stays."""
    timeline = Timeline(str(tmp_path / "time.png"), ("calm", "jolly"))
    size = timeline._cells.nbytes
    for second in range(4_000):
        jolly = 0.75 if second < 2_000 else 0.25
        timeline.add(
            Frame(FILM, second, float(second)), [Expression("jolly", jolly, {"calm": 1 - jolly, "jolly": jolly}, None)]
        )
    timeline.add(Frame(FILM, 4_000, 4_000.0, error="broken"), [])
    assert timeline._cells.nbytes == size
    assert timeline._cells.sum(0).tolist() == pytest.approx([2_000, 2_000, 4_000])
    half = round(2_000 / timeline._step)
    assert timeline._cells[:half].sum(0).tolist() == pytest.approx([500, 1_500, 2_000])
    assert timeline.close() == f"Timeline in {tmp_path / 'time.png'}"
    assert Image.open(tmp_path / "time.png").width > 1000
    assert Timeline("a.svg", ("calm",)).close() == "No timeline, as no video was read"


def test_an_ending_that_cannot_be_written_is_refused():
    with pytest.raises(FERError, match=r"--annotate. Expected a folder or an .mp4 file. Received: film.avi"):
        Annotations("film.avi", ("calm",), 25.0)


def test_every_image_has_an_annotated_one_of_its_own(tmp_path):
    images = Annotations(str(tmp_path), ("calm",), 25.0)
    names = [
        "a/x.jpg",
        "../a/x.jpg",
        "/a/x.jpg",
        "a__x.jpg",
        "a.png",
        "a.png.jpg",
        "a.png.jpg.jpg",
        "a.odd",
        "a.odd.jpg",
    ]
    names += ["ä" * 120 + ".jpg", "ä" * 119 + "b.jpg", "d/" * 100 + "a.jpg", "./b.jpg", "two\nlines.jpg", "a.JPG"]
    for name in names:
        images.add(Frame(Source(name, "image"), image=np.zeros((9, 9, 3), np.uint8)), [])
    written = {path.name for path in tmp_path.iterdir()}
    assert {"a__x.jpg", "a.png.jpg", "a.png.jpg.jpg", "b.jpg", "a.odd.jpg"} < written
    assert len(written) == len(names)
    assert images.close() == f"{len(names)} annotated images in {tmp_path}"
