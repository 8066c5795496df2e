"""Graphs for programs without fer_lightning: images of faces in, probabilities out."""

import io
import json
import warnings
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.nn.functional import interpolate

from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.errors import FERError
from fer_lightning.inference.model import EXPORTED
from fer_lightning.model.expression_model import ExpressionModel

_IR = 8
"""The version of ONNX's format: the first that has all that opset 18 needs, so that older runtimes read it too."""


class DeployedModel(nn.Module):
    """Color, size and an ExpressionModel in one module, for export.

    Input: uint8 `(n, height, width, 3)`, RGB, face crops of any size. Output: float `(n, classes)`, probabilities.

    Pixels are rounded where PIL rounds them; PIL also rounds between resizing rows and columns, so a value may differ
    by one of 255 from what the training saw. The model is shared, not copied, and set to answer.
    """

    luma: Tensor

    def __init__(self, model: ExpressionModel) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("luma", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1))  # ITU-R BT.601, as PIL's
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """Calibrated probabilities, float `(n, classes)`, of faces, uint8 `(n, height, width, 3)`, RGB."""
        spec = self.model.input_spec
        pixels = image.permute(0, 3, 1, 2).float()
        if spec.color == "gray":
            pixels = (pixels * self.luma).sum(1, keepdim=True).round()
        size = [spec.image_size, spec.image_size]
        if spec.interpolation == "nearest":
            pixels = interpolate(pixels, size, mode="nearest-exact")
        else:
            pixels = interpolate(pixels, size, mode=spec.interpolation, align_corners=False, antialias=True)
        return self.model.probabilities(pixels.round().clamp(0, 255))


def graph_bytes(model: ExpressionModel, info: CheckpointInfo, suffix: str) -> bytes:
    """A .pt2 or .onnx file. What it says is that its answers are for the prior that they are moved to."""
    deployed = DeployedModel(model)
    said = replace(info, config="", learned_prior=tuple(model.effective_prior), class_prior="training")
    about = json.dumps(said.to_dict())
    side = model.input_spec.image_size
    example = (torch.zeros(2, side + 5, side + 9, 3, dtype=torch.uint8),)
    shapes = {"image": {place: torch.export.Dim(name) for place, name in enumerate(("n", "height", "width"))}}
    if suffix == EXPORTED:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No complete tensor found")
            program = torch.export.export(deployed, example, dynamic_shapes=shapes)
            if any(isinstance(node.target, HigherOrderOperator) for node in program.graph.nodes):
                program = program.run_decompositions()  # graphs within graphs, as for a part in another precision
            program.example_inputs = None  # they would be a pickle, which nobody should have to trust
            for node in program.graph.nodes:
                node.meta.pop("stack_trace", None)  # paths of this machine
            buffer = io.BytesIO()  # into a file, torch ends the process when the disk is full
            torch.export.save(program, buffer, extra_files={KEY: about})
        return buffer.getvalue()
    try:
        import onnx
        import onnxruntime  # noqa: F401 (for the comparison)
        import onnxscript  # noqa: F401 (torch's exporter)
    except ImportError as error:
        raise FERError(f"ONNX files need {error.name}: pip install onnx onnxscript onnxruntime.") from None
    made = torch.onnx.export(
        deployed,
        example,
        dynamo=True,
        opset_version=18,  # the first in which Resize can antialias
        input_names=["image"],
        output_names=["probabilities"],
        dynamic_shapes=shapes,
        verbose=False,
    )
    if made is None:
        raise FERError("torch could not turn this network into an ONNX graph.")
    license = (info.training and info.training.license) or "not stated"
    entries = {KEY: about, "class_names": json.dumps(info.class_names), "license_of_the_training_data": license}
    graph = made.model_proto
    onnx.helper.set_model_props(graph, entries)
    graph.ir_version = min(graph.ir_version, _IR)
    content: bytes = graph.SerializeToString()
    return content
