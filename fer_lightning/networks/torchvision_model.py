"""Any classification network of torchvision, with its input and its head adapted."""

from __future__ import annotations

from typing import Literal

import torch
import torchvision
from torch import Tensor, nn

from fer_lightning.errors import FERError


class TorchvisionModel(nn.Module):
    """A torchvision classification model by name, such as `resnet18`, `mobilenet_v3_small` or `convnext_tiny`.

    The last linear layer is replaced by one with `num_classes` outputs. For grey input the first convolution's weights
    are summed over their channels, which gives what three equal channels would give.

    Input: float `(n, in_channels, image_size, image_size)`. Output: float `(n, num_classes)`, logits.

    Args:
        name: Its name in `torchvision.models`.
        weights: None starts at random; `DEFAULT` downloads torchvision's weights, trained on ImageNet.
        num_classes: Number of classes.
        in_channels: Channels of the input, 3 for rgb and 1 for grey.
        image_size: Height and width of the input in pixels.

    Raises:
        FERError: If torchvision has no such model, the weights cannot be had, or the model has no convolution first
            and linear layer last.
    """

    def __init__(
        self,
        name: str,
        weights: Literal["DEFAULT"] | None = None,
        num_classes: int = 8,
        in_channels: int = 3,
        image_size: int = 224,
    ) -> None:
        super().__init__()
        known = [found for found in torchvision.models.list_models(module=torchvision.models) if "vit" not in found]
        if name not in known:
            raise FERError(f"torchvision has no classification model '{name}'. Expected one of {', '.join(known)}.")
        options = {"init_weights": True, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
        try:
            model = torchvision.models.get_model(name, weights=weights, **({} if weights else options))
        except OSError as error:
            raise FERError(
                f"The weights of {name} cannot be downloaded: {error}. Load them from a file with --model.weights."
            ) from None
        layers = dict(model.named_modules())
        first = next((key for key, layer in layers.items() if isinstance(layer, nn.Conv2d)), None)
        last = next((key for key, layer in reversed(layers.items()) if isinstance(layer, nn.Linear)), None)
        if first is None or last is None:
            raise FERError(f"The torchvision model '{name}' has no convolution first and linear layer last.")
        if in_channels != layers[first].in_channels:
            _replace(model, first, _fewer_channels(layers[first], in_channels))
        head = layers[last]
        _replace(model, last, nn.Linear(head.in_features, num_classes))
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(n, num_classes)` of normalised images `(n, in_channels, image_size, image_size)`."""
        logits: Tensor = self.model(images)
        return logits


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)


def _fewer_channels(layer: nn.Conv2d, channels: int) -> nn.Conv2d:
    settings = {key: getattr(layer, key) for key in ("kernel_size", "stride", "padding", "dilation", "padding_mode")}
    new = nn.Conv2d(channels, layer.out_channels, bias=layer.bias is not None, **settings)
    with torch.no_grad():
        new.weight.copy_(layer.weight.sum(1, keepdim=True).expand_as(new.weight) / channels)
        if layer.bias is not None and new.bias is not None:
            new.bias.copy_(layer.bias)
    return new
