"""Turn, scale and shift a face so that its eyes, nose and mouth stand where those of all others do."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_lightning.data.face_detectors import EXPORTED_YUNET, YUNET, Face
from fer_lightning.data.face_networks import OneThread, exported, with_weights
from fer_lightning.errors import MissingPackageError

if TYPE_CHECKING:
    from fer_lightning.networks.face_landmarks import FaceLandmarks

WEIGHTS = Path(__file__).parents[1] / "weights" / "face_landmarks.safetensors"

EXPORTED_LANDMARKS = "landmarks.onnx"
"""What the network is called in a folder that `export` wrote, beside the detector."""

PLACES = ((0.303, 0.354), (0.675, 0.354), (0.484, 0.568), (0.347, 0.740), (0.642, 0.737))
"""Where right eye, left eye, tip of the nose, right and left corner of the mouth come to stand, as shares of width and
height at the usual margin: where FER+'s stand on average in faces that are cut out by their box."""

USUAL = 0.02
"""That margin."""

AROUND = 1.5
"""Side of the square in which landmarks are looked for, as a multiple of the longer side of the box."""

SEEN = 192
"""Height and width in pixels at which they are looked for."""

CERTAIN = 0.5
"""Below this confidence there is no face to be aligned."""

MIDDLE = 0.5 + 0.5j
"""Of a square, x + iy."""

