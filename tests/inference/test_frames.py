from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from fer_lightning import InputSpec
from fer_lightning.inference.films import film_rate
from fer_lightning.inference.frames import Look, expected, look
from fer_lightning.inference.sources import Source
from tests.inference.conftest import write_video

WHOLE, DETECT = InputSpec(8, "gray"), InputSpec(8, "gray", faces="detect")


def seen(source, how, workers=0):
    return list(look([source], how, workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_images_come_in_order_whatever_is_wrong_with_them(photograph, tmp_path, workers):
    photograph.save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("no image")
    Image.new("RGB", (60, 60), "red").save(tmp_path / "c.png")
    sources = [Source(str(tmp_path / name), "image") for name in ("a.png", "b.jpg", "c.png", "d.png")] * 4
    frames = list(look(sources, Look(DETECT), workers))
    assert [frame.source for frame in frames] == sources
    assert [len(frame.faces) for frame in frames[:4]] == [1, 0, 0, 0]
    assert [bool(frame.error) for frame in frames[:4]] == [False, True, False, True]
    assert "not an image" in frames[1].error
    assert "no such file" in frames[3].error
    assert frames[0].pixels.shape == (1, 1, 8, 8)
    assert frames[2].pixels.shape == (0, 1, 8, 8)


def test_all_faces_of_an_image_are_cut_out(photograph, tmp_path):
    group = Image.new("RGB", (1100, 512))
    group.paste(photograph, (0, 0))
    group.paste(photograph.resize((400, 400)), (600, 50))
    group.save(tmp_path / "group.png")
    (frame,) = seen(Source(str(tmp_path / "group.png"), "image"), Look(DETECT))
    assert len(frame.faces) == 2
    first, second = frame.faces
    assert first.left < 300 < 700 < second.left
    assert first.width > second.width
    one, two = frame.pixels.astype(float)
    assert np.corrcoef(one.flatten(), two.flatten())[0, 1] > 0.9


def odd_images(folder):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.new("L", (1, 1), 7).save(folder / "one.png")
    Image.fromarray(noise).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(noise[:, :, 0].astype(np.uint16) * 257).save(folder / "deep.png")
    frames = [Image.new("P", (20, 20), color) for color in (1, 2, 3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise[:20]).save(folder / "exif.jpg", exif=exif)


def test_odd_images_are_read_and_a_bomb_is_an_error(tmp_path):
    odd_images(tmp_path)
    for name in ("one.png", "cmyk.jpg", "deep.png", "moving.gif", "exif.jpg"):
        for how in (Look(WHOLE), Look(DETECT)):
            (frame,) = seen(Source(str(tmp_path / name), "image"), how)
            assert frame.error == "", name
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + b"\0\0\0\0")
    (frame,) = seen(Source(str(tmp_path / "bomb.png"), "image"), Look(WHOLE))
    assert frame.error


@pytest.mark.parametrize("workers", [0, 2])
def test_a_video_gives_its_frames_in_order_with_their_times(video, workers):
    source = Source(str(video), "video")
    frames = seen(source, Look(WHOLE, keep_image=True), workers)
    assert [frame.frame for frame in frames] == list(range(30))
    assert [frame.seconds for frame in frames] == pytest.approx([number / 10 for number in range(30)], abs=0.02)
    assert frames[0].image.shape == (240, 480, 3)
    some = seen(source, Look(WHOLE, frame_stride=7), workers)
    assert [frame.frame for frame in some] == [0, 7, 14, 21, 28]
    assert (some[1].pixels == frames[7].pixels).all()
    slow = seen(source, Look(WHOLE, fps=2), workers)
    assert [frame.frame for frame in slow] == [0, 5, 10, 15, 20, 25]
    assert expected(source, Look(WHOLE, fps=2)) == 6
    assert film_rate(source, fps=2) == 2
    assert film_rate(source) == 10
    assert expected(source, Look(WHOLE, frame_stride=7)) == 5


def test_faces_of_frames_may_be_framed_otherwise_than_images(video):
    (first, *_) = seen(Source(str(video), "video"), Look(WHOLE, video_spec=DETECT, frame_stride=29))
    assert first.faces[0] is not None


@pytest.mark.parametrize("workers", [0, 2])
def test_a_video_with_a_broken_tail_gives_what_is_there_and_says_so(photograph, tmp_path, workers):
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (96, 96, 3), np.uint8)) for _ in range(40)]
    whole = write_video(tmp_path / "whole.avi", frames)
    content = whole.read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    frames = seen(Source(str(tmp_path / "cut.avi"), "video"), Look(WHOLE), workers)
    assert 5 < len(frames) < 40
    assert [bool(frame.error) for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert "damaged or incomplete" in frames[-1].error
    (tmp_path / "none.mp4").write_bytes(b"no video")
    (frame,) = seen(Source(str(tmp_path / "none.mp4"), "video"), Look(WHOLE), workers)
    assert "Cannot open the video" in frame.error
