"""Metadata of image files, which has nothing to do with the face: format, size, color, what they look like."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from fer_lightning.data.image_files import UnreadableImageError, decoding, open_image

_COLORED = 12
_BOX = Image.Resampling.BOX


@dataclass(frozen=True)
class ImageMetadata:
    """What a file says about itself."""

    error: str = ""  # why it cannot be decoded; empty if it can; the rest is then zero or empty
    format: str = ""  # PIL's name of the real format, such as JPEG, whatever the file's ending
    mode: str = ""  # PIL's color mode, such as RGB or L
    width: int = 0  # pixels
    height: int = 0  # pixels
    size: int = 0  # bytes
    color: bool = False  # whether any color is to be seen; an RGB file may still be gray
    compression: float = 0.0  # mean of the JPEG luminance quantisation table (higher is coarser); 0 for other formats
    progressive: bool = False  # whether it is a progressive JPEG
    digest: bytes = b""  # BLAKE2 of the file's bytes
    dhash: int = 0  # 64 brightness differences between neighbours in a 9 x 8 version (difference hash; Krawetz 2013)
    thumbnail: bytes = b""  # 256 gray values, the image at 16 x 16


def read_metadata(paths: Sequence[str | os.PathLike[str]], title: str = "Reading images") -> list[ImageMetadata]:
    """The metadata of every file, in order; a file that cannot be decoded has the reason in `error`."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(tqdm(pool.map(_metadata_of, paths, chunksize=64), title, len(paths), delay=1, leave=False))


def _metadata_of(path: str | os.PathLike[str]) -> ImageMetadata:
    try:
        with decoding(path), open_image(path) as image:
            content = Path(path).read_bytes()
            flat = image.convert("RGB")
            gray = flat.convert("L")
            small, thumbnail = (np.asarray(one.resize((16, 16), _BOX), np.int16) for one in (flat, gray))
            steps = np.asarray(gray.resize((9, 8), _BOX), np.int16)
            tables = getattr(image, "quantization", None) or {}
            return ImageMetadata(
                format=image.format or "",
                mode=image.mode,
                width=image.width,
                height=image.height,
                size=len(content),
                color=bool((small.max(2) - small.min(2)).mean() > _COLORED / 4) and image.mode not in ("L", "1"),
                compression=float(np.mean(tables[0])) if 0 in tables else 0.0,
                progressive=bool(image.info.get("progressive", False)),
                digest=hashlib.blake2b(content, digest_size=16).digest(),
                dhash=int.from_bytes(np.packbits(steps[:, 1:] > steps[:, :-1]).tobytes(), "big"),
                thumbnail=thumbnail.astype(np.uint8).tobytes(),
            )
    except UnreadableImageError as error:
        return ImageMetadata(error=error.reason)
