"""A small residual network for small faces."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fer_lightning.errors import FERError
from fer_lightning.networks.rebuilding import Rebuildable, check_sizes, check_total


class CompactResNet(Rebuildable, nn.Module):
    """Residual blocks with squeeze-and-excitation, sized for faces of 40 to 112 pixels.

    A 3 x 3 stem (with stride 2 from 80 pixels on), then stages of basic blocks (He et al. 2016, arXiv 1512.03385), each
    stage halving the side; every block weighs its channels (squeeze-and-excitation, arXiv 1709.01507). The last batch
    normalisation of a block starts at zero, so that every block starts as the identity (arXiv 1706.02677). With the
    defaults it has 1.3 M parameters; pooling over the whole face at the end makes it fit any size.

    Input: float `(n, in_channels, image_size, image_size)`. Output: float `(n, num_classes)`, logits.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the input, 3 for rgb and 1 for gray.
        image_size: Height and width of the input in pixels.
        stem: Channels of the stem.
        widths: Channels of each stage.
        blocks: Blocks in each stage.
        dropout: Share of the pooled values that is left out in training.
        standardize: Bring every image to mean 0 and standard deviation 1 first, so that light hardly matters.
        head_norm: Batch normalisation (arXiv 1502.03167) of the pooled values. A short training is better without, a
            long one as good (docs/experiments.md). Off by default, like `standardize`, so that older checkpoints load.

    Raises:
        FERError: If `widths` and `blocks` differ in length, or the image is too small for the number of stages.
    """

    def __init__(
        self,
        num_classes: int = 8,
        in_channels: int = 1,
        image_size: int = 48,
        stem: int = 32,
        widths: Sequence[int] = (64, 128, 192),
        blocks: Sequence[int] = (2, 2, 1),
        dropout: float = 0.0,
        standardize: bool = False,
        head_norm: bool = False,
    ) -> None:
        super().__init__()
        check_sizes("CompactResNet", stem=stem, widths=widths, blocks=blocks)
        if sum(blocks) > 1000:
            raise FERError(f"CompactResNet can have 1,000 blocks at most. Received: {sum(blocks):,}.")
        if len(widths) != len(blocks):
            raise FERError(
                f"CompactResNet needs as many widths as blocks. Received: {list(widths)} and {list(blocks)}."
            )
        check_total("CompactResNet", sum(18 * width**2 * depth for width, depth in zip(widths, blocks, strict=True)))
        stride = 2 if image_size >= 80 else 1
        if image_size < stride * 2 ** len(widths):
            raise FERError(
                f"Invalid value for image_size. Expected at least {2 ** len(widths)} pixels for {len(widths)} stages "
                f"of CompactResNet. Received: {image_size}."
            )
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, stem, 3, stride, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
        )
        stages: list[nn.Module] = []
        channels = stem
        for width, depth in zip(widths, blocks, strict=True):
            for number in range(depth):
                stages.append(_Block(channels, width, stride=1 if number else 2))
                channels = width
        self.stages = nn.Sequential(*stages)
        pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *([_HeadNorm(channels)] if head_norm else [])]
        self.head = nn.Sequential(*pooled, nn.Dropout(dropout), nn.Linear(channels, num_classes))
        self._standardize = standardize
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(n, num_classes)` of normalised images `(n, in_channels, image_size, image_size)`."""
        if self._standardize:
            deviations, means = torch.std_mean(images, (1, 2, 3), keepdim=True)
            images = (images - means) / deviations.clamp(min=0.05)  # without contrast, noise is not blown up
        logits: Tensor = self.head(self.stages(self.stem(images)))
        return logits


class _HeadNorm(nn.BatchNorm1d):
    """Takes an epoch's last batch even if it is a single face, which has no spread of its own."""

    def forward(self, values: Tensor) -> Tensor:
        if self.training and len(values) == 1:
            return nn.functional.batch_norm(
                values, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(values)


class _Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        last = nn.BatchNorm2d(width)
        nn.init.zeros_(last.weight)
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
            *(nn.Conv2d(width, width, 3, 1, 1, bias=False), last),
        )
        self.excite = nn.Sequential(
            nn.Linear(width, width // 8), nn.ReLU(inplace=True), nn.Linear(width // 8, width), nn.Sigmoid()
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != width:
            pool = [nn.AvgPool2d(stride, ceil_mode=True)] if stride > 1 else []  # keeps what stride 2 would skip
            self.shortcut = nn.Sequential(*pool, nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, values: Tensor) -> Tensor:
        change = self.body(values)
        change = change * self.excite(change.mean((2, 3)))[:, :, None, None]
        return torch.relu(self.shortcut(values) + change)
