"""Image files, decoded: upright, 8 bits, without transparency; whatever is wrong with one is one kind of error."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Collection, Iterator

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PcxImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    QoiImagePlugin,
    SgiImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from fer_lightning.errors import FERError
from fer_lightning.files import no_file
from fer_lightning.names import printable

_HEIF_SUFFIXES = frozenset({".heic", ".heif"})
IMAGE_SUFFIXES = (
    frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm"})
    | {".avif", ".jp2", ".j2k", ".jpx"}
    | _HEIF_SUFFIXES
)
"""Endings of the files that are taken from a folder of images, lower case."""

_PLUGINS = (
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
    GifImagePlugin,
    BmpImagePlugin,
    TiffImagePlugin,
    PpmImagePlugin,
    AvifImagePlugin,
    Jpeg2KImagePlugin,
    IcoImagePlugin,
    QoiImagePlugin,
    SgiImagePlugin,
    PcxImagePlugin,
    TgaImagePlugin,
)
with contextlib.suppress(ImportError):  # the photographs of telephones, with the extra `heif`
    import pillow_heif

    pillow_heif.register_heif_opener()
_FORMATS = tuple(
    name
    for name, (opens, _) in Image.OPEN.items()
    if opens.__module__ in {p.__name__ for p in _PLUGINS} or name == "HEIF"
)
"""The formats that are opened, whatever a file is called; above all not EPS, which starts another program."""

WEB_FORMATS = tuple(name for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF") if name in _FORMATS)
"""Those that cameras and browsers write: enough for images that strangers send, and fewer decoders to trust."""

ImageFile = str | os.PathLike[str] | io.BytesIO
"""A file by its path, or the content of one in memory."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its orientation in EXIF."""

MOST_PIXELS = 178_956_970
"""An image with more is refused, as PIL does: an RGB image of half a gigabyte."""

_MOST_BYTES = 2**31
"""A larger file is refused."""

warnings.filterwarnings("ignore", module=r"PIL\.")  # about damaged or large files: they are read, or an error
logging.getLogger("PIL").addHandler(logging.NullHandler())  # instead of the screen


class UnreadableImageError(FERError):
    """A file that is not an image, or a damaged one.

    Args:
        reason: What is wrong with it.
        path: The file; empty where it is not known yet.
    """

    def __init__(self, reason: str, path: str | os.PathLike[str] = "") -> None:
        super().__init__(f"Cannot read the image '{printable(os.fspath(path))}': {reason}." if path else reason)
        self.reason = reason


class TooManyPixelsError(UnreadableImageError):
    """An image with more pixels than are decoded."""


