"""What can stop the preparation of images: damaged files, a full or closed disk."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset
from tqdm import tqdm

from fer_lightning.data.image_files import UnreadableImageError
from fer_lightning.data.input_spec import Framed, InputSpec
from fer_lightning.data.legend import Legend
from fer_lightning.errors import FERError
from fer_lightning.files import new_folder
from fer_lightning.locks import alone

_SHOWN = 20


class LegendImages(Dataset[tuple[bytes, Framed, str]]):
    """By row of a legend: pixels, what was taken of the image, what is wrong with it (empty: nothing)."""

    def __init__(self, legend: Legend, input_spec: InputSpec) -> None:
        self.images, self.image_dir, self.input_spec = legend.images, legend.image_dir, input_spec

    def __getitem__(self, row: int) -> tuple[bytes, Framed, str]:
        try:
            image, framed = self.input_spec.look(self.image_dir / self.images[row])
        except UnreadableImageError as error:
            return b"", Framed.WHOLE, str(error)
        return image.numpy().tobytes(), framed, ""


def check_images(legend: Legend, rows: np.ndarray) -> None:
    """Decode the images in these rows, so that damaged files are known before they are needed.

    Raises:
        FERError: If images are unreadable; all are counted, the first 20 named.
    """
    check_complaints(complaints_about(legend, rows), legend)


def complaints_about(legend: Legend, rows: np.ndarray) -> list[str]:
    """What is wrong with the images in these rows, in their order; empty where an image can be decoded."""
    images = LegendImages(legend, InputSpec(image_size=1, color="gray", interpolation="nearest"))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        looked = threads.map(images.__getitem__, rows.tolist())
        bar = tqdm(looked, "Checking images", len(rows), delay=1, leave=False)
        return [said for *_, said in bar]


def check_complaints(complaints: Sequence[str], legend: Legend) -> None:
    """Raise FERError if one of the sentences about images of a legend is not empty."""
    bad = list(filter(None, complaints))
    if bad:
        more = f"\n  ... and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise FERError(
            f"{len(bad)} of {len(legend)} images cannot be used:\n  "
            + "\n  ".join(bad[:_SHOWN])
            + f"{more}\nReplace the files, or leave them out with --data.on_error drop."
        )


@contextlib.contextmanager
def explained(folder: str | os.PathLike[str], need: str, hint: str) -> Iterator[None]:
    """Turn an OSError of the block, which writes to `folder`, into a FERError; `hint` is what can be done."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FERError(f"The disk is full: {need} in '{folder}'. {hint} Nothing half-built was left.") from None
        raise FERError(f"Cannot write to '{error.filename or folder}' ({error.strerror or error}). {hint}") from None


def built_once(
    folder: Path, is_whole: Callable[[], bool], build: Callable[[Path], object], need: str, hint: str
) -> None:
    """Build a folder aside under a lock, unless it is there: what stands under its name is finished.

    Args:
        folder: The folder; `<folder>.lock` beside it is the lock.
        is_whole: Whether it is there as it should be.
        build: Fills an empty folder, which then takes the place of what is there.
        need: What the disk is needed for, for messages.
        hint: What can be done if it cannot be written.

    Raises:
        FERError: If the disk is full or the folder cannot be written.
    """
    if is_whole():
        return
    with explained(folder.parent, need, hint):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(f"{folder}.lock"):
            if not is_whole():
                with new_folder(folder, replace=True) as aside:
                    build(aside)
