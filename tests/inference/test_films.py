"""Films whose frames are chosen, drawn and followed by the time at which they are shown."""

from __future__ import annotations

import csv
import os
import sys

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.inference import outputs
from fer_lightning.inference.annotate import Annotations
from fer_lightning.inference.expression import Expression
from fer_lightning.inference.films import Film, film_rate
from fer_lightning.inference.frames import Frame, Look, look
from fer_lightning.inference.sources import Source
from fer_lightning.inference.timeline import Timeline
from tests.conftest import run_here
from tests.inference.conftest import write_video, write_webm

UNEVEN = [0, 33, 67, 100, 133, 1000, 1033, 1067, 2500, 2533, 2900, 3600]
"""Milliseconds: a film of a screen, which has a frame where something moves."""


def numbered(count):
    frames = [Image.new("RGB", (96, 96), (20 * number % 256, 128, 60)) for number in range(count)]
    for number, frame in enumerate(frames):
        ImageDraw.Draw(frame).text((10, 40), str(number), fill="white")
    return frames


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """Four seconds, 30 frames each, with a clock of milliseconds."""
    times = [round(number * 1000 / 30) for number in range(120)]
    return Source(str(write_webm(tmp_path_factory.mktemp("film") / "steady.webm", numbered(120), times)), "video")


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    return Source(str(write_webm(tmp_path_factory.mktemp("film") / "uneven.webm", numbered(12), UNEVEN)), "video")


def test_a_film_that_says_it_has_a_thousand_frames_a_second_is_read_by_its_times(steady):
    assert cv2.VideoCapture(steady.name).get(cv2.CAP_PROP_FPS) in (1000, 30)  # OpenCV 4.10 and earlier make it up
    assert [number for number, _ in Film(steady, fps=5)] == list(range(0, 120, 6))
    assert [number for number, _ in Film(steady, fps=10)] == list(range(0, 120, 3))
    assert len(list(Film(steady, fps=30))) == len(list(Film(steady, fps=100))) == 120
    film = Film(steady)
    assert len(list(film)) == 120
    assert film.complaint() == ""
    assert film_rate(steady) == pytest.approx(30, rel=0.02)
    assert film_rate(steady, fps=5) == 5
    assert film_rate(steady, frame_stride=3) == pytest.approx(10, rel=0.02)
    assert Film(steady, fps=5).expected() == pytest.approx(20, abs=1)


@pytest.mark.parametrize("workers", [0, 2])
def test_frames_of_an_uneven_film_are_chosen_by_time(uneven, workers):
    spec = InputSpec(8, "gray")
    frames = list(look([uneven], Look(spec, fps=2), workers))
    assert [frame.error for frame in frames] == [""] * len(frames)
    assert [frame.frame for frame in frames] == [0, 5, 8, 11]  # halves of seconds: 0, 1, 2.5, 3.5
    assert [round(1000 * frame.seconds) for frame in frames] == [0, 1000, 2500, 3600]
    assert [frame.frame for frame in look([uneven], Look(spec), workers)] == list(range(12))


def test_the_clock_of_an_annotated_film_is_that_of_the_film(uneven, tmp_path):
    rate = film_rate(uneven)
    assert 25 <= rate <= 60
    path = tmp_path / "film.mp4"
    with Annotations(str(path), ("calm",), rate) as film:
        for number, milliseconds in enumerate(UNEVEN):
            image = np.full((96, 96, 3), 20 * number, np.uint8)
            film.add(Frame(uneven, number, milliseconds / 1000, image=image), [])
        film.close()
    written = cv2.VideoCapture(str(path))
    assert written.get(cv2.CAP_PROP_FRAME_COUNT) / rate == pytest.approx(3.6, abs=2 / rate)
    for second, number in ((0.5, 4), (0.95, 4), (2.4, 7), (2.7, 9), (3.3, 10)):
        written.set(cv2.CAP_PROP_POS_FRAMES, round(second * rate))
        assert written.read()[1].mean() == pytest.approx(20 * number, abs=8)


