"""Image files of every kind: read right, or one kind of error, and nothing on the screen."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms

from fer_lightning.data.image_files import WEB_FORMATS, TooManyPixelsError, UnreadableImageError, read_image
from fer_lightning.data.image_metadata import read_metadata
from fer_lightning.data.input_spec import InputSpec

GRAY = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("eight.tif", GRAY.astype(np.int32)),
        ("sixteen.tif", GRAY.astype(np.int32) * 257),
        ("more.tif", GRAY.astype(np.int32) * 65_793),
        ("part.tif", (GRAY / 255).astype(np.float32)),
        ("float.tif", GRAY.astype(np.float32)),
        ("sixteen.pgm", GRAY.astype(np.uint16) * 257),
        ("sixteen.png", GRAY.astype(np.uint16) * 257),
    ],
)
def test_deep_gray_is_the_same_gray(name, values, tmp_path):
    Image.fromarray(values).save(tmp_path / name)
    np.testing.assert_allclose(np.asarray(read_image(tmp_path / name)), GRAY, atol=1)


def test_gray_above_the_signed_range_is_no_darkness(tmp_path):
    Image.fromarray((GRAY.astype(np.uint32) * 16_843_009).view(np.int32)).save(tmp_path / "u.tif")
    content = (tmp_path / "u.tif").read_bytes()
    signed, unsigned = (struct.pack("<HHIH", 339, 3, 1, kind) for kind in (2, 1))
    assert signed in content
    (tmp_path / "u.tif").write_bytes(content.replace(signed, unsigned))
    np.testing.assert_allclose(np.asarray(read_image(tmp_path / "u.tif")), GRAY, atol=1)
    dark = Image.fromarray(np.full((4, 4), 200, np.uint16))  # of 65,535: nearly black
    dark.save(tmp_path / "dark.pgm")
    assert np.asarray(read_image(tmp_path / "dark.pgm")).max() <= 1
    broken = (GRAY / 255).astype(np.float32)
    broken[0, 0] = np.nan
    Image.fromarray(broken).save(tmp_path / "nan.tif")
    np.testing.assert_allclose(np.asarray(read_image(tmp_path / "nan.tif")), GRAY, atol=1)


def test_lab_keeps_its_colors(tmp_path):
    colors = np.repeat(np.array([[[200, 40, 30]], [[30, 160, 60]], [[40, 60, 190]], [[128, 128, 128]]], np.uint8), 4, 1)
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    ImageCms.profileToProfile(Image.fromarray(colors), *profiles, outputMode="LAB").save(tmp_path / "lab.tif")
    assert Image.open(tmp_path / "lab.tif").mode == "LAB"
    np.testing.assert_allclose(np.asarray(read_image(tmp_path / "lab.tif")), colors, atol=4)


def test_the_first_of_several_says_so_and_a_photograph_of_a_telephone_does_not(tmp_path):
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "green", "blue")]
    for name in ("a.gif", "a.webp", "a.png", "a.tif", "a.avif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        frames[0].save(tmp_path / f"one_{name}")
        image, one = read_image(tmp_path / name), read_image(tmp_path / f"one_{name}")
        assert "first_of_several" in image.info
        assert "first_of_several" not in one.info
        assert image.convert("RGB").getpixel((9, 9)) == pytest.approx((255, 0, 0), abs=6)
    frames[0].save(tmp_path / "telephone.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert "first_of_several" not in read_image(tmp_path / "telephone.jpg").info


def test_only_listed_formats_are_opened_and_only_files(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nsleep 600\n")
    (tmp_path / "gs").chmod(0o755)
    Image.new("RGB", (50, 50)).save(tmp_path / "plot.eps")
    (tmp_path / "plot.eps").rename(tmp_path / "plot.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    socket.socket(socket.AF_UNIX).bind(str(tmp_path / "s.jpg"))
    os.symlink("/dev/zero", tmp_path / "zero.jpg")
    os.symlink("circle.jpg", tmp_path / "circle.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with open(tmp_path / "huge.jpg", "wb") as stream:
        stream.truncate(2**31 + 1)
    reasons = {
        "plot.jpg": "not an image that can be decoded",
        "pipe.jpg": "a pipe",
        "s.jpg": "a device or a pipe",
        "zero.jpg": "a device",
        "circle.jpg": "symbolic links",
        "folder.jpg": "it is a folder",
        "huge.jpg": "more than 2 GB",
        "n" * 300 + ".jpg": "name too long",
        "a\0b.jpg": "null",
        "none\udcff.jpg": "no such file",
        "two\nlines\x1b[31m.jpg": "no such file",
    }
    for name, reason in reasons.items():
        with pytest.raises(UnreadableImageError, match=f"(?s)Cannot read the image .*{reason}") as caught:
            read_image(tmp_path / name)
        assert "\x1b" not in str(caught.value)
        (metadata,) = read_metadata([tmp_path / name])
        assert reason in metadata.error
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    "ending", ["avif", "jpg", "png", "webp", "gif", "tif", "bmp", "jp2", "ppm", "ico", "tga", "qoi"]
)
def test_damaged_files_are_read_or_an_error_and_nothing_is_said(ending, tmp_path, capfd):
    random = np.random.default_rng(len(ending))
    path = tmp_path / f"x.{ending}"
    Image.fromarray(random.integers(0, 256, (24, 24, 3), np.uint8)).save(path)
    content, spec = path.read_bytes(), InputSpec(8)
    with warnings.catch_warnings():  # as the module sets them; pytest has its own
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for number in range(60):
            damaged = bytearray(content)
            for place in random.integers(0, min(len(content), 400), random.integers(1, 6)):
                damaged[place] = random.integers(0, 256)
            path.write_bytes(damaged[: len(damaged) if number % 2 else random.integers(0, len(damaged))])
            try:
                assert spec.load(path).shape == (3, 8, 8)
            except UnreadableImageError as error:
                assert "Cannot read the image" in str(error)  # noqa: PT017 (both are right)
            read_metadata([path])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["a.heic", "a.avif", "a.jp2", "a.jpx", "a.webp"])
def test_photographs_of_telephones_and_other_formats_are_read(name, tmp_path):
    pixels = np.full((16, 24, 3), (200, 60, 30), np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, "JPEG2000" if name.startswith("a.jp") else None)
    read = read_image(tmp_path / name)
    assert read.size == (24, 16)
    np.testing.assert_allclose(np.asarray(read.convert("RGB")), pixels, atol=8)


def test_without_the_package_for_it_a_heic_file_says_what_to_install(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.heic")
    code = """
import sys
sys.modules["pillow_heif"] = None
from fer_lightning.data.image_files import UnreadableImageError, read_image
try:
    read_image(sys.argv[1])
except UnreadableImageError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "a.heic")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == (
        f"Cannot read the image '{tmp_path}/a.heic': HEIC needs one more package: pip install 'fer_lightning[heif]'.\n"
    )


def test_content_in_memory_with_a_limit_and_a_list_of_formats():
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(stream, "PPM")
    content = stream.getvalue()
    assert read_image(io.BytesIO(content)).size == (30, 20)
    with pytest.raises(TooManyPixelsError, match=r"its 30 x 20 pixels are above the limit of 500"):
        read_image(io.BytesIO(content), most_pixels=500)
    with pytest.raises(UnreadableImageError, match="not an image that can be decoded"):
        read_image(io.BytesIO(content), formats=WEB_FORMATS)
    assert not {"EPS", "PPM", "ICO"} & set(WEB_FORMATS)
    assert {"JPEG", "PNG", "WEBP", "GIF"} <= set(WEB_FORMATS)