Landmarker = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Takes uint8 `(192, 192, 3)`, RGB, and gives what `FaceLandmarks` does, `(11,)`; several threads may ask at once."""


def aligned(image: Image.Image, face: Face, side: int, margin: float, detector: str = YUNET) -> Image.Image | None:
    """The face in a box, turned upright (from up to some 60 degrees) and in its place.

    Five landmarks are found around the box. The rotation, scale and shift are those that bring them closest to `PLACES`
    (least squares; S. Umeyama, IEEE Transactions on Pattern Analysis and Machine Intelligence 13 (1991) 376-380).
    Beyond the edge of the image, its last pixels go on.

    Args:
        image: An RGB image.
        face: The face; its landmarks are not used, as a detector's hardly turn with a face.
        side: Pixels that the face is to have.
        margin: Around the face, as in `Face.square`.
        detector: What found the face: the landmarks' network lies beside an exported one.

    Returns:
        RGB, twice `side` high and wide, to be resized to what is wanted; None if no face is seen in the box.
    """
    wider = max((1 + margin) / (1 + USUAL), 1)
    pixels = SEEN * -(-side // 128)  # so that there are at least as many as are asked for
    seen = around(image, face, AROUND, SEEN)
    sure, *numbers = open_landmarker(detector)(seen).tolist()
    if sure < CERTAIN:
        return None
    shift, turn = fitted(_points(numbers))
    if (wider, pixels) != (1, SEEN):
        seen = around(image, face, AROUND * wider, pixels)
        shift, turn = ((shift / SEEN - MIDDLE) / wider + MIDDLE) * pixels, turn / SEEN / wider * pixels
    return Image.fromarray(turned(seen, shift, turn, 2 * side, (1 + margin) / (1 + USUAL)))


def around(image: Image.Image, face: Face, scale: float, pixels: int) -> NDArray[np.uint8]:
    """The square around the box, `scale` times its longer side, where the image ends continued with its last pixels."""
    half = max(round(max(face.width, face.height) * scale / 2), 1)
    left, top, side = round(face.left + face.width / 2) - half, round(face.top + face.height / 2) - half, 2 * half
    across, down = (_ends(start, side, most) for start, most in zip((left, top), image.size, strict=True))
    within = np.asarray(image.crop((across[0], down[0], across[1], down[1])))
    part = np.pad(within, (down[2:], across[2:], (0, 0)), mode="edge")
    return np.array(Image.fromarray(part).resize((pixels, pixels), Image.Resampling.BICUBIC))


def _ends(start: int, side: int, most: int) -> tuple[int, int, int, int]:
    """Of `side` pixels from `start`: the first there is, the one after the last, and how many lack before and after."""
    first, last = (min(max(each, 0), most - 1) for each in (start, start + side - 1))
    before = min(max(-start, 0), side - 1)
    return first, last + 1, before, side - before - (last + 1 - first)


def _points(numbers: list[float]) -> NDArray[np.complex128]:
    """Points, x + iy, of x, y, x, y, ...

    To half pixels, less than the points are exact to: so that torch, onnxruntime and browsers turn a face alike though
    they differ in the fifth digit.
    """
    halves = np.floor(2 * np.array(numbers) + 0.5) / 2
    return halves.view(np.complex128)


def fitted(points: NDArray[np.complex128]) -> tuple[complex, complex]:
    """Shift and turn: a place in a face, x + iy from its middle, comes closest to its point by shift + turn * place.

    Args:
        points: (5,), x + iy of right eye, left eye, tip of the nose, right and left corner of the mouth.
    """
    places = np.array([complex(*place) for place in PLACES]) - MIDDLE
    spread, center = places - places.mean(), points.mean()
    turn = complex((spread.conj() * (points - center)).sum() / (abs(spread) ** 2).sum())
    return complex(center) - turn * complex(places.mean()), turn


def turned(image: NDArray[np.uint8], shift: complex, turn: complex, side: int, wide: float) -> NDArray[np.uint8]:
    """The face that is fitted so, with room around it, between pixels bilinear.

    Args:
        image: uint8 (height, width, 3).
        shift: The middle of the face in its pixels.
        turn: Its side and direction.
        side: Pixels that it is to have, with the room.
        wide: Its side with the room, as a multiple of it.

    Returns:
        uint8 (side, side, 3).
    """
    steps = ((np.arange(side) + 0.5) / side - 0.5) * wide
    blocks = np.array_split(steps[:, None], -(-side // 128))  # as what is computed of a pixel takes much memory
    return np.concatenate([_between(image, shift + turn * (steps + 1j * down)) for down in blocks])


def _between(image: NDArray[np.uint8], places: NDArray[np.complex128]) -> NDArray[np.uint8]:
    """The colors at places (h, w), x + iy in pixels of an image, uint8 (h, w, 3)."""
    height, width = image.shape[0] - 1, image.shape[1] - 1
    left, top = (places.real - 0.5).clip(0, width), (places.imag - 0.5).clip(0, height)
    column, row = left.astype(int), top.astype(int)
    rows, columns = (row, np.minimum(row + 1, height)), (column, np.minimum(column + 1, width))
    corners = [one * image.shape[1] + other for one in rows for other in columns]
    share, below = left - column, top - row
    made = np.empty((*places.shape, 3), np.uint8)
    for channel, values in enumerate(image.reshape(-1, 3).T.copy()):  # one after the other takes half the time
        first, second, third, fourth = (values[corner] for corner in corners)
        upper, lower = first * (1 - share) + second * share, third * (1 - share) + fourth * share
        made[..., channel] = upper * (1 - below) + lower * below + 0.5
    return made


@cache
def open_landmarker(detector: str = YUNET) -> Landmarker:
    """The network that finds landmarks, once a process: that of the package, or the one beside an exported detector.

    Raises:
        FERError: If that of the package is needed and torch is missing, or the one beside the detector is damaged.
    """
    file = Path(detector).with_name(EXPORTED_LANDMARKS)
    if os.path.basename(detector) == EXPORTED_YUNET and file.is_file():
        return exported(file, "landmark detector", "landmarks", "landmarks", lambda image: (11,))
    try:
        return _landmarks()
    except ImportError as error:
        raise MissingPackageError(
            f"Faces are aligned here by a network that needs {error.name}: install torch, or take the detector of a "
            f"folder that has {EXPORTED_LANDMARKS} too."
        ) from None


def load_landmarks() -> "FaceLandmarks":
    """The network with its weights, ready to answer."""
    from fer_lightning.networks.face_landmarks import FaceLandmarks

    return with_weights(FaceLandmarks(), WEIGHTS)


def _landmarks() -> Landmarker:
    import torch

    network, one_thread = load_landmarks(), OneThread()

    def landmarks(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        with one_thread, torch.inference_mode():
            pixels = torch.tensor(image).permute(2, 0, 1)[None]  # channels last in memory
            found: NDArray[np.float32] = network(pixels / 255)[0].numpy()
        return found

    return landmarks
