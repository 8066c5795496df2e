"""What finds faces: the network that comes with the package, or a file for OpenCV."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.data.face_networks import OneThread, exported, with_weights
from fer_lightning.errors import FERError, MissingPackageError

if TYPE_CHECKING:
    from fer_lightning.networks.yunet import YuNet

YUNET = "yunet"
"""The detector that needs no file."""

EXPORTED_YUNET = "detector.onnx"
"""What that is called in a folder that `export` wrote."""

WEIGHTS = Path(__file__).parents[1] / "weights" / "yunet.safetensors"

SURE = 0.6
"""Detections below this score are not taken for faces."""

SAME = 0.3
"""Of two boxes that share more than this of their union, the less confident one goes, as in libfacedetection."""

_MOST = 1000
"""So many of the most confident answers are looked at, as in libfacedetection."""

_OPENING = threading.Lock()
"""Held while a detector is opened; asking it needs none."""


@dataclass(frozen=True)
class Face:
    """A box in an image, in its pixels, and the confidence of the detector that it is a face.

    Attributes:
        left: From the left edge of the image to the box.
        top: From its upper edge.
        width: Of the box.
        height: Of the box.
        score: The detector's confidence, 0 to 1.
        landmarks: x and y of the right eye, left eye, tip of the nose, right and left corner of the mouth (the
            person's right and left), in the image's pixels; None where they are not known. Those of YuNet hardly turn
            with a face (of 20 degrees, 4 are seen), so they do not tell how it is turned.
    """

    left: float
    top: float
    width: float
    height: float
    score: float
    landmarks: tuple[tuple[float, float], ...] | None = None

    def moved(self, left: float, top: float, scale: float) -> "Face":
        """The face in an image that this one is a part of, beginning at `left` and `top`, `scale` times its size."""
        points = self.landmarks and tuple(((x + left) / scale, (y + top) / scale) for x, y in self.landmarks)
        place = ((self.left + left) / scale, (self.top + top) / scale)
        return Face(*place, self.width / scale, self.height / scale, self.score, points)

    def square(self, margin: float, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the square around the face, moved and shrunk to lie within the image.

        Args:
            margin: Added to the longer side of the box, as a fraction of it.
            size: Width and height of the image.
        """
        side = min(max(self.width, self.height) * (1 + margin), *size)
        left = min(max(self.left + self.width / 2 - side / 2, 0), size[0] - side)
        top = min(max(self.top + self.height / 2 - side / 2, 0), size[1] - side)
        return left, top, left + side, top + side


Detector = Callable[[Image.Image], list[Face]]
"""Takes an RGB image and gives the faces in it, in any order; several threads may ask it at once."""


@cache
def open_detector(name: str = YUNET) -> Detector:
    """The detector of that name, once a process: `yunet`, or a YuNet model file (`.onnx`) for OpenCV.

    Raises:
        FERError: If OpenCV or the file is missing.
    """
    with _OPENING:
        if name == YUNET:
            return _yunet()
        return _exported_yunet(name) if os.path.basename(name) == EXPORTED_YUNET else _yunet_of_opencv(name)


def _forget_lock() -> None:
    """In a forked child: the thread that may have held the lock is not in it."""
    global _OPENING
    _OPENING = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)


def _face(row: list[float], score: float) -> Face:
    """From left, top, width, height and ten numbers of landmarks."""
    left, top, width, height, *points = row
    return Face(left, top, width, height, score, tuple(zip(points[::2], points[1::2], strict=True)))


def _once(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the boxes for one face the most confident one (greedy non-maximum suppression); rows as YuNet gives them."""
    rest = found[np.argsort(-found[:, 0], kind="stable")[:_MOST]]
    kept = []
    while len(rest):
        kept.append(rest[0])
        near, far = rest[:, 1:3], rest[:, 1:3] + rest[:, 3:5]
        shared = (np.minimum(far, far[0]) - np.maximum(near, near[0])).clip(0).prod(1)
        areas = rest[:, 3] * rest[:, 4]
        rest = rest[1:][(shared <= SAME * (areas + areas[0] - shared))[1:]]
    return np.array(kept).reshape(-1, 15)


def load_yunet() -> "YuNet":
    """The network with its weights, ready to answer."""
    from fer_lightning.networks.yunet import YuNet

    return with_weights(YuNet(), WEIGHTS)


def _yunet() -> Detector:
    import torch

    network, one_thread = load_yunet(), OneThread()

    def places(padded: np.ndarray) -> np.ndarray:
        with one_thread, torch.inference_mode():
            pixels = torch.from_numpy(padded).flip(2).permute(2, 0, 1)[None]  # BGR, channels last in memory
            found: np.ndarray = network(pixels.float()).numpy()
        return found

    return partial(_found, places)


def _exported_yunet(file: str) -> Detector:
    """The same network in a bundle, without torch."""
    if not os.path.isfile(file):
        raise FERError(f"Invalid value for the detector. Found nothing at '{file}'.")

    def shape(padded: np.ndarray) -> tuple[int, int]:
        return sum(padded.shape[0] // stride * (padded.shape[1] // stride) for stride in (8, 16, 32)), 15

    return partial(_found, exported(file, "detector", "faces", "places", shape))


def _found(places: Callable[[np.ndarray], np.ndarray], image: Image.Image) -> list[Face]:
    """The faces, by what turns uint8 `(height, width, 3)`, both multiples of 32, into YuNet's `(places, 15)`."""
    padded = np.zeros((-(-image.height // 32) * 32, -(-image.width // 32) * 32, 3), np.uint8)
    padded[: image.height, : image.width] = np.asarray(image)
    found = places(padded)
    # Cut to whole pixels and hundredths, as libfacedetection does: so the weights that are there saw faces framed.
    rows = np.trunc(_once(found[found[:, 0] >= SURE]) * ([100] + [1] * 14)).tolist()
    return [_face(place, score / 100) for score, *place in rows]


def _yunet_of_opencv(file: str) -> Detector:
    try:
        import cv2
    except ImportError:
        raise MissingPackageError("A YuNet detector needs OpenCV: pip install opencv-python-headless.") from None
    if not os.path.isfile(file):
        raise FERError(
            f"Invalid value for the detector. Expected '{YUNET}' or a YuNet model file, found nothing at '{file}'."
        )

    if hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(0)  # its errors come as ours

    def opened() -> Any:
        try:
            return cv2.FaceDetectorYN.create(file, "", (320, 320), score_threshold=SURE)
        except cv2.error as error:
            raise FERError(f"Cannot read the detector '{file}': not a YuNet model for OpenCV ({error.err}).") from None

    networks = threading.local()  # a network knows the size of one image, so every thread has its own
    networks.own = opened()

    def detect(image: Image.Image) -> list[Face]:
        if not hasattr(networks, "own"):
            networks.own = opened()
        try:
            networks.own.setInputSize(image.size)
            found = networks.own.detect(np.asarray(image)[:, :, ::-1].copy())[1]  # takes BGR
        except cv2.error as error:
            raise FERError(f"Cannot use the detector '{file}': not a YuNet model for OpenCV ({error.err}).") from None
        return [] if found is None else [_face(row[:14], row[14]) for row in found.astype(float).tolist()]

    return detect
