"""Facial expressions from the files in this folder, with numpy, Pillow and onnxruntime alone.

    python recognize.py photo.jpg another.png      # what the faces show, on the screen
    python recognize.py --json photo.jpg           # the same for programs, one line an image

    from recognize import Recognizer
    recognizer = Recognizer("app")                 # this folder
    for face in recognizer("photo.jpg"):           # a path, an open file or a PIL image
        print(face["label"], face["confidence"], face["box"])

The answers are those of fer_lightning, which wrote this folder. Nothing is sent anywhere.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it notes each start in a file; nothing here reports home
import onnxruntime
from PIL import Image, ImageOps

Face = dict[str, Any]

FORMAT = 1
"""Of model.json."""


class Recognizer:
    """Names the expressions in images. Several threads may use one at once.

    Args:
        folder: The folder with model.json and the networks.
        threads: Cores that a network uses.
    """

    def __init__(self, folder: str | os.PathLike[str] = Path(__file__).parent, threads: int = 1) -> None:
        folder = Path(folder)
        self.about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if self.about.get("format") != FORMAT:
            raise ValueError(f"{folder} has format {self.about.get('format')}; this program reads {FORMAT}")
        self.spec, self.detection = self.about["input"], self.about["detection"]
        self.classes = self.about["classes"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.networks = {
            name: onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
            for name in ("model", "detector", *(["landmarks"] if self.spec.get("align") else []))
        }

    def __call__(
        self, image: str | os.PathLike[str] | IO[bytes] | Image.Image, whole: bool | None = None
    ) -> list[Face]:
        """What the faces in an image show, the largest first.

        Args:
            image: A path, an open file or a PIL image.
            whole: Take the image as one face, or do not; None does as in training.

        Returns:
            A list of dictionaries: box (left, top, width, height in pixels of the upright image, score; None for the
            whole image), landmarks (x, y of right eye, left eye, nose, right and left corner of the mouth), label,
            confidence and probabilities.
        """
        seen = upright(image)
        whole = self.spec["faces"] == "whole" if whole is None else whole
        faces: Sequence[Face | None] = [None] if whole else self.find_faces(seen)
        if not faces:
            return []
        pixels = np.stack([self.prepare(seen, face) for face in faces])
        answers = self.networks["model"].run(None, {"image": pixels})[0]
        return [self._answer(face, row) for face, row in zip(faces, answers.tolist(), strict=True)]

    def _answer(self, face: Face | None, row: list[float]) -> Face:
        best = max(row)
        return {
            "box": face and {name: face[name] for name in ("left", "top", "width", "height", "score")},
            "landmarks": face and face["landmarks"],
            "label": self.classes[row.index(best)],
            "confidence": best,
            "probabilities": dict(zip(self.classes, row, strict=True)),
        }

    def find_faces(self, image: Image.Image) -> list[Face]:
        """The faces in an RGB image, the largest first, in its pixels."""
        how, longest = self.detection, max(image.size)
        enough = longest >= how["shortest"]
        scale = min(how["longest"] / longest, 1) if enough else min(how["shortest"] / longest, how["at_most"])
        if scale != 1:
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(size, Image.Resampling.BILINEAR)
        padded = np.zeros((-(-image.height // 32) * 32, -(-image.width // 32) * 32, 3), np.uint8)
        padded[: image.height, : image.width] = np.asarray(image)
        places = self.networks["detector"].run(None, {"image": padded})[0]
        rows = once(places[places[:, 0] >= how["sure"]], how["same"])
        rows = np.trunc(rows * ([100] + [1] * 14)) / ([100] + [scale] * 14)  # as libfacedetection cuts them
        faces: list[Face] = [
            {
                **dict(zip(("score", "left", "top", "width", "height"), row[:5], strict=True)),
                "landmarks": [list(point) for point in zip(row[5::2], row[6::2], strict=True)],
            }
            for row in rows.tolist()
        ]
        faces = [face for face in faces if face["width"] > 0 and face["height"] > 0]
        return sorted(faces, key=lambda face: -face["width"] * face["height"])

    def prepare(self, image: Image.Image, face: Face | None = None) -> np.ndarray:
        """A face (without one, the whole image) as model.onnx takes it, uint8 (size, size, 3)."""
        spec = self.spec
        aligned = self._aligned(image, face) if face and spec.get("align") else None
        if aligned:
            image = aligned
        elif face:
            side = min(max(face["width"], face["height"]) * (1 + spec["margin"]), *image.size)
            left = min(max(face["left"] + face["width"] / 2 - side / 2, 0), image.width - side)
            top = min(max(face["top"] + face["height"] / 2 - side / 2, 0), image.height - side)
            left, top, right, bottom = map(round, (left, top, left + side, top + side))
            image = image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
        image = image.convert("RGB" if spec["color"] == "rgb" else "L")
        size = (spec["image_size"], spec["image_size"])
        image = image.resize(size, Image.Resampling[spec["interpolation"].upper()])
        return np.asarray(image.convert("RGB"))

    def _aligned(self, image: Image.Image, face: Face) -> Image.Image | None:
        """A face turned upright, its eyes, nose and mouth in their places, twice as large; None if none is seen."""
        how, side, middle = self.about["alignment"], self.spec["image_size"], 0.5 + 0.5j
        places = np.array([complex(*place) for place in how["places"]]) - middle
        seen, wide = how["seen"], (1 + self.spec["margin"]) / (1 + how["usual"])

        pixels = around(image, face, how["around"], seen)
        sure, *numbers = self.networks["landmarks"].run(None, {"image": pixels})[0].tolist()
        if sure < how["certain"]:
            return None
        halves = np.floor(2 * np.array(numbers) + 0.5) / 2  # so that all runtimes turn a face alike
        found = halves[::2] + 1j * halves[1::2]
        spread, center = places - places.mean(), found.mean()
        turn = complex((spread.conj() * (found - center)).sum() / (abs(spread) ** 2).sum())
        shift = complex(center) - turn * complex(places.mean())
        wider, larger = max(wide, 1), seen * -(-side // 128)
        if (wider, larger) != (1, seen):
            pixels = around(image, face, how["around"] * wider, larger)
            shift, turn = ((shift / seen - middle) / wider + middle) * larger, turn / seen / wider * larger
        return Image.fromarray(turned(pixels, shift, turn, 2 * side, wide))


def around(image: Image.Image, face: Face, scale: float, pixels: int) -> np.ndarray:
    """The square around a box, `scale` times its longer side, where the image ends continued with its last pixels."""
    half = max(round(max(face["width"], face["height"]) * scale / 2), 1)
    left, top = round(face["left"] + face["width"] / 2) - half, round(face["top"] + face["height"] / 2) - half
    sides = zip((left, top), image.size, strict=True)
    columns, rows = (np.arange(start, start + 2 * half).clip(0, most - 1) for start, most in sides)
    within = image.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
    part = np.asarray(within)[rows - rows[0]][:, columns - columns[0]]
    return np.array(Image.fromarray(part).resize((pixels, pixels), Image.Resampling.BICUBIC))


def turned(image: np.ndarray, shift: complex, turn: complex, side: int, wide: float) -> np.ndarray:
    """The face with its middle at `shift` and of side and direction `turn`, `wide` times it, uint8 (side, side, 3)."""
    steps = ((np.arange(side) + 0.5) / side - 0.5) * wide
    most = len(image) - 1
    left = (shift.real + (turn.real * steps - turn.imag * steps[:, None]) - 0.5).clip(0, most)
    top = (shift.imag + (turn.real * steps[:, None] + turn.imag * steps) - 0.5).clip(0, most)
    column, row = left.astype(int), top.astype(int)
    rows, columns = (row, np.minimum(row + 1, most)), (column, np.minimum(column + 1, most))
    corners = [one * len(image) + other for one in rows for other in columns]
    share, below = left - column, top - row
    made = np.empty((side, side, 3), np.uint8)
    for channel, values in enumerate(image.reshape(-1, 3).T.copy()):  # one after the other takes half the time
        first, second, third, fourth = (values[corner] for corner in corners)
        upper, lower = first * (1 - share) + second * share, third * (1 - share) + fourth * share
        made[..., channel] = upper * (1 - below) + lower * below + 0.5
    return made


def once(found: np.ndarray, same: float) -> np.ndarray:
    """Of the boxes for one face the most confident one (greedy non-maximum suppression)."""
    rest, kept = found[np.argsort(-found[:, 0], kind="stable")], []
    while len(rest):
        kept.append(rest[0])
        near, far = rest[:, 1:3], rest[:, 1:3] + rest[:, 3:5]
        shared = (np.minimum(far, far[0]) - np.maximum(near, near[0])).clip(0).prod(1)
        areas = rest[:, 3] * rest[:, 4]
        rest = rest[1:][(shared <= same * (areas + areas[0] - shared))[1:]]
    return np.array(kept).reshape(-1, 15).astype(float)


def upright(image: str | os.PathLike[str] | IO[bytes] | Image.Image) -> Image.Image:
    """An image in RGB as a viewer shows it: EXIF rotation applied, deep gray in 8 bits, transparent pixels white."""
    if not isinstance(image, Image.Image):
        with Image.open(image) as opened:
            opened.load()
            return upright(opened)
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM", None)):
        raise ValueError("gray of 32 bits is not read here: save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray((np.asarray(image, np.float32).clip(0, 65535) * (255 / 65535)).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def sentence(face: Face) -> str:
    """An answer for people."""
    box = face["box"]
    where = "the whole image" if box is None else "{left:.0f},{top:.0f} {width:.0f} x {height:.0f}".format(**box)
    others = sorted(face["probabilities"].items(), key=lambda one: -one[1])[1:3]
    rest = ", ".join(f"{name} {value:.2f}" for name, value in others)
    return f"{face['label']} {face['confidence']:.2f} ({rest})  at {where}"


def main() -> int:
    """The command line."""
    about = "Names the facial expressions in photographs. An expression is not an emotion felt."
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("images", nargs="+", help="image files")
    parser.add_argument("--whole", action="store_true", help="take each image as one face, cut out already")
    parser.add_argument("--json", action="store_true", help="one line of JSON an image")
    given = parser.parse_args()
    try:
        recognizer, failed = Recognizer(), 0
    except Exception as problem:  # whatever onnxruntime raises; a file is missing or damaged
        print(f"This folder is damaged: {str(problem).partition(chr(10))[0]}. Export it again.", file=sys.stderr)
        return 1
    for path in given.images:
        try:
            faces, error = recognizer(path, whole=given.whole or None), ""
        except Exception as problem:  # decoders and onnxruntime raise what they like
            faces, error, failed = [], str(problem).partition("\n")[0] or type(problem).__name__, 1
        if given.json:
            print(json.dumps({"image": path, "faces": faces, "error": error}))
        else:
            told = [f"error: {error}"] if error else [sentence(face) for face in faces] or ["no face"]
            print(path, *told, sep="\n  ")
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # whoever read has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
