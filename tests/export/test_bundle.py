"""A folder that `export` writes answers as the original does, with onnxruntime alone and within fer_lightning."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage.data
from PIL import Image

from fer_lightning.errors import FERError
from fer_lightning.export.export import export
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.serving.browser import browser_files
from tests.conftest import PROJECT, run, run_here


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle, and photographs: large, small, turned by EXIF, transparent, deep gray, without a face, damaged."""
    folder = tmp_path_factory.mktemp("bundle")
    export("pretrained", str(folder / "app"))
    images = folder / "images"
    images.mkdir()
    face = Image.fromarray(skimage.data.astronaut())
    face.save(images / "a.png")
    face.resize((1500, 1400)).save(images / "b.jpg")
    face.crop((150, 30, 300, 200)).resize((48, 48)).convert("L").save(images / "c.png")
    turned = Image.Exif()
    turned[274] = 6
    face.rotate(90).save(images / "d.jpg", exif=turned)
    seen = face.convert("RGBA")
    seen.putalpha(Image.linear_gradient("L").resize(face.size))
    seen.save(images / "e.png")
    Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257).save(images / "f.png")
    Image.fromarray(skimage.data.coffee()).save(images / "g.png")
    group = Image.new("RGB", (900, 500), "gray")
    for number in range(5):
        group.paste(face.crop((120, 0, 320, 220)).resize((150 - 20 * number, 165 - 22 * number)), (170 * number, 80))
    group.save(images / "h.png")
    (images / "i.png").write_bytes((images / "a.png").read_bytes()[:1000])
    return folder


def rows_of(path):
    return list(csv.DictReader(path.open(newline="")))


