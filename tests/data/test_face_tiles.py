"""Small faces in large images: all of them, each once; and nothing changes for ordinary images."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from itertools import pairwise

import pytest
import skimage.data
from PIL import Image

from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.face_tiles import _corners, _once, find_faces_at
from fer_lightning.errors import FERError
from fer_lightning.inference.recognizer import ExpressionRecognizer
from tests.conftest import PROJECT, REAL_DATA

ASTRONAUT = Image.fromarray(skimage.data.astronaut())


def composition(size: tuple[int, int], heights: list[int], textured: bool = True) -> tuple[Image.Image, list[Face]]:
    """A photograph enlarged, or a gray wall, with heads of these heights (of the face's box) in it, somewhere."""
    rng = random.Random(0)
    canvas = Image.fromarray(skimage.data.coffee()).resize(size) if textured else Image.new("RGB", size, "gray")
    (face,) = find_faces(ASTRONAUT)
    around = (face.left - 30, face.top - 40, face.left + face.width + 30, face.top + face.height + 30)
    head = ASTRONAUT.crop(tuple(map(round, around)))
    placed: list[tuple[int, int, int, int]] = []
    truth = []
    for height in sorted(heights, reverse=True):
        times = height / face.height
        own = head.resize((round(head.width * times), round(head.height * times)), Image.Resampling.LANCZOS)
        while True:
            left, top = rng.randrange(size[0] - own.width), rng.randrange(size[1] - own.height)
            box = (left, top, left + own.width, top + own.height)
            if not any(
                box[0] < b[2] + 30 and b[0] < box[2] + 30 and box[1] < b[3] + 30 and b[1] < box[3] + 30 for b in placed
            ):
                break
        placed.append(box)
        canvas.paste(own, (left, top))
        truth.append(Face(left + 30 * times, top + 40 * times, face.width * times, height, 1))
    return canvas, truth


def check_all_once(found: list[Face], truth: list[Face]) -> None:
    assert len(found) == len(truth)
    for one in truth:
        middle = (one.left + one.width / 2, one.top + one.height / 2)
        near = [
            face
            for face in found
            if abs(face.left + face.width / 2 - middle[0]) < 0.25 * one.width
            and abs(face.top + face.height / 2 - middle[1]) < 0.25 * one.height
        ]
        assert len(near) == 1, one
        assert near[0].height == pytest.approx(one.height, rel=0.25)


@pytest.mark.slow
def test_forty_small_faces_in_a_large_photograph_in_bounded_memory(tmp_path):
    canvas, truth = composition((6000, 4000), [82] * 40)
    assert find_faces_at(canvas) == []  # as ever
    check_all_once(find_faces_at(canvas, detection_size=6000), truth)
    canvas.save(tmp_path / "large.png", compress_level=1)
    code = "import sys; from fer_lightning.cli.main import main; main(sys.argv[1:]);"
    code += "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    words = ["predict", str(tmp_path / "large.png"), "--detection_size", "6000"]
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=PROJECT, capture_output=True, text=True, check=True)
    name, *faces, peak = done.stdout.splitlines()
    print(f"{time.monotonic() - start:.1f} s, {int(peak) / 1024:.0f} MB")
    assert "large.png   40 faces" in f"{name}   {faces[0].strip()}"  # a long name has a line of its own
    assert int(peak) * 1024 < 1e9


def test_faces_of_every_size_are_found_once():
    canvas, truth = composition((2600, 1800), [46, 60, 82, 110, 150, 185, 200, 230, 380, 420, 620], textured=False)
    check_all_once(find_faces_at(canvas, detection_size=2600), truth)


def test_ordinary_images_give_the_same_boxes():
    small = ASTRONAUT.resize((100, 100))
    for image in (ASTRONAUT, small, ASTRONAUT.convert("L"), ASTRONAUT.resize((1600, 1600))):
        expected = find_faces(image)
        assert find_faces_at(image) == expected
        assert find_faces_at(image, detection_size=640) == expected
    for image in (ASTRONAUT, small):  # not larger than what is looked for anyway
        assert find_faces_at(image, detection_size=6000) == find_faces(image)
    (large,) = find_faces_at(ASTRONAUT.resize((1600, 1600)), detection_size=1600)
    assert large.width == pytest.approx(find_faces(ASTRONAUT.resize((1600, 1600)))[0].width, rel=0.1)
    (coarse,) = find_faces_at(ASTRONAUT, detection_size=200)
    assert coarse.height == pytest.approx(find_faces(ASTRONAUT)[0].height, rel=0.25)


@pytest.mark.real_data
def test_photographs_give_the_same_boxes_in_tiles_or_not():
    for path in sorted((REAL_DATA / "images").iterdir())[:20]:
        image = Image.open(path).convert("RGB")
        assert find_faces_at(image) == find_faces_at(image, detection_size=6000) == find_faces(image)


@pytest.mark.parametrize("size", [(641, 641), (6000, 4000), (700, 50), (50, 3000), (1088, 1089)])
def test_tiles_cover_every_pixel_and_neighbors_overlap(size):
    corners = list(_corners(size))
    for side, length in enumerate(size):
        starts = sorted({corner[side] for corner in corners})
        assert starts[0] == 0
        assert starts[-1] == max(length - 640, 0)
        assert all(later - one <= 640 - 192 for one, later in pairwise(starts))
    assert len(corners) == len(set(corners))


def test_thousands_of_boxes_are_compared_quickly():
    found = [(Face(40 * (number % 100), 40 * (number // 100), 30, 30, 0.9), 1.0) for number in range(5_000)]
    start = time.monotonic()
    assert len(_once(found * 2)) == 5_000
    assert time.monotonic() - start < 20


def test_a_size_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(FERError, match=r"--detection_size\. Expected 64 to 32,768\. Received: 10"):
        ExpressionRecognizer("pretrained", detection_size=10)