def test_a_film_cut_short_says_so_and_one_that_ends_slowly_does_not(tmp_path):
    whole = write_webm(tmp_path / "whole.webm", numbered(100), [40 * number for number in range(100)])
    (tmp_path / "cut.webm").write_bytes(whole.read_bytes()[: len(whole.read_bytes()) // 2])
    for name, said in (("whole.webm", ""), ("cut.webm", "of 4.0 seconds: damaged or incomplete")):
        film = Film(Source(str(tmp_path / name), "video"))
        list(film)
        assert film.complaint().endswith(said)
        assert bool(film.complaint()) == bool(said)


def test_a_timeline_has_no_holes_between_frames(tmp_path):
    timeline = Timeline(str(tmp_path / "time.png"), ("_$x^$", "jolly"))
    film = Source("film.mp4", "video")
    for number in range(8):  # two a second: cells are of a quarter
        said = Expression("jolly", 1.0, {"_$x^$": 0.0, "jolly": 1.0}, None)
        timeline.add(Frame(film, number, number / 2), [said] if number < 6 else [])
    timeline.close()
    pixels = np.asarray(Image.open(tmp_path / "time.png").convert("RGB")).astype(int)
    colored = (abs(pixels - (140, 107, 177)).sum(2) < 30)[pixels.shape[0] // 2]  # of the second class
    inside = np.flatnonzero(colored)
    plot = inside[inside < 0.85 * pixels.shape[1]]
    assert (np.diff(plot) <= 2).all()
    axis = pixels[pixels.shape[0] - 60 :].sum(2).min(0)  # 0 to 4 seconds
    width = np.flatnonzero(axis < 200)
    assert len(plot) / (width[-1] - width[0]) == pytest.approx(3 / 4, abs=0.06)


def test_two_still_people_are_two_numbers(drawn, tmp_path):
    one, two = (Image.open(path).convert("RGB").resize((120, 120)) for path in sorted((drawn / "images").iterdir())[:2])
    frame = Image.new("RGB", (480, 240), "gray")
    frame.paste(one, (30, 40))
    frame.paste(two, (300, 60))
    write_video(tmp_path / "still.mp4", [frame] * 180, 29.97)
    run_here(
        "predict", "--ckpt_path", "pretrained", "--input", "still.mp4", "--fps", "1", "--workers", "0", cwd=tmp_path
    )
    with open(tmp_path / "runs" / "predict-1" / "rows.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 6
    assert {row["face"] for row in rows} == {"0", "1"}


def test_a_film_that_cannot_be_written_whole_is_an_error_and_leaves_nothing(tmp_path):
    film = Annotations(str(tmp_path / "film.mp4"), ("calm",), 10.0)
    source = Source("film.mp4", "video")
    for number in range(5):
        film.add(Frame(source, number, number / 10, image=np.full((96, 96, 3), 40 * number, np.uint8)), [])
    (aside,) = tmp_path.iterdir()
    film._film._frames += 3  # as if the last ones had not arrived on the disk
    with pytest.raises(FERError, match="could not be written"):
        film.close()
    assert aside.name.startswith(".film.writing-")
    assert list(tmp_path.iterdir()) == []
    with Annotations(str(tmp_path / "film.mp4"), ("calm",), 10.0) as film:
        film.add(Frame(source, 0, 0.0, image=np.zeros((96, 96, 3), np.uint8)), [])
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_film_is_one_message(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.webm").touch()
    for name, why in (
        ("pipe.mp4", "a pipe"),
        ("folder.mp4", "a folder"),
        ("empty.webm", "damaged"),
        ("a\0.mp4", "damaged"),
    ):
        with pytest.raises(FERError, match=rf"Cannot open the video '.*': .*{why}"):
            Film(Source(str(tmp_path / name), "video"))


def write_film(path, frames=25, size=(97, 65)):
    """A film by our writer, and what it says of it."""
    with Annotations(str(path), ("calm",), 12.5) as film:
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), 8 * number, np.uint8)
            film.add(Frame(Source("film.mp4", "video"), number, number / 12.5, image=pixels), [])
        return film.close()


def check_film(path, fourcc):
    probed = cv2.VideoCapture(str(path))
    assert int(probed.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") == fourcc
    assert probed.get(cv2.CAP_PROP_FRAME_COUNT) == 25
    assert probed.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    brightness = [probed.read()[1].mean() for _ in range(25)]
    assert brightness == pytest.approx([8 * number for number in range(25)], abs=6)  # none is lost or twice


def test_a_film_is_one_that_browsers_play(tmp_path):
    av = pytest.importorskip("av")
    said = write_film(tmp_path / "film.mp4")
    assert said == f"25 annotated images in {tmp_path / 'film.mp4'} (H.264)"
    check_film(tmp_path / "film.mp4", b"h264")
    with av.open(str(tmp_path / "film.mp4")) as film:
        (stream,) = film.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert sum(1 for _ in film.decode(video=0)) == 25
    content = (tmp_path / "film.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it plays while it loads
    write_film(tmp_path / "film.mp4")  # ours, so it may be replaced
    assert outputs._is_ours(tmp_path / "film.mp4")


def test_without_h264_it_is_vp9(tmp_path, monkeypatch):
    av = pytest.importorskip("av")
    monkeypatch.setattr(av, "codecs_available", {"libvpx-vp9"})
    assert write_film(tmp_path / "film.mp4").endswith("(VP9)")
    check_film(tmp_path / "film.mp4", b"VP90")


def test_without_pyav_it_is_as_ever_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    said = write_film(tmp_path / "film.mp4")
    assert said.endswith("(MPEG-4 Part 2, which browsers do not play: with PyAV (pip install av), it would be H.264)")
    check_film(tmp_path / "film.mp4", b"FMP4")
