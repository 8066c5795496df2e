"""Exported folders of a model that takes aligned faces: landmarks are found there too."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage.data
from PIL import Image

from fer_lightning.checkpoints.reading import load_model, read_checkpoint
from fer_lightning.data.sources.synthetic_face import draw_face
from fer_lightning.errors import FERError
from fer_lightning.export.bundle import compare
from fer_lightning.export.export import export
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.serving.browser import browser_files
from tests.conftest import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(aligning, tmp_path_factory):
    """A bundle, and photographs of faces that are turned."""
    folder = tmp_path_factory.mktemp("aligned")
    export(str(aligning), str(folder / "app"))
    (folder / "images").mkdir()
    face = Image.fromarray(skimage.data.astronaut())
    for angle in (-25, 0, 15):
        face.rotate(angle).save(folder / "images" / f"{angle}.png")
    face.crop((150, 30, 300, 200)).resize((60, 68)).convert("L").save(folder / "images" / "small.png")
    face.crop((170, 60, 300, 180)).save(folder / "images" / "tight.png")  # the face goes on beyond the edges
    for number, expression in enumerate(("sadness", "fear", "anger")):
        wall = Image.new("RGB", (300, 300), (90, 110, 130))
        wall.paste(draw_face(expression, (1, number), number).convert("RGB").resize((140, 140)), (80, 80))
        wall.rotate(10, fillcolor=(90, 110, 130)).save(folder / "images" / f"{expression}.png")
        wall.rotate(-30, fillcolor=(90, 110, 130)).save(folder / "images" / f"{expression}-30.png")
    Image.fromarray(skimage.data.coffee()).save(folder / "images" / "none.png")
    return folder


def without(modules, words, folder):
    """Run fer in Python without these modules."""
    code = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in modules)
    code += f"from fer_lightning.cli.main import main\nmain({words!r})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)


def test_its_own_program_answers_the_same(folder, aligning):
    names = sorted(str(path) for path in (folder / "images").iterdir())
    words = [sys.executable, str(folder / "app" / "recognize.py"), "--json", *names]
    told = [json.loads(line) for line in subprocess.run(words, capture_output=True, check=True).stdout.splitlines()]
    recognizer, boxes = ExpressionRecognizer(aligning), ExpressionRecognizer(aligning, faces="box")
    different = 0
    for name, one in zip(names, told, strict=True):
        for said, face in zip(one["faces"], recognizer.predict(name).faces, strict=True):
            assert said["probabilities"] == pytest.approx(face.probabilities, abs=1e-4)
        for said, face in zip(one["faces"], boxes.predict(name).faces, strict=True):
            apart = [abs(said["probabilities"][key] - value) for key, value in face.probabilities.items()]
            different += max(apart) > 0.01
    assert different >= 2  # it was aligned, above


def test_it_is_used_without_torch(folder, aligning, tmp_path):
    given = ["predict", str(folder / "images"), "--output"]
    done = run(*given, tmp_path / "torch.csv", "--ckpt_path", aligning, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = without(("torch", "lightning"), [*given, "onnx.csv", "--ckpt_path", str(folder / "app")], tmp_path)
    assert done.returncode == 0, done.stderr
    rows, wanted = ((tmp_path / name).read_text().splitlines() for name in ("onnx.csv", "torch.csv"))
    assert len(rows) == len(wanted) >= 9
    for row, other in zip(rows[1:], wanted[1:], strict=True):
        for one, value in zip(row.split(","), other.split(","), strict=True):
            numbers = [each for each in (one, value) if each.replace(".", "").replace("e-", "").isdigit()]
            assert one == value or (len(numbers) == 2 and abs(float(one) - float(value)) < 2e-4), (row, other)


def test_a_damaged_one_is_one_message(folder, tmp_path):
    image = str(folder / "images" / "0.png")
    for content in (b"no", None, (folder / "app" / "detector.onnx").read_bytes()):
        bundle = tmp_path / "broken"
        bundle.mkdir(exist_ok=True)
        for path in (path for path in (folder / "app").iterdir() if path.is_file()):
            (bundle / path.name).write_bytes(path.read_bytes())
        (bundle / "landmarks.onnx").unlink()
        if content is not None:
            (bundle / "landmarks.onnx").write_bytes(content)
        done = run("predict", image, "--ckpt_path", bundle, cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        assert done.stderr.count("\n") == 2, done.stderr  # the message, and the page that explains it
        assert "landmarks.onnx" in done.stderr


def test_by_the_box_on_request(folder, aligning, by_box):
    """As a network with the same weights answers that was trained so; the page needs no landmarks then."""
    image = str(folder / "images" / "fear-30.png")
    wanted = ExpressionRecognizer(by_box).predict(image).faces[0]
    model = folder / "app" / "model.onnx"
    for given in (aligning, model):
        recognizer = ExpressionRecognizer(given, faces="box")
        found = recognizer.predict(image).faces[0]
        assert found.probabilities == pytest.approx(wanted.probabilities, abs=1e-4)
        upright = ExpressionRecognizer(given).predict(image).faces[0]
        assert upright.probabilities != pytest.approx(wanted.probabilities, abs=1e-2)
        files = browser_files(recognizer, Path(given), "app")
        assert set(files) == {"/model.json", "/model.onnx", "/detector.onnx"}
        about = json.loads(files["/model.json"][0])
        assert "alignment" not in about
        assert "align" not in about["input"]


def test_aligned_on_request(folder, aligning, by_box, tmp_path):
    """The other way round; of a bundle that has no landmarks, the service alone can."""
    image = str(folder / "images" / "fear-30.png")
    wanted = ExpressionRecognizer(aligning).predict(image).faces[0]
    export(str(by_box), str(tmp_path / "app"))
    for given in (by_box, tmp_path / "app" / "model.onnx"):
        recognizer = ExpressionRecognizer(given, faces="align")
        assert recognizer.predict(image).faces[0].probabilities == pytest.approx(wanted.probabilities, abs=1e-4)
        files = browser_files(recognizer, Path(given), "app")
        if given == by_box:
            assert "/landmarks.onnx" in files
            assert "places" in json.loads(files["/model.json"][0])["alignment"]
        else:
            assert files == {}


def test_what_is_not_needed_is_not_there(aligning, by_box, tmp_path):
    export(str(aligning), str(tmp_path / "app"))
    assert (tmp_path / "app" / "landmarks.LICENSE").read_text().count("Apache License") > 0
    assert "alignment" in json.loads((tmp_path / "app" / "model.json").read_text())
    export(str(by_box), str(tmp_path / "app"), overwrite=True)
    assert not list((tmp_path / "app").glob("landmarks.*"))
    assert "alignment" not in json.loads((tmp_path / "app" / "model.json").read_text())


def test_landmarks_that_are_others_are_not_kept(folder, aligning, tmp_path):
    shutil.copytree(folder / "app", tmp_path / "app")
    graph = onnx.load(tmp_path / "app" / "landmarks.onnx")
    last = next(node for node in graph.graph.node if "landmarks" in node.output)
    last.output[0] = "before"
    moved = np.array([0] + [0, 3] * 5, np.float32)  # all of them three pixels lower
    graph.graph.initializer.append(onnx.numpy_helper.from_array(moved, "moved"))
    graph.graph.node.append(onnx.helper.make_node("Add", ["before", "moved"], ["landmarks"]))
    onnx.save(graph, tmp_path / "app" / "landmarks.onnx")
    info, _ = read_checkpoint(aligning)
    with pytest.raises(FERError, match="The bundle answers otherwise than the original"):
        compare(load_model(aligning), info, tmp_path / "app")
    assert "faces found in them" in compare(load_model(aligning), info, folder / "app")


def test_each_image_may_be_taken_as_one_face(folder, aligning, tmp_path):
    export(str(aligning), str(tmp_path / "whole"), faces="whole")
    image = str(folder / "images" / "fear.png")  # not sure, so that framing shows
    recognizer = ExpressionRecognizer(tmp_path / "whole")
    assert recognizer.predict(image).faces[0].face is None
    found = ExpressionRecognizer(recognizer, faces="detect").predict(image).faces[0]
    wanted = ExpressionRecognizer(aligning).predict(image).faces[0]
    assert found.probabilities == pytest.approx(wanted.probabilities, abs=1e-4)  # aligned where a box is known


def test_another_detector_without_torch_is_one_message(folder, tmp_path):
    shutil.copy(folder / "app" / "detector.onnx", tmp_path / "detector.onnx")  # with no landmarks beside it
    image = str(folder / "images" / "0.png")
    words = ["predict", image, "--ckpt_path", str(folder / "app"), "--detector", str(tmp_path / "detector.onnx")]
    done = without(("torch",), words, tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 2, done.stderr
    assert "Faces are aligned here by a network that needs torch" in done.stderr
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