@contextlib.contextmanager
def decoding(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever a decoder raises in the block into an UnreadableImageError about that file."""
    try:
        yield
    except TooManyPixelsError as error:
        raise TooManyPixelsError(error.reason, path) from None
    except Exception as error:  # decoders raise what they like: no list of it was ever complete
        why = _reason(error)
        if os.path.splitext(path)[1].lower() in _HEIF_SUFFIXES and "HEIF" not in _FORMATS:
            why = "HEIC needs one more package: pip install 'fer_lightning[heif]'"
        raise UnreadableImageError(why, path) from None


def open_image(file: ImageFile, most_pixels: int = MOST_PIXELS, formats: Collection[str] = _FORMATS) -> Image.Image:
    """Open an image, to be used within `decoding` and in a `with` statement; nothing but a file is opened."""
    if not isinstance(file, io.BytesIO):
        check_regular(file)
    try:
        image = Image.open(file, formats=tuple(formats))
    except Image.DecompressionBombError:  # PIL's own bound, which is that of `MOST_PIXELS`
        raise TooManyPixelsError(f"its pixels are far above the limit of {most_pixels:,}") from None
    if image.width * image.height > most_pixels:
        image.close()
        raise TooManyPixelsError(f"its {image.width} x {image.height} pixels are above the limit of {most_pixels:,}")
    return image


def check_regular(path: str | os.PathLike[str], most_bytes: float = _MOST_BYTES) -> None:
    """Raise an UnreadableImageError if opening this might never end (a pipe, a device), or it is absurdly large."""
    if why := no_file(path):
        raise UnreadableImageError(why)
    if os.path.getsize(path) > most_bytes:
        raise UnreadableImageError(f"it has more than {most_bytes // 10**9} GB")


def read_image(file: ImageFile, most_pixels: int = MOST_PIXELS, formats: Collection[str] = _FORMATS) -> Image.Image:
    """Decode an image: EXIF rotation applied, deep gray scaled to 8 bits, transparent pixels white.

    Of an animation, or of several pages, it is the first, with `info["first_of_several"]` set.

    Args:
        file: The path of a file, or its content in memory.
        most_pixels: An image with more is refused before it is decoded.
        formats: Those that may be opened, as PIL names them.

    Raises:
        UnreadableImageError: If the file is missing, not an image, damaged or absurdly large.
    """
    path = "" if isinstance(file, io.BytesIO) else file
    with decoding(path), open_image(file, most_pixels, formats) as image:
        several = _has_several(image)
        flat = as_seen(image)
        if several:
            flat = flat.copy()  # apart from the file, which could go on to the next
            flat.info["first_of_several"] = True
    return flat


def decode_image(content: bytes, name: str = "") -> Image.Image:
    """Decode an image file that is in memory, as `read_image` does; `name` is for the message."""
    try:
        return read_image(io.BytesIO(content))
    except UnreadableImageError as error:
        raise type(error)(error.reason, name) from None


def _has_several(image: Image.Image) -> bool:
    if image.format == "MPO":  # a photograph of a telephone with a preview of itself
        return False
    with contextlib.suppress(Exception):  # damage behind the first is no reason to refuse it
        return bool(getattr(image, "is_animated", False))
    return False


def as_seen(image: Image.Image) -> Image.Image:
    """An image as a viewer shows it, to be read only: EXIF rotation applied, 8 bits, transparent pixels white.

    `Image.convert` alone clips deep gray, refuses Lab and shows what transparency hides.
    """
    image.load()
    turn = _turn(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        flat = Image.fromarray(_scaled(image))
    elif image.mode == "LAB":
        from PIL import ImageCms

        profiles = [ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")]
        flat = ImageCms.profileToProfile(image, profiles[0], profiles[1], outputMode="RGB") or image
    elif image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        flat = _on_white(image)
    else:
        flat = image
    return flat if turn is None else flat.transpose(turn)


def _on_white(image: Image.Image) -> Image.Image:
    """A transparent image before a white wall; in strips, as a large one takes much memory in between."""
    flat = Image.new("RGB", image.size)
    for top in range(0, image.height, 256):
        strip = image.crop((0, top, image.width, min(top + 256, image.height))).convert("RGBA")
        flat.paste(Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip).convert("RGB"), (0, top))
    return flat


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What EXIF says has to be done; damaged EXIF is no reason to refuse a good image."""
    with contextlib.suppress(Exception):
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return None


def _scaled(image: Image.Image) -> np.ndarray:
    """Gray of more than 8 bits as uint8 `(height, width)`: of 16 bits by their range, of 32 by what is in the image."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})  # of TIFF
    if image.mode == "I" and tags and tags.get(339, (1,))[0] == 1:
        values = values.view(np.uint32)  # PIL takes it for signed
    values = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    most = float(values.max(initial=0))
    top = max(most, 1e-12)
    if image.mode != "F":
        sixteen = image.mode != "I" or image.format == "PPM" or (tags.get(258) or (0,))[0] == 16
        top = 255.0 if most <= 255 and not sixteen else max(65535.0, most)
    return (values.clip(0, top) * (255.0 / top)).round().astype(np.uint8)


def _reason(error: Exception) -> str:
    """What an exception means, in plain words."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image that can be decoded"
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(str(said).partition("\n")[0][:200]).rstrip(".")
