from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import load_file

from fer_lightning.checkpoints.reading import read_checkpoint
from fer_lightning.cli.prepare import prepare
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.face_alignment import PLACES, WEIGHTS, aligned, fitted, open_landmarker, turned
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.splits import TRAINING
from fer_lightning.errors import FERError
from fer_lightning.export import recognize
from fer_lightning.inference.model import info_of_file
from fer_lightning.networks.face_landmarks import FaceLandmarks
from tests.conftest import TINY, run_here

ALIGN, DETECT = InputSpec(48, "gray", faces="align"), InputSpec(48, "gray", faces="detect")


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut()[0:300, 60:360])


def test_the_landmarks_are_those_of_mediapipe():
    image = np.ascontiguousarray(skimage.data.astronaut()[20:212, 128:320])
    sure, *found = open_landmarker()(image).tolist()
    # face_landmark.tflite of mediapipe 0.10.14 run by ai-edge-litert 2.3.0: means of its points 33 and 133, and of 362
    # and 263; its points 1, 61 and 291
    expected = [[75.74, 81.45], [120.52, 83.46], [96.25, 110.73], [73.19, 120.35], [118.82, 122.20]]
    assert np.abs(np.reshape(found, (5, 2)) - expected).max() < 0.01
    assert sure > 0.99


def test_where_there_is_no_face_the_network_says_so():
    assert open_landmarker()(np.full((192, 192, 3), 128, np.uint8))[0] < 0.1


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


@pytest.mark.parametrize("angle", [-35, -20, 20, 35])
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
    tilted = portrait.rotate(25, Image.Resampling.BICUBIC)
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
    assert abs(shift - (96 + 96j)) < 1.5
    assert abs(turn) == pytest.approx(128, rel=0.03)
    assert np.degrees(np.angle(turn)) == pytest.approx(0, abs=1.5)


def test_a_box_without_a_face_is_cut_out_as_it_is(portrait):
    wall = Image.new("RGB", (200, 150), "gray")
    wall.paste(Image.effect_noise((60, 60), 40), (30, 30))
    box = Face(30, 30, 60, 60, 0.9)
    assert aligned(wall, box, 48, 0.02) is None
    assert (ALIGN.pixels(wall, box) == DETECT.pixels(wall, box)).all()


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


def test_training_sees_aligned_faces(make_data, tmp_path, capsys, portrait):
    root = make_data([(f"p{number}.png", ("jolly", "calm")[number % 2]) for number in range(10)])
    for number, file in enumerate(sorted(root.rglob("*.png"))):
        portrait.rotate(3 * number).save(file)
    how = {"image_size": 48, "prepared_dir": str(tmp_path), "split": "stratified"}
    portrait.rotate(90).save(sorted(root.rglob("*.png"))[0])  # the detector finds it, but no landmarks are seen
    made = {}
    for faces in ("align", "detect"):
        data = FERDataModule(str(root), faces=faces, **how)
        data.prepare_data()
        made[faces] = next(iter(data.val_dataloader())).images
        said = capsys.readouterr().out
        assert "Faces  found in 10 of 10 images" in said
        assert ("aligned in 9; no landmarks in 1, taken by their box" in said) == (faces == "align")
    assert (made["align"] != made["detect"]).any()


@pytest.mark.parametrize("cache", [True, False])
def test_some_training_images_are_cut_out_as_they_are(make_data, tmp_path, portrait, cache):
    root = make_data([(f"p{number}.png", ("jolly", "calm")[number % 2]) for number in range(16)])
    for number, file in enumerate(sorted(root.rglob("*.png"))):
        portrait.rotate(2 * number - 15, Image.Resampling.BICUBIC).save(file)
    how = {"image_size": 24, "prepared_dir": str(tmp_path), "split": "stratified", "cache": cache, "num_workers": 0}
    ways = []
    for faces in ("align", "detect"):
        samples = FERDataModule(str(root), faces=faces, **how).samples(TRAINING)
        ways.append(samples.gather([*range(len(samples))]))
    data = FERDataModule(str(root), faces="align", unaligned=0.5, **how)
    data.prepare_data()
    loader = data.train_dataloader()
    taken = []
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        images, _, samples, _ = next(iter(loader))
        faces, way = samples % len(samples), samples // len(samples) % 2
        assert torch.equal(images, torch.stack(ways)[way, faces])
        assert 0 < way.sum() < len(way)
        taken.append(way[faces.argsort()].tolist())
    assert taken[0] != taken[1]
    aligned_alone = FERDataModule(str(root), faces="align", **how)
    for subset in ("val_dataloader", "test_dataloader"):
        one, other = (next(iter(getattr(module, subset)())) for module in (data, aligned_alone))
        assert torch.equal(one.images, other.images)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"faces": "detect", "unaligned": 0.5},
            r"--data.unaligned 0.5 leaves .* --data.faces is 'detect'. Set it to align",
        ),
        ({"faces": "align", "unaligned": 1.5}, r"--data.unaligned. Expected 0 to 1. Received: 1.5"),
    ],
)
def test_what_is_left_as_it_is_must_be_among_aligned_ones(make_data, settings, expected):
    root = make_data([(f"p{number}.png", ("jolly", "calm")[number % 2]) for number in range(10)])
    with pytest.raises(FERError, match=expected):
        FERDataModule(str(root), **settings)