@pytest.mark.slow
def test_its_own_program_needs_nothing_of_ours_and_answers_the_same(folder, tmp_path):
    names = sorted(path.name for path in (folder / "images").iterdir())
    words = ["--json", *(str(folder / "images" / name) for name in names)]
    code = "import sys, runpy\nsys.modules['fer_lightning'] = sys.modules['torch'] = None\n"
    program = str(folder / "app" / "recognize.py")
    code += f"sys.argv = {['recognize.py', *words]!r}\nrunpy.run_path({program!r}, run_name='__main__')"
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    env["TMPDIR"] = str(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert not list(tmp_path.iterdir())  # onnxruntime would note its start there
    assert done.returncode == 1, done.stderr  # as one image is damaged
    told = [json.loads(line) for line in done.stdout.splitlines()]
    ours = ExpressionRecognizer()
    faces = 0
    for name, one in zip(names, told, strict=True):
        wanted = ours.predict(folder / "images" / name)
        assert bool(one["error"]) == bool(wanted.error), name
        assert len(one["faces"]) == len(wanted.faces), name
        for said, face in zip(one["faces"], wanted.faces, strict=True):
            box = face.face
            assert [*said["box"].values()] == [box.left, box.top, box.width, box.height, box.score]
            assert [tuple(point) for point in said["landmarks"]] == list(box.landmarks)
            assert said["label"] == face.label
            assert said["probabilities"] == pytest.approx(face.probabilities, abs=1e-4)
        faces += len(wanted.faces)
    assert faces >= 9


@pytest.mark.slow
def test_node_answers_the_same(folder, tmp_path):
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("node and npm are not installed")
    shutil.copytree(folder / "app", tmp_path / "app")
    words = ["npm", "install", "--no-audit", "--no-fund", "sharp"]
    if subprocess.run(words, cwd=tmp_path / "app", capture_output=True).returncode:
        pytest.skip("npm cannot install sharp here")
    names = [str(folder / "images" / name) for name in ("a.png", "b.jpg", "c.png", "d.jpg", "g.png", "h.png", "i.png")]
    words = ["node", "recognize.mjs", *names]
    done = subprocess.run(words, cwd=tmp_path / "app", capture_output=True, text=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [bool(one["error"]) for one in told] == [False] * 6 + [True], done.stderr
    recognizer = ExpressionRecognizer()
    for name, one in zip(names[:6], told, strict=False):
        wanted = recognizer.predict(name).faces
        assert len(one["faces"]) == len(wanted), name
        for said, face in zip(one["faces"], wanted, strict=True):
            assert said["box"]["left"] == pytest.approx(face.face.left, abs=0.01)
            assert said["probabilities"] == pytest.approx(face.probabilities, abs=0.01)  # JPEG is decoded by another


def test_predict_gives_the_same_rows_without_torch(folder, tmp_path):
    run_here("predict", folder / "images", "--output", "torch.csv", "--workers", "0", cwd=tmp_path)
    code = "import sys; from fer_lightning.cli.main import main\n"
    words = ["predict", str(folder / "images"), "--ckpt_path", str(folder / "app"), "--output", "ours.csv"]
    code += f"main({words!r})\n"
    code += "print([name for name in ('torch', 'torchvision', 'lightning') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=here())
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    rows, wanted = rows_of(tmp_path / "ours.csv"), rows_of(tmp_path / "torch.csv")
    assert len(rows) == len(wanted) > 12
    for one, other in zip(rows, wanted, strict=True):
        for name, value in other.items():
            numeric = re.fullmatch(r"\d*\.\d+", value or "")
            assert one[name] == (pytest.approx(float(value), abs=2e-4) if numeric else value) or (
                numeric and abs(float(one[name]) - float(value)) < 2e-4
            ), (name, one, other)


def here():
    return os.environ | {"PYTHONPATH": str(PROJECT)}


def test_another_prior_is_that_of_the_original(folder):
    image = folder / "images" / "a.png"
    for prior in ("uniform", 0.5, [0.2, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1]):
        ours, original = (ExpressionRecognizer(model, class_prior=prior) for model in (folder / "app", "pretrained"))
        found, wanted = ours.predict(image).faces[0], original.predict(image).faces[0]
        assert found.probabilities == pytest.approx(wanted.probabilities, abs=1e-4)
        assert ours.model.effective_prior == pytest.approx(original.model.effective_prior)


def test_serve_answers_without_torch(folder):
    program = "import sys; from fer_lightning.cli.main import main; main(sys.argv[1:])"
    words = [sys.executable, "-c", program, "serve", "--port", "0", "--ckpt_path", str(folder / "app")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=here()) as server:
        address = re.search(r"http://\S+", server.stdout.readline())[0]
        request = urllib.request.Request(f"{address}/v1/predict", (folder / "images" / "a.png").read_bytes())
        request.add_header("Content-Type", "image/png")
        with urllib.request.urlopen(request) as answer:
            (image,) = json.load(answer)["images"]
        with urllib.request.urlopen(f"{address}/v1/model") as answer:
            assert json.load(answer)["name"] == "app"
        if os.path.exists(f"/proc/{server.pid}/maps"):
            assert "libtorch" not in Path(f"/proc/{server.pid}/maps").read_text()
        server.terminate()
    wanted = ExpressionRecognizer().predict(folder / "images" / "a.png").faces[0]
    assert image["faces"][0]["probabilities"] == pytest.approx(wanted.probabilities, abs=1e-4)


def test_what_it_says_of_itself(folder):
    about = json.loads((folder / "app" / "model.json").read_text())
    assert about["classes"][:2] == ["anger", "contempt"]
    assert about["input"]["image_size"] == 48
    assert sum(about["class_prior"].values()) == pytest.approx(1)
    assert "judge" in about["must_not_be_used_for"] or "not" in about["must_not_be_used_for"]
    assert "## What it must not be used for" in about["card"]
    for name in ("model.onnx", "detector.onnx"):
        graph = onnx.load(folder / "app" / name)
        assert graph.ir_version <= 8
        assert graph.opset_import[0].version == 17
        assert "Resize" not in {node.op_type for node in graph.graph.node} or name == "detector.onnx"


@pytest.mark.slow
def test_a_folder_that_is_there_is_not_lost(folder, tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "mine.txt").write_text("mine")
    for words in ({}, {"overwrite": True}):
        with pytest.raises(FERError, match=r"files that are of no such export, as 'mine\.txt'"):
            export("pretrained", str(tmp_path / "app"), **words)
    assert [path.name for path in (tmp_path / "app").iterdir()] == ["mine.txt"]
    with pytest.raises(FERError, match="is there already"):
        export("pretrained", str(folder / "app"))
    with pytest.raises(FERError, match="is an exported graph already"):
        export(str(folder / "app"), str(folder / "app"), overwrite=True)
    export("pretrained", str(folder / "app"), overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["app", "images"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "a.onnx", "--opset", "13"], "--opset 13 has no operation that brings faces to size"),
        (["--output", "a.onnx", "--opset", "9"], "--opset"),
        (["--output", "a.pt2", "--opset", "18"], "--opset is for files ending in .onnx, and for folders"),
        (["--output", "a", "--resize", "false"], "--resize false is for files ending in .onnx or .pt2"),
    ],
)
def test_a_mistake_is_one_message(words, message, workdir, capsys):
    with pytest.raises(SystemExit):
        run_here("export", "--ckpt_path", "pretrained", *words, cwd=workdir)
    assert message in capsys.readouterr().err
    assert not list(workdir.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("opset", [13, 18])
def test_graphs_for_older_runtimes(opset, tmp_path):
    export("pretrained", str(tmp_path / "a.onnx"), resize=False, opset=opset)
    graph = onnx.load(tmp_path / "a.onnx")
    assert graph.ir_version <= 8
    assert graph.opset_import[0].version == opset
    assert "Resize" not in {node.op_type for node in graph.graph.node}


@pytest.mark.slow
def test_damaged_ones_are_one_message(folder, tmp_path):
    image = str(folder / "images" / "a.png")
    for name, content in (("model.onnx", b"no"), ("detector.onnx", b"no"), ("detector.onnx", None)):
        bundle = tmp_path / "broken"
        bundle.mkdir(exist_ok=True)
        for path in filter(Path.is_file, (folder / "app").iterdir()):
            (bundle / path.name).write_bytes(path.read_bytes())
        (bundle / name).write_bytes(content or (bundle / "model.onnx").read_bytes())
        done = run("predict", image, "--ckpt_path", bundle, cwd=tmp_path)
        assert done.returncode == 2, (name, done.stdout)
        assert done.stderr.count("\n") == 2  # the message, and the page that explains it
        assert name in done.stderr
    done = run("predict", image, "--ckpt_path", folder / "app", "--explain", "why", cwd=tmp_path)
    assert (done.returncode, "needs the layers of the network" in done.stderr) == (2, True)
    done = run("predict", image, "--ckpt_path", folder / "app", "--tta_flip", "true", cwd=tmp_path)
    assert (done.returncode, "as it was exported: omit --tta_flip" in done.stderr) == (2, True)
    done = run("test", "--ckpt_path", folder / "app", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("Traceback")) == (2, 0)


@pytest.mark.slow
def test_how_faces_are_found_is_said_in_it(folder, tmp_path):
    export("pretrained", str(tmp_path / "whole"), faces="whole")
    assert json.loads((tmp_path / "whole" / "model.json").read_text())["input"]["faces"] == "whole"
    words = [sys.executable, str(tmp_path / "whole" / "recognize.py"), "--json", str(folder / "images" / "a.png")]
    said = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert [face["box"] for face in said["faces"]] == [None]
    assert ExpressionRecognizer(tmp_path / "whole").predict(folder / "images" / "a.png").faces[0].face is None


@pytest.mark.slow
def test_only_bundles_give_way(folder, tmp_path):
    for place in ("index.html", "ort/mine.txt", "model.json/mine.txt"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("mine")
        with pytest.raises(FERError, match="files that are of no such export"):
            export("pretrained", str(tmp_path), overwrite=True)
        assert (tmp_path / place).read_text() == "mine"
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    export("pretrained", f"{tmp_path / 'link'}/")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "ort" / "ort.wasm.min.mjs").is_file()
    with pytest.raises(FERError, match="Expected a folder of its own"):
        export("pretrained", "/")


def without_shape(graph):
    """The same detector with rows and columns exchanged."""
    last = next(node for node in graph.graph.node if "places" in node.output)
    last.output[0] = "turned"
    graph.graph.node.append(onnx.helper.make_node("Transpose", ["turned"], ["places"], perm=[1, 0]))


def infinite(graph):
    """The same detector with weights that overflow."""
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(tensor.dims, 3e38, np.float32), tensor.name))


