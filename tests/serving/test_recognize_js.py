"""The page's own recognizer, recognize.js, run by Node: it has to see what fer_lightning sees, pixel for pixel."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

import fer_lightning.serving
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.image_files import as_seen
from fer_lightning.data.input_spec import InputSpec

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
