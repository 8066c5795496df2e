"""A model with everything around it, as one graph: images of faces in, probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fer_lightning.model.expression_model import ExpressionModel

_LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as PIL's."""


class DeployedModel(nn.Module):
    """Color, size and an ExpressionModel in one module, for export.

    Input: uint8 `(n, height, width, 3)`, RGB, face crops of any size. Output: float `(n, classes)`, probabilities.

    Pixels are rounded where PIL rounds them; PIL also rounds between resizing rows and columns, so a value may differ
    by one of 255 from what the training saw.

    Args:
        model: The trained model; it is shared, not copied, and set to answer.
    """

    luma: Tensor

    def __init__(self, model: ExpressionModel) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("luma", torch.tensor(_LUMA).view(1, 3, 1, 1))
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
