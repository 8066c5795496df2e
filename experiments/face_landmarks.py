"""Makes the weights of `FaceLandmarks` from MediaPipe's: `python experiments/face_landmarks.py MODEL OUTPUT`.

MODEL is `mediapipe/modules/face_landmark/face_landmark.tflite` in the wheel of mediapipe 0.10.14, which need not be
installed (`pip download --no-deps mediapipe==0.10.14`, then unzip). It takes `pip install tflite`, which reads such
files. Of the last layer's 468 points, the rows of five landmarks are kept, an eye's being the mean of its two corners.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import tflite
import torch
from safetensors.torch import save_file

from fer_lightning.networks.face_landmarks import FaceLandmarks

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


def in_order(network: FaceLandmarks) -> list[tuple[str, torch.nn.Module]]:
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


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    weights: dict[str, torch.Tensor] = {}
    for (name, layer), (kind, values) in zip(
        in_order(FaceLandmarks()), constants(options.model.read_bytes()), strict=True
    ):
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
    save_file(weights, options.output, {"license": "Apache-2.0, MediaPipe"})
    print(f"{sum(one.numel() for one in weights.values()):,} numbers; {options.output}")


if __name__ == "__main__":
    main()
