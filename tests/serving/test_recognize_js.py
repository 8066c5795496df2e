"""The page's own recognizer, recognize.js, run by Node: it has to see what fer_lightning sees, pixel for pixel."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
import skimage.data
from PIL import Image

import fer_lightning.serving
from fer_lightning.checkpoints.finding import find_checkpoint
from fer_lightning.checkpoints.reading import read_checkpoint
from fer_lightning.checkpoints.weights import save_weights
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.image_files import as_seen
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.sources.synthetic_face import draw_face
from fer_lightning.export.export import export
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.serving.browser import browser_files

NODE = shutil.which("node") or ""
PAGE = Path(fer_lightning.serving.__file__).parent / "page"

pytestmark = pytest.mark.skipif(not NODE, reason="Node is not installed: apt-get install nodejs")


def in_node(folder: Path, jobs: list[dict[str, Any]], images: list[Image.Image]) -> list[Any]:
    """What recognize.js makes of images: answers, or the bytes of pixels."""
    for number, (job, image) in enumerate(zip(jobs, images, strict=True)):
        (folder / f"{number}.in").write_bytes(image.tobytes())
        job |= {"file": f"{number}.in", "width": image.width, "height": image.height}
        job["channels"] = len(image.getbands())
    (folder / "jobs.json").write_text(json.dumps(jobs))
    script = Path(__file__).with_name("recognize_in_node.mjs")
    done = subprocess.run([NODE, script, PAGE, folder], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "results.json").read_text()) or [
        (folder / f"{number}.out").read_bytes() for number in range(len(jobs))
    ]


def noise(random: np.random.Generator, width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Hard edges of any value, where rounding and clipping show."""
    return Image.frombytes(mode, (width, height), random.bytes(width * height * len(mode)))


@pytest.mark.parametrize("filter", ["nearest", "bilinear", "bicubic"])
def test_resize_is_that_of_pil(tmp_path, filter):
    random = np.random.default_rng(0)
    sizes = [(1, 1, 7, 5), (7, 3, 7, 100), (7, 3, 100, 3), (641, 479, 48, 48), (2, 997, 640, 1), (48, 48, 48, 48)]
    sizes += random.integers(1, 300, (40, 4)).tolist()
    if int(PIL.__version__.partition(".")[0]) < 13:  # where Pillow's order of rows and columns was another
        sizes = [one for one in sizes if one[1] - one[3] <= max(0, 2 * (one[0] - one[2]))]
    images = [noise(random, w, h, random.choice(["RGB", "L"])) for w, h, _, _ in sizes]
    images = [image.point(lambda v: 255 * (v > 127)) if n % 2 else image for n, image in enumerate(images)]
    jobs = [{"what": "resize", "to": size[2:], "filter": filter} for size in sizes]
    made = in_node(tmp_path, jobs, images)
    for image, size, content in zip(images, sizes, made, strict=True):
        assert content == image.resize(tuple(size[2:]), Image.Resampling[filter.upper()]).tobytes(), size


def test_gray_and_transparency_are_those_of_pil(tmp_path):
    random = np.random.default_rng(1)
    images = [noise(random, 301, 203), noise(random, 301, 203, "RGBA")]
    gray, white = in_node(tmp_path, [{"what": "luma"}, {"what": "white"}], images)
    assert gray == images[0].convert("L").tobytes()
    assert white == as_seen(images[1]).tobytes()


def test_crops_are_those_of_the_input_specification(tmp_path):
    random = np.random.default_rng(2)
    images, faces, specs = [], [], []
    for number in range(40):
        width, height = random.integers(3, 200, 2).tolist()
        images.append(noise(random, width, height))
        # whole and half pixels, boxes beyond the image: where Python rounds to the even neighbor
        left, top, wide, high = (random.integers(-10, 2 * max(width, height), 4) / random.choice([1, 2, 3.7])).tolist()
        faces.append(Face(left, top, wide + 0.5, high + 0.5, 0.9) if number % 8 else None)
        names = random.choice(["nearest", "bilinear", "bicubic"]), random.choice(["rgb", "gray"])
        margin = float(random.choice([0, 0.02, 0.5, -0.3]))
        specs.append(InputSpec(int(random.integers(1, 99)), str(names[1]), str(names[0]), margin=margin))
    jobs = [
        {"what": "prepare", "face": face and asdict(face), "spec": spec.to_dict()}
        for face, spec in zip(faces, specs, strict=True)
    ]
    for image, face, spec, content in zip(images, faces, specs, in_node(tmp_path, jobs, images), strict=True):
        pixels = spec.prepare(image, face)
        expected = pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy().tobytes()
        assert content == expected, (image.size, face, spec)


