"""The landmarks by which a face is aligned."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

_WIDTHS = (12, 24, 48, 64)
"""Channels at 32, 16, 8 and 4 pixels."""

MIRRORED = (1, 0, 2, 4, 3)
"""Which landmark each one is in a mirror."""


class _Filtered(nn.Module):
    """A 3 x 3 convolution. In training, what it gives is normalized; afterwards that is part of its weights."""

    def __init__(self, before: int, after: int, stride: int, normed: bool) -> None:
        super().__init__()
        self.filter = nn.Conv2d(before, after, 3, stride, 1)
        self.norm = nn.BatchNorm2d(after) if normed else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        filtered: Tensor = self.norm(self.filter(x))
        return filtered


class _Stage(nn.Module):
    """Half the height and width, and what two convolutions add to that."""

    def __init__(self, before: int, after: int, normed: bool) -> None:
        super().__init__()
        self.halved = _Filtered(before, after, 2, normed)
        self.first, self.second = (_Filtered(after, after, 1, normed) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, h, w) to (n, after, h / 2, w / 2)."""
        halved = self.halved(x).relu()
        added: Tensor = halved + self.second(self.first(halved).relu())
        return added.relu()


class FaceLandmarks(nn.Module):
    """Finds five landmarks in the image of a face, turned by up to some 60 degrees (177,979 parameters).

    A small residual network (arXiv 1512.03385) that learned them from MediaPipe's face mesh (arXiv 1907.06724, Apache
    License 2.0) on the training subset of FER+, turned and moved at random (experiments/face_landmarks.py). What it
    answers is the mean of what an image and its mirror image say.

    Args:
        normed: As it is trained, with batch normalization.
    """

    SIDE = 192
    """Height and width of the image in pixels."""

    SHRINK = 3
    """It looks at a gray image of a third of that."""

    def __init__(self, normed: bool = False) -> None:
        super().__init__()
        stages = (_Stage(before, after, normed) for before, after in pairwise(_WIDTHS))
        self.trunk = nn.Sequential(_Filtered(1, _WIDTHS[0], 2, normed), nn.ReLU(), *stages)
        self.head = nn.Linear(_WIDTHS[-1] * (self.SIDE // self.SHRINK // 2 ** len(_WIDTHS)) ** 2, 11)

    def forward(self, image: Tensor) -> Tensor:
        """What an image says of the face in it.

        Args:
            image: (n, 3, 192, 192), float, red, green, blue, 0 to 1: a face, of which the box takes two thirds of the
                width.

        Returns:
            (n, 11), float: confidence that there is a face, 0 to 1; x and y of the right eye, left eye, tip of the
            nose, right and left corner of the mouth (right and left of the person), in pixels of the image.
        """
        gray = avg_pool2d(image.mean(1, keepdim=True), self.SHRINK)
        seen, mirrored = self.of_gray(torch.cat((gray, gray.flip(3)))).chunk(2)
        x, y = mirrored[:, 1:].view(-1, 5, 2)[:, list(MIRRORED)].unbind(2)
        back = torch.stack((self.SIDE - x, y), 2).flatten(1)
        return (seen + torch.cat((mirrored[:, :1], back), 1)) / 2

    def of_gray(self, image: Tensor) -> Tensor:
        """As `forward`, of (n, 1, 64, 64), gray, and without its mirror image; in pixels of the larger image."""
        light = image - image.mean((1, 2, 3), keepdim=True)
        contrast = light.square().mean((1, 2, 3), keepdim=True).sqrt()
        answer = self.head(self.trunk(light / (contrast + 0.03)).flatten(1))
        return torch.cat((answer[:, :1].sigmoid(), (answer[:, 1:] + 1) * (self.SIDE / 2)), 1)
