"""Finds the landmarks that `FaceLandmarks` learns: `python experiments/mesh_landmarks.py MODEL FERPLUS OUTPUT.npz`.

MODEL is `mediapipe/modules/face_landmark/face_landmark.tflite` in the wheel of mediapipe 0.10.14, which need not be
installed (`pip download --no-deps mediapipe==0.10.14`, then unzip). It takes `pip install tflite`, which reads such
files. Of the last layer's 468 points, the rows of five landmarks are kept, an eye's being the mean of its two corners.

In each image of FERPLUS's training and validation subsets they are found around the box of the largest face, and once
more in the face as it is turned then, as the mesh sees little of a face that is turned by 25 degrees. OUTPUT has the
`images`, uint8 `(n, h, w)`, the `boxes`, float `(n, 4)`: left, top, width and height, the `points`, float `(n, 5, 2)`,
in pixels, and whether an image is for `validation`, bool `(n,)`. Images without a face are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import tflite
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad
from tqdm import tqdm

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.face_alignment import AROUND, CERTAIN, MIDDLE, SEEN, around, fitted, turned
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.image_files import read_image
from fer_lightning.data.splits import TRAINING, VALIDATION

POINTS = ((33, 133), (362, 263), (1,), (61,), (291,))
"""Of the mesh: the corners of the right and left eye, the tip of the nose, the right and left corner of the mouth."""

KINDS = {tflite.TensorType.FLOAT16: np.float16, tflite.TensorType.FLOAT32: np.float32}


def constants(content: bytes) -> list[tuple[str, list[np.ndarray]]]:
    """The operators that have weights, in the file's order, by their names, and these weights."""
    model: Any = tflite.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    names = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
    halves, found = {}, []

    def value(number: int) -> np.ndarray:
        tensor = graph.Tensors(halves.get(number, number))
        data = model.Buffers(tensor.Buffer()).DataAsNumpy()
        return np.frombuffer(data.tobytes(), KINDS[tensor.Type()]).reshape(tensor.ShapeAsNumpy())

    for number in range(graph.OperatorsLength()):
        one = graph.Operators(number)
        code = model.OperatorCodes(one.OpcodeIndex())
        name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if name == "DEQUANTIZE":
            halves[one.Outputs(0)] = one.Inputs(0)
        elif name in ("CONV_2D", "DEPTHWISE_CONV_2D", "PRELU"):
            found.append((name, [value(one.Inputs(place)) for place in range(1, one.InputsLength())]))
    return found


def in_order(network: MeshLandmarks) -> list[tuple[str, torch.nn.Module]]:
    """The network's layers with weights as the file has them: the two heads by turns, once they are equally deep."""
    layers = {
        part: [
            (f"{part}.{name}", layer)
            for name, layer in getattr(network, part).named_modules()
            if not [*layer.children()]
        ]
        for part in ("trunk", "score", "landmarks")
    }
    score, landmarks = layers["score"], layers["landmarks"]
    behind = len(landmarks) - len(score)
    turns = [layer for pair in zip(score, landmarks[behind:], strict=True) for layer in pair]
    return layers["trunk"] + landmarks[:behind] + turns


class _Filtered(nn.Conv2d):
    """A 3 x 3 convolution, padded as TensorFlow does: where the total is odd, more at the end."""

    def __init__(self, before: int, after: int, stride: int, groups: int = 1) -> None:
        super().__init__(before, after, 3, stride, groups=groups)
        self.border = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(pad(input, self.border))


class _Block(nn.Module):
    """What a convolution within each channel and one across them add to their input."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.filtered, self.mixed = _Filtered(before, before, stride, before), nn.Conv2d(before, after, 1)
        self.rectified = nn.PReLU(after)
        self.halved, self.more = stride == 2, after - before

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, h, w) to (n, after, h / stride, w / stride)."""
        shortcut = pad(max_pool2d(x, 2) if self.halved else x, (0, 0, 0, 0, 0, self.more))
        rectified: Tensor = self.rectified(shortcut + self.mixed(self.filtered(x)))
        return rectified


def _stage(before: int, after: int) -> list[nn.Module]:
    return [_Block(before, after, 2), _Block(after, after), _Block(after, after)]


def _head(blocks: list[nn.Module], answers: int) -> nn.Sequential:
    """From 6 x 6 places to answers."""
    return nn.Sequential(*blocks, nn.Conv2d(128, 32, 1), nn.PReLU(32), _Block(32, 32), nn.Conv2d(32, answers, 3))