def pictures() -> list[Image.Image]:
    """Images with no face, one and many, of many sizes: photographs and drawings."""
    random = np.random.default_rng(3)
    astronaut = Image.fromarray(skimage.data.astronaut())
    sizes = [(512, 512), (700, 433), (211, 300), (150, 150), (60, 71), (1600, 1599), (2500, 1200), (129, 640)]
    found = [astronaut.resize(size, Image.Resampling.LANCZOS) for size in sizes]
    found += [astronaut.rotate(angle, expand=True) for angle in (15, -25, 90)]
    found += [astronaut.transpose(Image.Transpose.FLIP_LEFT_RIGHT), astronaut.crop((150, 30, 301, 201))]
    found += [Image.new("RGB", (300, 200), "gray"), noise(random, 333, 222), Image.fromarray(skimage.data.coffee())]
    for number in range(4):  # several faces of several sizes, some over the edge
        crowd = Image.new("RGB", (900 - 100 * number, 611), (90, 110, 60 * number))
        for place in range(5):
            side, left, top = int(random.integers(60, 260)), *random.integers(-40, 500, 2).tolist()
            face = draw_face(EXPRESSIONS[place + number % 4], (1, place), number).convert("RGB")
            face = astronaut.crop((170, 40, 281, 190)) if place % 2 else face
            crowd.paste(face.resize((side, side * 5 // 4)), (left, top))
        found.append(crowd)
    return found


@pytest.fixture(scope="module")
def networks(recognizer, tmp_path_factory) -> Path:
    """A folder with the files that the page asks for."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'fer_lightning[onnx]'")
    folder = tmp_path_factory.mktemp("networks")
    for path, (content, _) in browser_files(recognizer, find_checkpoint("pretrained", folder), "pretrained").items():
        (folder / path.lstrip("/")).write_bytes(content)
    return folder


@pytest.mark.slow
def test_what_the_page_is_given(networks, recognizer, tmp_path):
    about = json.loads((networks / "model.json").read_text())
    assert about["classes"] == list(recognizer.model.class_names)
    assert about["input"] == recognizer.input_spec.to_dict()
    assert "Do not use" in about["must_not_be_used_for"]
    assert about["threshold"] == 0
    export("pretrained", str(tmp_path / "app"))  # of which serve does the same without torch
    model = tmp_path / "app" / "model.onnx"
    given = browser_files(ExpressionRecognizer(model, faces="whole"), model, "app")
    assert json.loads(given["/model.json"][0])["input"] == about["input"] | {"faces": "whole"}
    assert given["/model.onnx"] == (model.read_bytes(), "application/octet-stream")
    assert (
        browser_files(ExpressionRecognizer(model, class_prior="uniform"), model, "app") == {}
    )  # its graph says another


def test_nothing_is_given_where_the_answers_would_differ(recognizer, tmp_path):
    path = tmp_path / "whole.pt2"  # a graph for faces of any size
    assert browser_files(recognizer, path, "whole") == {}


@pytest.mark.parametrize("whole", [False, True])
def test_answers_are_those_of_the_recognizer(networks, recognizer, whole):
    compare(networks, recognizer, whole, 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "margin"), [(48, 0.02), (48, 0.4), (160, -0.2)])
def test_faces_are_aligned_as_by_the_recognizer(aligning, tmp_path, side, margin):
    info, state = read_checkpoint(aligning)
    spec = replace(info.input_spec, image_size=side, margin=margin)
    path = tmp_path / "other.safetensors"
    save_weights(replace(info, input_spec=spec), state, path)
    recognizer = ExpressionRecognizer(path, device="cpu")
    for place, (content, _) in browser_files(recognizer, path, "other").items():
        (tmp_path / place.lstrip("/")).write_bytes(content)
    assert (tmp_path / "landmarks.onnx").is_file()
    compare(tmp_path, recognizer, whole=False, most=1e-4)
    unaligned = ExpressionRecognizer(recognizer)
    unaligned.input_spec = replace(spec, align=False)
    aligned, plain = (
        [face for one in each.predict(pictures()) for face in one.faces] for each in (recognizer, unaligned)
    )
    apart = [abs(one.confidence - other.confidence) for one, other in zip(aligned, plain, strict=True)]
    assert max(apart) > 0.05  # the two are told apart above


def compare(networks: Path, recognizer: ExpressionRecognizer, whole: bool, most: float) -> None:
    """Look at pictures by Node and by the recognizer; probabilities may differ by so much."""
    images = pictures()
    jobs = [{"what": "recognize", "options": {"whole": whole, "least": 0.5}} for _ in images]
    answers = in_node(networks, jobs, images)
    seen = [
        ExpressionRecognizer(recognizer, faces="whole" if whole else "auto").predict(image).faces for image in images
    ]
    worst = count = 0
    for image, answer, faces in zip(images, answers, seen, strict=True):
        assert len(answer["faces"]) == len(faces), image.size
        for found, face in zip(answer["faces"], faces, strict=True):
            if face.face is None:
                assert found["box"] is None
                assert found["landmarks"] is None
            else:
                box = [face.face.left, face.face.top, face.face.width, face.face.height, face.face.score]
                assert [*found["box"].values()] == [round(value, 2) for value in box], image.size
                assert found["landmarks"] == [[round(value, 2) for value in point] for point in face.face.landmarks]
            probabilities = np.array([found["probabilities"][name] for name in face.probabilities])
            worst = max(worst, np.abs(probabilities - [*face.probabilities.values()]).max())
            assert found["uncertain"] == (face.confidence < 0.5)
            assert found["label"] == ("uncertain" if found["uncertain"] else face.label)
            count += 1
    print(f"{len(images)} images, {count} faces, difference {worst:.1e}, {[round(one['ms']) for one in answers]} ms")
    assert worst < most
    assert count >= 20
