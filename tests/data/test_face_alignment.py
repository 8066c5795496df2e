from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import load_file

from fer_lightning.data.face_alignment import PLACES, WEIGHTS, aligned, around, fitted, open_landmarker, turned
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.export import recognize
from fer_lightning.networks.face_landmarks import FaceLandmarks

ALIGN, DETECT = InputSpec(48, "gray", faces="align"), InputSpec(48, "gray", faces="detect")


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut()[0:300, 60:360])


def test_the_landmarks_are_near_those_of_mediapipe():
    image = np.ascontiguousarray(skimage.data.astronaut()[20:212, 128:320])
    sure, *found = open_landmarker()(image).tolist()
    # face_landmark.tflite of mediapipe 0.10.14 run by ai-edge-litert 2.3.0: means of its points 33 and 133, and of 362
    # and 263; its points 1, 61 and 291
    expected = [[75.74, 81.45], [120.52, 83.46], [96.25, 110.73], [73.19, 120.35], [118.82, 122.20]]
    assert np.linalg.norm(np.reshape(found, (5, 2)) - expected, axis=1).mean() < 2.5  # pixels; the eyes are 45 apart
    assert sure > 0.95


@pytest.mark.parametrize(
    ("left", "top", "columns", "rows"),
    [
        (1, 1, [0, 1, 2, 3], [0, 1, 2, 2]),  # the square of 4 pixels ends one below the image
        (-1, 2, [0, 0, 0, 1], [1, 2, 2, 2]),
        (3, -1, [2, 3, 4, 4], [0, 0, 0, 1]),
        (8, 9, [4, 4, 4, 4], [2, 2, 2, 2]),  # beside it
        (-9, -9, [0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_beyond_its_edges_an_image_goes_on(left, top, columns, rows):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
    found = around(Image.fromarray(pixels), Face(left, top, 2, 2, 1.0), 2, 4)
    assert np.array_equal(found, pixels[rows][:, columns])


def test_where_there_is_no_face_the_network_says_so():
    assert open_landmarker()(np.full((192, 192, 3), 128, np.uint8))[0] < 0.1


def test_a_mirror_image_has_mirrored_landmarks(portrait):
    image = np.asarray(portrait.resize((192, 192)))
    (sure, *found), (as_sure, *mirrored) = (
        open_landmarker()(np.ascontiguousarray(one)).tolist() for one in (image, image[:, ::-1])
    )
    assert as_sure == pytest.approx(sure, abs=1e-5)
    right_eye, left_eye, nose, right_mouth, left_mouth = np.reshape(mirrored, (5, 2)) * [-1, 1] + [192, 0]
    back = [left_eye, right_eye, nose, left_mouth, right_mouth]
    assert np.reshape(found, (5, 2)) == pytest.approx(np.array(back), abs=1e-3)


def test_the_network_takes_several_images_at_once():
    network = FaceLandmarks().eval()
    network.load_state_dict(load_file(WEIGHTS))
    images = torch.rand(3, 3, 192, 192, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together, apart = network(images), torch.cat([network(image[None]) for image in images])
    assert together.shape == (3, 11)
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-3)


def made(sheet: np.ndarray, points: np.ndarray, side: int, wide: float = 1.0) -> np.ndarray:
    return turned(sheet, *fitted(points[:, 0] + 1j * points[:, 1]), side, wide)


def test_points_in_their_places_leave_an_image_as_it_is():
    sheet = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    assert (made(sheet, np.array(PLACES) * 60, 60) == sheet).all()
    inner = np.array(PLACES) * 30 + 15  # a face of half the size in the middle
    assert (made(sheet, inner, 30) == sheet[15:45, 15:45]).all()
    assert (made(sheet, inner, 60, 2.0) == sheet).all()  # with room around it


def test_points_that_are_turned_turn_the_image_back():
    sheet = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    x, y = (np.array(PLACES) * 60).T
    clockwise = np.stack([60 - y, x], 1)
    assert (made(np.rot90(sheet, -1), clockwise, 60) == sheet).all()


@pytest.mark.parametrize("program", [turned, recognize.turned])
def test_between_pixels_the_nearer_ones_count_more(program):
    sheet = np.array([[[0, 250, 7], [100, 50, 7]], [[50, 100, 7], [250, 0, 7]]], np.uint8)
    assert program(sheet, 1 + 1j, 1 + 0j, 1, 1.0).tolist() == [[[100, 100, 7]]]  # (0 + 100 + 50 + 250) / 4
    # three quarters of the right, a quarter of the lower: 3/4 * 75 + 1/4 * 200 and 3/4 * 100 + 1/4 * 25
    assert program(sheet, 1.25 + 0.75j, 1 + 0j, 1, 1.0).tolist() == [[[106, 81, 7]]]


def test_beyond_the_edge_the_last_pixels_go_on():
    sheet = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    found = made(sheet, np.array(PLACES) * 40 + [0, 10], 40)
    assert (found[:30] == sheet[10:]).all()
    assert (found[30:] == sheet[-1]).all()


@pytest.mark.parametrize("angle", [-45, -35, -20, 20, 35, 45])
def test_a_turned_face_becomes_the_upright_one(portrait, angle):
    tilted = portrait.rotate(angle, Image.Resampling.BICUBIC)
    apart = {}
    for spec in (ALIGN, DETECT):
        one, other = (spec.pixels(image, find_faces(image)[0]).astype(float) for image in (portrait, tilted))
        apart[spec.framing] = np.abs(one - other).mean()
    assert apart["align"] < 12
    assert apart["align"] < 0.4 * apart["detect"]


@pytest.mark.parametrize("side", [48, 100, 224])
@pytest.mark.parametrize("margin", [0.02, 0.3, 0.6])
def test_eyes_nose_and_mouth_stand_in_their_places(portrait, side, margin):
    """Looked for once more, on average over a face that is turned to either side."""
    apart = []
    for tilt in (-25, -10, 10, 25):
        tilted = portrait.rotate(tilt, Image.Resampling.BICUBIC)
        made = aligned(tilted, find_faces(tilted)[0], side, margin)
        assert made is not None
        assert made.size == (2 * side, 2 * side)
        wide = round(128 * (1 + margin) / 1.02)  # so that the face is 128 pixels wide of the 192 that are looked at
        frame = np.asarray(made.resize((wide, wide)))
        border = max((192 - wide) // 2, 0)
        seen = np.pad(frame, ((border, 192), (border, 192), (0, 0)), mode="edge")[:192, :192]
        if wide > 192:
            seen = np.ascontiguousarray(frame[(wide - 192) // 2 :, (wide - 192) // 2 :][:192, :192])
        sure, *found = open_landmarker()(seen).tolist()
        assert sure > 0.9
        shift, turn = fitted(np.array(found[::2]) + 1j * np.array(found[1::2]))
        apart.append([abs(shift - (96 + 96j)), abs(abs(turn) / 128 - 1), abs(np.degrees(np.angle(turn)))])
    pixels, size, degrees = np.mean(apart, axis=0)
    assert pixels < 1.5
    assert size < 0.03
    assert degrees < 1.5


def test_a_box_without_a_face_is_cut_out_as_it_is(portrait):
    wall = Image.new("RGB", (200, 150), "gray")
    wall.paste(Image.effect_noise((60, 60), 40), (30, 30))
    box = Face(30, 30, 60, 60, 0.9)
    assert aligned(wall, box, 48, 0.02) is None
    assert (ALIGN.pixels(wall, box) == DETECT.pixels(wall, box)).all()


@pytest.mark.parametrize("angle", [100, 180, 260])
def test_a_face_that_is_turned_too_far_is_cut_out_as_it_is(portrait, angle):
    tilted = portrait.rotate(angle, Image.Resampling.BICUBIC)
    upright = find_faces(portrait)[0]  # the detector does not see all that are turned
    middle = complex(upright.left + upright.width / 2, upright.top + upright.height / 2) - (150 + 150j)
    middle = middle * np.exp(-1j * np.radians(angle)) + 150 + 150j
    left, top = middle.real - upright.width / 2, middle.imag - upright.height / 2
    face = Face(left, top, upright.width, upright.height, 1)
    assert aligned(tilted, face, 48, 0.02) is None
    assert (ALIGN.pixels(tilted, face) == DETECT.pixels(tilted, face)).all()


def test_a_whole_image_is_not_aligned(portrait):
    assert (ALIGN.pixels(portrait) == DETECT.pixels(portrait)).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (48, 48)])
@pytest.mark.parametrize("margin", [-0.5, 0.02, 2])
def test_boxes_of_any_size_and_place_become_input(size, margin):
    spec = InputSpec(40, "rgb", faces="align", margin=margin)
    image = Image.effect_noise(size, 60)
    boxes = [Face(-20, -30, 40, 50, 1), Face(0, 0, 0.2, 0.1, 1), Face(size[0] - 1, 0, 100, 300, 1)]
    boxes += [Face(size[0] + 50, 10, 10, 10, 1), Face(-90, 10, 20, 20, 1), Face(10, size[1] + 40, 8, 8, 1)]  # outside
    for face in boxes:
        assert spec.pixels(image, face).shape == (3, 40, 40)


@pytest.mark.parametrize("side", [1, 48, 129, 400])
@pytest.mark.parametrize("margin", [-0.5, 2])
def test_faces_of_any_size_are_aligned(portrait, side, margin):
    for shrink in (1, 4):
        small = portrait.reduce(shrink)
        tight = find_faces(small)[0]
        cut = small.crop((round(tight.left), round(tight.top), round(tight.left + tight.width), small.height))
        for image, face in ((small, tight), (cut, Face(0, 0, tight.width, tight.height, 1))):
            made = aligned(image, face, side, margin)
            assert made is not None
            assert made.size == (2 * side, 2 * side)


def test_gray_and_transparent_images_are_aligned(portrait):
    face = find_faces(portrait)[0]
    wanted = ALIGN.pixels(portrait.convert("L"), face)
    for mode in ("RGB", "RGBA", "L"):
        made = ALIGN.pixels(portrait.convert("L").convert(mode), face)
        assert np.abs(made.astype(int) - wanted.astype(int)).max() <= 1, mode


def test_threads_get_the_same_as_one_after_the_other(portrait):
    images = [portrait.rotate(angle) for angle in range(-30, 30, 5)]
    faces = [find_faces(image)[0] for image in images]
    one = [ALIGN.pixels(image, face) for image, face in zip(images, faces, strict=True)]
    with ThreadPoolExecutor(8) as pool:
        several = list(pool.map(ALIGN.pixels, images * 4, faces * 4))
    assert all((made == one[place % len(one)]).all() for place, made in enumerate(several))
