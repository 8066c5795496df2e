"""YuNet, the face detector of libfacedetection."""

import torch
from torch import Tensor, nn

STRIDES = (8, 16, 32)
"""Pixels of the image between neighboring places that may say 'here is a face', on each level."""


class _Unit(nn.Sequential):
    """A 1 x 1 convolution that mixes channels, and a 3 x 3 one within each."""

    def __init__(self, before: int, after: int, rectified: bool = True) -> None:
        mixed, filtered = nn.Conv2d(before, after, 1), nn.Conv2d(after, after, 3, padding=1, groups=after)
        super().__init__(mixed, filtered, *[nn.ReLU()] * rectified)


def _heads(width: int) -> nn.ModuleList:
    """What answers on each level, `width` numbers a place."""
    return nn.ModuleList(_Unit(64, width, rectified=False) for _ in STRIDES)


class YuNet(nn.Module):
    """Finds faces and five landmarks of each, at any size of the image (53,104 parameters).

    W. Wu, H. Peng, S. Yu: YuNet: A Tiny Millisecond-level Face Detector. Machine Intelligence Research 20 (2023)
    656-665. The layers are those of https://github.com/ShiqiYu/libfacedetection (3-clause BSD license), and so are the
    weights in `fer_lightning/weights/yunet.safetensors`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(), _Unit(16, 16))
        widths = ((16, 16, 32), (32, 32, 64), (64, 64, 64), (64, 64, 64), (64, 64, 64))
        stages = [nn.Sequential(_Unit(first, second), _Unit(second, third)) for first, second, third in widths]
        self.stages = nn.ModuleList(stages)
        self.pool = nn.MaxPool2d(2)
        self.lateral = nn.ModuleList(_Unit(64, 64) for _ in STRIDES)
        self.face, self.certain, self.box, self.landmarks = map(_heads, (1, 1, 4, 10))

    def forward(self, image: Tensor) -> Tensor:
        """What each place in an image says of a face.

        Args:
            image: (1, 3, height, width), float, channels blue, green, red, 0 to 255; height and width multiples of 32
                (an image of another size lies at the top left, with zeros beside and below it).

        Returns:
            (places, 15), float: confidence that there is a face, 0 to 1; left, top, width and height of its box; x and
            y of the right eye, left eye, tip of the nose, right and left corner of the mouth (right and left of the
            person). In pixels. Several places answer for one face: the most confident box counts.
        """
        x = self.stages[1](self.stages[0](self.pool(self.stem(image))))
        levels = []
        for stage in self.stages[2:]:
            x = stage(self.pool(x))
            levels.append(x)
        for level in (2, 1, 0):
            if level < 2:
                larger = nn.functional.interpolate(levels[level + 1], scale_factor=2.0, mode="nearest")
                levels[level] = levels[level] + larger
            levels[level] = self.lateral[level](levels[level])
        return torch.cat([self._answers(*one) for one in zip(range(len(STRIDES)), levels, STRIDES, strict=True)])

    def _answers(self, level: int, features: Tensor, stride: int) -> Tensor:
        """Those of one level, (places, 15)."""
        heads = (self.face, self.certain, self.box, self.landmarks)
        face, certain, box, landmarks = (head[level](features)[0].flatten(1).T for head in heads)
        ones = torch.ones_like(features[0, :1])  # counted up, as ONNX can do at any size
        place = (torch.cat((ones.cumsum(2), ones.cumsum(1))).flatten(1).T - 1) * stride
        confidence = (face.sigmoid() * certain.sigmoid()).sqrt()
        sides = box[:, 2:].exp() * stride
        corner = box[:, :2] * stride + place - sides / 2
        points = landmarks * stride + place.repeat(1, 5)
        return torch.cat((confidence, corner, sides, points), 1)
