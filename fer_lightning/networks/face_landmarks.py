"""The landmarks of MediaPipe's face mesh by which a face is aligned."""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad


class _Filtered(nn.Conv2d):
    """A 3 x 3 convolution, padded as TensorFlow does: where the total is odd, more at the end."""

    def __init__(self, before: int, after: int, stride: int, groups: int = 1) -> None:
        super().__init__(before, after, 3, stride, groups=groups)
        self.border = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(pad(input, self.border))


class _Block(nn.Module):
    """What a convolution within each channel and one across them add to their input."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.filtered, self.mixed = _Filtered(before, before, stride, before), nn.Conv2d(before, after, 1)
        self.rectified = nn.PReLU(after)
        self.halved, self.more = stride == 2, after - before

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, h, w) to (n, after, h / stride, w / stride)."""
        shortcut = pad(max_pool2d(x, 2) if self.halved else x, (0, 0, 0, 0, 0, self.more))
        rectified: Tensor = self.rectified(shortcut + self.mixed(self.filtered(x)))
        return rectified


def _stage(before: int, after: int) -> list[nn.Module]:
    return [_Block(before, after, 2), _Block(after, after), _Block(after, after)]


def _head(blocks: list[nn.Module], answers: int) -> nn.Sequential:
    """From 6 x 6 places to answers."""
    return nn.Sequential(*blocks, nn.Conv2d(128, 32, 1), nn.PReLU(32), _Block(32, 32), nn.Conv2d(32, answers, 3))


class FaceLandmarks(nn.Module):
    """Finds five landmarks in the image of a face, turned by up to some 45 degrees (201,819 parameters).

    Y. Kartynnik, A. Ablavatski, I. Grishchenko, M. Grundmann: Real-time Facial Surface Geometry from Monocular Video on
    Mobile GPUs. arXiv 1907.06724. The layers and weights are those of `face_landmark.tflite` in mediapipe 0.10.14
    (Apache License 2.0) as far as five of its 468 points need them (experiments/face_landmarks.py); they are in
    `fer_lightning/weights/face_landmarks.safetensors`.
    """

    SIDE = 192
    """Height and width of the image in pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *(_Filtered(3, 16, 2), nn.PReLU(16), _Block(16, 16), _Block(16, 16)),
            *(_stage(16, 32) + _stage(32, 64) + _stage(64, 128) + _stage(128, 128)),
        )
        self.score = _head([_Block(128, 128, 2)], 1)
        self.landmarks = _head(_stage(128, 128), 10)

    def forward(self, image: Tensor) -> Tensor:
        """What an image says of the face in it.

        Args:
            image: (n, 3, 192, 192), float, red, green, blue, 0 to 1: a face, of which the box takes two thirds to four
                fifths of the width.

        Returns:
            (n, 11), float: confidence that there is a face, 0 to 1; x and y of the right eye, left eye, tip of the
            nose, right and left corner of the mouth (right and left of the person), in pixels of the image.
        """
        seen = self.trunk(image)
        return torch.cat((self.score(seen).sigmoid().flatten(1), self.landmarks(seen).flatten(1)), 1)
