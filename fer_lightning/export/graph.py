"""A network with everything around it, as one graph: photographs of faces in, probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fer_lightning.training.classifier import ExpressionClassifier

_LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as PIL's."""


class DeployedClassifier(nn.Module):
    """Colour, size, normalisation, network and calibration in one module, for export.

    Input: uint8 `(n, height, width, 3)`, RGB, face crops of any size. Output: float `(n, classes)`, probabilities.

    Pixels are rounded where PIL rounds them; PIL also rounds between resizing rows and columns, so a value may differ
    by one of 255 from what the training saw.

    Args:
        classifier: The trained classifier; its network is shared, not copied.
    """

    weights: Tensor
    temperature: Tensor
    moved: Tensor

    def __init__(self, classifier: ExpressionClassifier) -> None:
        super().__init__()
        self.network = classifier.network
        self.contract = classifier.preprocessing
        self.flip = classifier.flip_at_test
        self.register_buffer("weights", torch.tensor(_LUMA).view(1, 3, 1, 1))
        self.register_buffer("temperature", classifier.temperature.clone())
        self.register_buffer("moved", classifier.adapted(torch.zeros(len(classifier.class_names))))
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """Calibrated probabilities, float `(n, classes)`, of faces, uint8 `(n, height, width, 3)`, RGB."""
        contract = self.contract
        pixels = image.permute(0, 3, 1, 2).float()
        if contract.color == "grey":
            pixels = (pixels * self.weights).sum(1, keepdim=True).round()
        size = [contract.image_size, contract.image_size]
        if contract.interpolation == "nearest":
            pixels = interpolate(pixels, size, mode="nearest-exact")
        else:
            pixels = interpolate(pixels, size, mode=contract.interpolation, align_corners=False, antialias=True)
        inputs = contract.normalize(pixels.round().clamp(0, 255))
        logits = self.network(inputs)
        if self.flip:
            logits = (logits + self.network(inputs.flip(-1))) / 2
        probabilities: Tensor = ((logits + self.moved) / self.temperature).softmax(1)
        return probabilities
