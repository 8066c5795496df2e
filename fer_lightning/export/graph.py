"""Graphs for programs without fer_lightning: images of faces in, probabilities out."""

import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.nn.functional import interpolate

from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.data.face_alignment import SEEN, load_landmarks
from fer_lightning.data.face_detectors import load_yunet
from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.inference.model import EXPORTED
from fer_lightning.model.expression_model import ExpressionModel

_IR = 8
"""The version of ONNX's format: the first that has all that opset 18 needs, so that older runtimes read it too."""

OPSETS = (13, 18)
"""The lowest and the highest version of ONNX's operations to choose. Only from 18 on, Resize can antialias."""


class DeployedModel(nn.Module):
    """Color, size and an ExpressionModel in one module, for export.

    Input: uint8 `(n, height, width, 3)`, RGB, face crops of any size, or without `resize`, of the network's
    own. Output: float `(n, classes)`, probabilities.

    Pixels are rounded where PIL rounds them; PIL also rounds between resizing rows and columns, so a value may differ
    by one of 255 from what the training saw. The model is shared, not copied, and set to answer.
    """

    luma: Tensor

    def __init__(self, model: ExpressionModel, resize: bool = True) -> None:
        super().__init__()
        self.model, self.resize = model, resize
        self.register_buffer("luma", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1))  # ITU-R BT.601, as PIL's
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """Calibrated probabilities, float `(n, classes)`, of faces, uint8 `(n, height, width, 3)`, RGB."""
        spec = self.model.input_spec
        pixels = image.permute(0, 3, 1, 2).float()
        if spec.color == "gray":
            pixels = (pixels * self.luma).sum(1, keepdim=True).round()
        size = [spec.image_size, spec.image_size]
        if not self.resize:
            return self.model.probabilities(pixels)
        if spec.interpolation == "nearest":
            pixels = interpolate(pixels, size, mode="nearest-exact")
        else:
            pixels = interpolate(pixels, size, mode=spec.interpolation, align_corners=False, antialias=True)
        return self.model.probabilities(pixels.round().clamp(0, 255))


class DeployedDetector(nn.Module):
    """The face detector for programs without fer_lightning.

    Input: uint8 `(height, width, 3)`, RGB, both sides multiples of 32. Output: float `(places, 15)`, see `YuNet`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = load_yunet()

    def forward(self, image: Tensor) -> Tensor:
        """What each place in the image says of a face."""
        found: Tensor = self.network(image.flip(2).permute(2, 0, 1).unsqueeze(0).float())
        return found


class DeployedLandmarks(nn.Module):
    """The network by which faces are aligned, for programs without fer_lightning.

    Input: uint8 `(192, 192, 3)`, RGB. Output: float `(11,)`, see `FaceLandmarks`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = load_landmarks()

    def forward(self, image: Tensor) -> Tensor:
        """What the image says of the face in it."""
        found: Tensor = self.network(image.permute(2, 0, 1).unsqueeze(0).float() / 255)
        return found[0]


def graph_bytes(
    model: ExpressionModel, info: CheckpointInfo, suffix: str, resize: bool = True, opset: int = OPSETS[1]
) -> bytes:
    """A .pt2 or .onnx file. What it says is that its answers are for the prior that they are moved to.

    Args:
        model: The model.
        info: What the file says about it.
        suffix: `.pt2` or `.onnx`.
        resize: Whether the graph brings faces to size; else they have to be of that size.
        opset: Of an ONNX file, the version of its operations.
    """
    deployed = DeployedModel(model, resize)
    said = replace(info, config="", learned_prior=tuple(model.effective_prior), class_prior="training")
    about = json.dumps(said.to_dict())
    side = model.input_spec.image_size
    example = torch.zeros(2, side + 5 * resize, side + 9 * resize, 3, dtype=torch.uint8)
    sides = ("n", "height", "width") if resize else ("n",)
    if suffix == EXPORTED:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No complete tensor found")
            program = torch.export.export(deployed, (example,), dynamic_shapes=_dynamic(sides))
            if any(isinstance(node.target, HigherOrderOperator) for node in program.graph.nodes):
                program = program.run_decompositions()  # graphs within graphs, as for a part in another precision
            program.example_inputs = None  # they would be a pickle, which nobody should have to trust
            for node in program.graph.nodes:
                node.meta.pop("stack_trace", None)  # paths of this machine
            buffer = io.BytesIO()  # into a file, torch ends the process when the disk is full
            torch.export.save(program, buffer, extra_files={KEY: about})
        return buffer.getvalue()
    license = (info.training and info.training.license) or "not stated"
    entries = {KEY: about, "class_names": json.dumps(info.class_names), "license_of_the_training_data": license}
    return _onnx(deployed, example, sides, 1, "probabilities", entries, opset)


def detector_bytes(opset: int = OPSETS[1]) -> bytes:
    """The face detector as an ONNX file, from `image` to `places`; see `DeployedDetector`."""
    example = torch.zeros(64, 96, 3, dtype=torch.uint8)
    entries = {KEY: "detector", "license": "BSD-3-Clause, Shiqi Yu"}
    return _onnx(DeployedDetector(), example, ("height", "width"), 32, "places", entries, opset)


def landmarks_bytes(opset: int = OPSETS[1]) -> bytes:
    """The landmarks' network as an ONNX file, from `image` to `landmarks`; see `DeployedLandmarks`."""
    example = torch.zeros(SEEN, SEEN, 3, dtype=torch.uint8)
    entries = {KEY: "landmarks", "license": "Apache-2.0, taught by MediaPipe on FER+"}
    return _onnx(DeployedLandmarks(), example, (), 1, "landmarks", entries, opset)


def _dynamic(sides: Sequence[str], multiple: int = 1) -> dict[str, dict[int, Any]]:
    """Which sides of `image` may be of any length (of a multiple of something), for torch.export."""
    return {
        "image": {
            place: multiple * torch.export.Dim(f"{name}_") if multiple > 1 else torch.export.Dim(name)
            for place, name in enumerate(sides)
        }
    }


def _onnx(
    module: nn.Module,
    example: Tensor,
    sides: Sequence[str],
    multiple: int,
    output: str,
    entries: dict[str, str],
    opset: int,
) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401 (torch's exporter)
    except ImportError as error:
        raise MissingPackageError(f"ONNX files need {error.name}: pip install onnx onnxscript onnxruntime.") from None
    newest = opset == OPSETS[1]  # what torch's exporter of today writes; its earlier one writes earlier ones
    longer = {"dynamic_shapes": _dynamic(sides, multiple)}
    shapes: dict[str, Any] = longer if newest else {"dynamic_axes": {"image": dict(enumerate(sides))}}
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (example,),
                buffer,  # type: ignore[arg-type]  # which it takes as well
                dynamo=newest,
                opset_version=opset,
                input_names=["image"],
                output_names=[output],
                verbose=False,
                **shapes,
            )
    except (RuntimeError, TypeError, ValueError) as error:  # torch's own have these as bases
        said = str(error).partition("\n")[0][:200]
        raise FERError(f"torch could not turn this network into an ONNX graph of opset {opset}: {said}") from None
    graph = onnx.load_model_from_string(buffer.getvalue())
    onnx.helper.set_model_props(graph, entries)
    graph.ir_version = min(graph.ir_version, _IR)
    content: bytes = graph.SerializeToString()
    return content
