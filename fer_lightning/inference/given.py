"""Images and boxes as Python programs have them, for `ExpressionRecognizer`."""

import base64
import binascii
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import isfinite
from typing import IO, TYPE_CHECKING, Any, Union
from urllib.parse import unquote_to_bytes

import numpy as np
from PIL import Image

from fer_lightning.data.face_detectors import Face
from fer_lightning.data.image_files import MOST_PIXELS, UnreadableImageError, as_seen, decode_image, read_image
from fer_lightning.errors import FERError
from fer_lightning.storage import is_address

if TYPE_CHECKING:
    from torch import Tensor

ImageLike = Union[str, os.PathLike[str], bytes, bytearray, IO[bytes], Image.Image, np.ndarray, "Tensor"]
Box = Sequence[float]

_MOST_BYTES = 2**31


def is_path(given: Any) -> bool:
    """Whether that is the path of an image, and no data URL."""
    return isinstance(given, os.PathLike) or (isinstance(given, str) and given[:5].lower() != "data:")


def opener(given: Any, channels: str = "RGB") -> Callable[[], Image.Image]:
    """What gives an image however it was given, upright and of 8 bits; it may be called again.

    Raises:
        FERError: If that is no image in any form. What is called raises an UnreadableImageError if what should be an
            image file is none.
    """
    if is_path(given):
        return partial(_from_path, os.fspath(given))
    if isinstance(given, str):
        return partial(_from_data_url, given)
    if hasattr(given, "read") and not isinstance(given, Image.Image):
        return partial(decode_image, _content(given))
    if isinstance(given, bytes | bytearray | memoryview):
        return partial(decode_image, bytes(given))
    return partial(as_image, given, channels)


def _from_path(path: str) -> Image.Image:
    if is_address(path):
        raise UnreadableImageError("it is an address: fetch it, and give its bytes", path)
    return read_image(path)


def _content(stream: Any) -> bytes:
    """The rest of an open file."""
    try:
        content = stream.read(_MOST_BYTES)
    except Exception as error:  # whatever the file object raises: closed, not readable, a connection that ended
        raise FERError(f"Invalid value for images. The file object cannot be read: {error}.") from None
    if not isinstance(content, bytes | bytearray | memoryview):
        raise FERError(
            f"Invalid value for images. Expected a file object of bytes, as open(path, 'rb') gives. Received one that "
            f"reads {type(content).__name__}."
        )
    return bytes(content)


def _from_data_url(text: str) -> Image.Image:
    """The image in `data:image/png;base64,...`, which web pages send."""
    head, comma, body = text.partition(",")
    kind = head[5:].partition(";")[0].lower()
    if not comma or not kind.startswith("image/"):
        raise UnreadableImageError(f"expected a data URL as data:image/png;base64,..., found data:{kind[:40]}")
    try:
        based = head.lower().endswith(";base64")
        content = base64.b64decode("".join(body.split()), validate=True) if based else unquote_to_bytes(body)
    except (binascii.Error, ValueError):
        raise UnreadableImageError("the data URL is not base64") from None
    return decode_image(content)


def is_tensor(given: Any) -> bool:
    """Whether that is a tensor of torch, which is there already if it is."""
    return "torch" in sys.modules and isinstance(given, sys.modules["torch"].Tensor)


def as_image(given: Any, channels: str = "RGB") -> Image.Image:
    """An image in memory as PIL's; see `ExpressionRecognizer.predict`."""
    if isinstance(given, Image.Image):
        try:
            return as_seen(given)
        except Exception as error:  # whatever PIL raises for one that is closed, truncated or of an odd mode
            raise FERError(f"Invalid value for images. The PIL image cannot be used: {error}.") from None
    tensor = is_tensor(given)
    if not tensor and not isinstance(given, np.ndarray):
        raise FERError(
            "Invalid value for images. Expected a path, a PIL image, a numpy array or a tensor, or a list of such. "
            f"Received: {type(given).__name__}."
        )
    try:
        pixels = given.detach().cpu() if tensor else given
        array = np.asarray(pixels.movedim(0, -1) if tensor and pixels.ndim == 3 else pixels)
    except (RuntimeError, TypeError, ValueError, NotImplementedError):  # sparse, quantized, without data, bfloat16
        array = np.empty(0)
    if array.dtype != np.uint8 or not (array.ndim == 2 or array.shape[2:] in ((1,), (3,))) or not array.size:
        colored = "(3, height, width)" if tensor else "(height, width, 3)"
        kind = str(given.dtype).removeprefix("torch.")
        raise FERError(
            f"Invalid value for images. Expected uint8 (height, width) or {colored}, 0..255. Received: "
            f"{kind} {tuple(given.shape)}."
        )
    if array.shape[0] * array.shape[1] > MOST_PIXELS:
        raise FERError(f"Invalid value for images. Expected at most {MOST_PIXELS:,} pixels. Received: {given.shape}.")
    array = array.squeeze(2) if array.shape[2:] == (1,) else array
    return Image.fromarray(np.ascontiguousarray(array[:, :, ::-1] if array.ndim == 3 and channels == "BGR" else array))


def faces_of(boxes: Any) -> list[Face]:
    """Boxes that somebody else has found, `(left, top, width, height)` in pixels, as faces.

    Raises:
        FERError: If they are no such boxes.
    """
    received = boxes
    try:
        rows = [tuple(float(value) for value in box) for box in boxes]
    except (TypeError, ValueError):
        rows = [()]
    for row in rows:
        if len(row) != 4 or not all(map(isfinite, row)) or row[2] <= 0 or row[3] <= 0:
            raise FERError(
                "Invalid value for faces. Expected a list of boxes (left, top, width, height) in pixels, with width "
                f"and height above 0. Received: {str(received)[:100]}."
            )
    return [Face(left, top, width, height, 1.0) for left, top, width, height in rows]


def with_faces(opened: Callable[[], Image.Image], faces: Iterable[Face]) -> Image.Image:
    """The image, if all of these are in it, at least in part."""
    image = opened()
    for face in faces:
        across = min(face.left + face.width, image.width) - max(face.left, 0)
        down = min(face.top + face.height, image.height) - max(face.top, 0)
        if across <= 0 or down <= 0:
            box = tuple(round(value) for value in (face.left, face.top, face.width, face.height))
            raise FERError(
                f"Invalid value for faces. Expected boxes within the image of {image.width} x {image.height} pixels. "
                f"Received: {box}."
            )
    return image
