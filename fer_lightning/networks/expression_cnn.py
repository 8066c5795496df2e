"""The seed's network: three convolutions, a dense layer, an output a class."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from fer_lightning.errors import FERError
from fer_lightning.networks.rebuilding import Rebuildable, check_sizes, check_total


class ExpressionCNN(Rebuildable, nn.Module):
    """The original notebook's network, layer for layer.

    Every block is a 3 x 3 convolution without padding, a 2 x 2 max-pool and a ReLU; then come one dense layer with ReLU
    and the output layer. (The notebook has ReLU before the pool; as both are monotonic that is the same function, and
    this order works on a quarter of the values.) Weights start as in Keras: Glorot uniform kernels (Glorot and
    Bengio 2010, equation 16), biases zero. With the defaults it has 6,586,408 parameters.

    Input: float `(n, in_channels, image_size, image_size)`. Output: float `(n, num_classes)`, logits.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the input, 3 for rgb and 1 for gray.
        image_size: Height and width of the input in pixels.
        filters: Output channels of each convolution.
        hidden: Width of the dense layer.
        dropout: Share of the dense layer's values that is left out in training; the notebook has none.

    Raises:
        FERError: If the image is too small for the number of blocks.
    """

    def __init__(
        self,
        num_classes: int = 8,
        in_channels: int = 3,
        image_size: int = 100,
        filters: Sequence[int] = (16, 32, 64),
        hidden: int = 1024,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_sizes("ExpressionCNN", filters=filters, hidden=hidden)
        smallest = 3 * 2 ** len(filters) - 2  # leaves one value after the last block
        if image_size < smallest:
            raise FERError(
                f"Invalid value for image_size. Expected at least {smallest} pixels for {len(filters)} blocks of "
                f"ExpressionCNN. Received: {image_size}."
            )
        kernels = sum(9 * one * other for one, other in pairwise((in_channels, *filters)))
        after = (image_size + 2) // 2 ** len(filters) - 2  # pixels of a side after the last block
        check_total("ExpressionCNN", kernels + hidden * filters[-1] * after**2)
        layers: list[nn.Module] = []
        side, channels = image_size, in_channels
        for width in filters:
            layers += [nn.Conv2d(channels, width, 3), nn.MaxPool2d(2), nn.ReLU()]
            side, channels = (side - 2) // 2, width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * side * side, hidden),
            nn.Sequential(nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(hidden, num_classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits `(n, num_classes)` of normalised images `(n, in_channels, image_size, image_size)`."""
        logits: torch.Tensor = self.classifier(self.features(images))
        return logits