class MeshLandmarks(nn.Module):
    """Finds five landmarks in the image of a face that is nearly upright.

    Y. Kartynnik, A. Ablavatski, I. Grishchenko, M. Grundmann: Real-time Facial Surface Geometry from Monocular Video on
    Mobile GPUs. arXiv 1907.06724. The layers and weights are those of `face_landmark.tflite` in mediapipe 0.10.14
    (Apache License 2.0) as far as five of its 468 points need them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *(_Filtered(3, 16, 2), nn.PReLU(16), _Block(16, 16), _Block(16, 16)),
            *(_stage(16, 32) + _stage(32, 64) + _stage(64, 128) + _stage(128, 128)),
        )
        self.score = _head([_Block(128, 128, 2)], 1)
        self.landmarks = _head(_stage(128, 128), 10)

    def forward(self, image: Tensor) -> Tensor:
        """What an image says of the face in it.

        Args:
            image: (n, 3, 192, 192), float, red, green, blue, 0 to 1: a face, of which the box takes two thirds to four
                fifths of the width.

        Returns:
            (n, 11), float: confidence that there is a face, 0 to 1; x and y of the right eye, left eye, tip of the
            nose, right and left corner of the mouth (right and left of the person), in pixels of the image.
        """
        seen = self.trunk(image)
        return torch.cat((self.score(seen).sigmoid().flatten(1), self.landmarks(seen).flatten(1)), 1)


def converted(model: Path) -> MeshLandmarks:
    """The network with the weights of a file of MediaPipe's."""
    network = MeshLandmarks()
    weights: dict[str, Tensor] = {}
    for (name, layer), (kind, values) in zip(in_order(network), constants(model.read_bytes()), strict=True):
        weight, *bias = [np.array(one) for one in values]
        if name == "landmarks.6":
            rows = np.array([[3 * point + axis for axis in (0, 1)] for point in range(468)])
            weight, bias[0] = (
                np.concatenate([one.astype(np.float32)[rows[list(some)]].mean(0) for some in POINTS])
                for one in (weight, bias[0])
            )
        if kind == "PRELU":
            weight = weight.ravel()
        else:  # height and width in the middle, channels last
            weight = weight.transpose((0, 3, 1, 2) if kind == "CONV_2D" else (3, 0, 1, 2))
            weights[f"{name}.bias"] = torch.from_numpy(bias[0].copy())
        assert tuple(weight.shape) == tuple(layer.weight.shape), f"{name} is of another shape"  # type: ignore[union-attr]
        weights[f"{name}.weight"] = torch.from_numpy(weight.copy())
    network.load_state_dict(weights)
    return network.eval().to(memory_format=torch.channels_last)


def found_in(image: Any, face: Face, network: MeshLandmarks) -> np.ndarray | None:
    """The landmarks of a face, float `(5, 2)` in pixels of an RGB image, or None if none are seen."""

    def look(pixels: np.ndarray) -> tuple[float, np.ndarray]:
        with torch.inference_mode():
            sure, *found = network(torch.tensor(pixels).permute(2, 0, 1)[None] / 255)[0].tolist()
        return sure, np.array(found).view(np.complex128)

    seen = around(image, face, AROUND, SEEN)
    sure, points = look(seen)
    if sure < CERTAIN:
        return None
    shift, turn = fitted(points)
    _, points = look(turned(seen, shift, turn, SEEN, AROUND))
    points = (shift + turn * (points / SEEN - MIDDLE) * AROUND) / SEEN - MIDDLE
    side = 2 * max(round(max(face.width, face.height) * AROUND / 2), 1)
    middle = complex(round(face.left + face.width / 2), round(face.top + face.height / 2))
    return (middle + points * side).view(float).reshape(5, 2)


def main() -> None:
    """Find and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    network = converted(options.model)
    split = FERDataModule(options.data, split="predefined", val_fraction=0.05).split
    subsets = [(row, subset == VALIDATION) for subset in (TRAINING, VALIDATION) for row in split.rows(subset)]
    found = []
    for row, validating in tqdm(subsets, unit=" images", mininterval=10):
        image = read_image(split.legend.image_dir / split.legend.images[row]).convert("RGB")
        for face in find_faces(image)[:1]:
            if (points := found_in(image, face, network)) is not None:
                box = (face.left, face.top, face.width, face.height)
                found.append((np.asarray(image.convert("L")), box, points, validating))
    images, boxes, points, validates = map(np.array, zip(*found, strict=True))
    np.savez(options.output, images=images, boxes=boxes, points=points, validation=validates)
    print(f"Landmarks of {len(found):,} faces in {len(subsets):,} images; {options.output}")


if __name__ == "__main__":
    main()