@pytest.mark.slow
def test_a_network_for_both_goes_on_and_is_measured_by_the_box(drawn, tmp_path):
    """An option of the training alone: it stays when a run is resumed, and not when other data are looked at."""
    words = ["--data.root", drawn, *TINY, "--name", "both"]
    how = ["--data.faces", "align", "--data.unaligned", "0.5"]
    run_here("fit", *words, *how, "--trainer.max_epochs", "1", cwd=tmp_path)
    run_here(
        "test", "--name", "both", "--ckpt_path", "best", "--data.faces", "detect", "--data.root", drawn, cwd=tmp_path
    )
    run_here("fit", *words, "--trainer.max_epochs", "2", "--ckpt_path", "last", cwd=tmp_path)
    run_here("fit", *words[:-1], "whole", *how, "--trainer.max_epochs", "2", cwd=tmp_path)
    both, whole = (
        torch.load(tmp_path / "runs" / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("both", "whole")
    )
    torch.testing.assert_close(both, whole, rtol=0, atol=0)


def test_a_stream_has_one_look_at_each_image(drawn, tmp_path):
    words = ["--data.root", str(drawn), "--data.faces", "align", "--data.unaligned", "0.5"]
    with pytest.raises(FERError, match=r"--data.unaligned. A stream has one look at each image"):
        prepare(words, str(tmp_path / "stream"))


@pytest.mark.slow
def test_a_run_measures_and_goes_on_as_it_was_trained(drawn, tmp_path):
    words = ["--data.root", drawn, *TINY, "--name", "al"]
    run_here("fit", *words, "--data.faces", "align", "--trainer.max_epochs", "1", cwd=tmp_path)
    checkpoints = tmp_path / "runs" / "al" / "checkpoints"
    run_here("test", "--name", "al", "--ckpt_path", "best", "--data.root", drawn, cwd=tmp_path)
    assert json.loads((tmp_path / "runs" / "al" / "test" / "metrics.json").read_text())["faces"] == "align"
    run_here("fit", *words, "--trainer.max_epochs", "2", "--ckpt_path", "last", cwd=tmp_path)
    assert read_checkpoint(checkpoints / "last.ckpt")[0].input_spec.align
    run_here("export", "--name", "al", "--output", "al.safetensors", "--ckpt_path", "last", cwd=tmp_path)
    run_here("fit", *words[:-1], "new", "--trainer.max_epochs", "1", "--ckpt_path", "al.safetensors", cwd=tmp_path)
    assert read_checkpoint(tmp_path / "runs" / "new" / "checkpoints" / "last.ckpt")[0].input_spec.align


@pytest.mark.slow
def test_a_stream_has_the_same_faces(drawn, tmp_path):
    how = {"faces": "align", "image_size": 32, "prepared_dir": str(tmp_path), "num_workers": 0}
    words = ["--data.root", str(drawn), "--data.faces", "align", "--data.image_size", "32"]
    prepare(words, str(tmp_path / "stream"))
    batches = []
    for root in (drawn, tmp_path / "stream"):
        data = FERDataModule(str(root), **how)
        data.prepare_data()
        batches.append(next(iter(data.test_dataloader())))
    assert (batches[0].images == batches[1].images).all()
    other = FERDataModule(str(drawn), **how | {"faces": "detect"})
    other.prepare_data()
    assert (next(iter(other.test_dataloader())).images != batches[0].images).any()


@pytest.mark.slow
def test_what_is_made_of_a_run_is_aligned_too(drawn, tmp_path):
    words = ["--data.root", drawn, *TINY, "--data.faces", "align", "--trainer.max_epochs", "1"]
    run_here("fit", *words, "--name", "al", cwd=tmp_path)
    graph = ["--name", "al", "--ckpt_path", "last", "--output", "al.onnx"]
    run_here("export", *graph, "--quantize", "int8", "--data.root", drawn, cwd=tmp_path)
    assert info_of_file(tmp_path / "al.onnx").input_spec.align
    run_here("crossval", *words, "--folds", "2", "--name", "folds", cwd=tmp_path)
    found = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "folds").rglob("metrics.json")]
    assert [one["faces"] for one in found if "faces" in one] == ["align"] * 2