@pytest.mark.parametrize("change", [without_shape, infinite])
def test_a_detector_that_answers_nonsense_is_one_message(change, folder, tmp_path):
    shutil.copytree(folder / "app", tmp_path / "app")
    graph = onnx.load(tmp_path / "app" / "detector.onnx")
    change(graph)
    onnx.save(graph, tmp_path / "app" / "detector.onnx")
    with pytest.raises(FERError, match=r"The detector .* gives answers that are no faces"):
        ExpressionRecognizer(tmp_path / "app").predict(folder / "images" / "a.png")


def test_the_page_is_told_what_the_service_answers_by(folder, tmp_path):
    shutil.copytree(folder / "app", tmp_path / "app")
    about = json.loads((tmp_path / "app" / "model.json").read_text())
    about["classes"].reverse()
    (tmp_path / "app" / "model.json").write_text(json.dumps(about))
    path = tmp_path / "app" / "model.onnx"
    given = json.loads(browser_files(ExpressionRecognizer(path), path, "app")["/model.json"][0])
    assert given["classes"] == about["classes"][::-1]


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', "[" * 100_000])
def test_its_own_program_says_that_it_is_damaged(content, folder, tmp_path):
    shutil.copytree(folder / "app", tmp_path / "app")
    (tmp_path / "app" / "model.json").write_text(content)
    words = [sys.executable, str(tmp_path / "app" / "recognize.py"), str(folder / "images" / "a.png")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "This folder is damaged" in done.stderr
