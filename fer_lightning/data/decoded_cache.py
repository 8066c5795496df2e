"""The decoded cache: every image of a legend, decoded and resized once, in one file that is mapped into memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from fer_lightning.cores import available_cpus
from fer_lightning.data.input_spec import InputSpec, UnreadableImageError
from fer_lightning.data.legend import Legend
from fer_lightning.data.tree import raise_unreadable
from fer_lightning.errors import FERError

_LAYOUT = 1
"""Raised when the same files would be decoded to other pixels."""

_BATCH = 64
_FEW = 1000
"""So many images are decoded before processes to do it are started."""


def decoded(legend: Legend, preprocessing: InputSpec, folder: str | os.PathLike[str], name: str) -> Path:
    """Build the cache of a legend's images, or find the one that is there.

    The file's name has a fingerprint of the images (name, size, time) and of the contract. It holds no trace of the
    split, so that all splits of a data set share it. A cache of the same list of images whose files have changed since
    is removed.

    Args:
        legend: Whose images, in the legend's order.
        preprocessing: Size, colour and interpolation.
        folder: Where caches are kept; made if it does not exist.
        name: Start of the file's name, for people.

    Returns:
        A NumPy file: uint8 `(n, channels, image_size, image_size)`.

    Raises:
        FERError: If images are unreadable (all are listed), the disk is full or the folder cannot be written.
    """
    folder = Path(folder).expanduser()
    series = f"{name}-pixels-{_digest(legend, preprocessing)}"
    target = folder / f"{series}-{legend.files_fingerprint[:12]}.npy"
    if target.is_file():
        return target
    with _writing(folder, size_of(legend, preprocessing)):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{series}.lock"):
            if target.is_file():
                return target
            for left in folder.glob(f"{series}-*"):
                left.unlink()
            aside = target.with_name(f"{target.name}.writing-{os.getpid()}")
            try:
                _build(legend, preprocessing, aside)
                aside.replace(target)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
    return target


def open_decoded(path: str | os.PathLike[str]) -> np.ndarray:
    """Map a cache into memory, to read: uint8 `(n, channels, image_size, image_size)`."""
    pixels: np.ndarray = np.load(path, mmap_mode="r")
    return pixels


def size_of(legend: Legend, preprocessing: InputSpec) -> int:
    """Bytes of pixels in the cache of a legend."""
    return len(legend) * preprocessing.channels * preprocessing.image_size**2


def _digest(legend: Legend, preprocessing: InputSpec) -> str:
    """Which images and which pixels, apart from the state of the files.

    The list of images counts: what another class list or another rule for conflicts leaves of a legend is another
    cache, and two runs that differ in that do not remove each other's.
    """
    contract: list[Any] = [_LAYOUT, preprocessing.image_size, preprocessing.color, preprocessing.interpolation]
    if preprocessing.faces != "whole":
        contract += [preprocessing.faces, preprocessing.margin, preprocessing.detector]
    images = hashlib.sha256("\n".join([os.fspath(legend.image_dir.resolve()), *legend.images]).encode()).hexdigest()
    return hashlib.sha256(json.dumps([contract, images]).encode()).hexdigest()[:8]


class _Files(Dataset[tuple[Tensor | None, bool, str]]):
    """Item `i` is the decoded image `i` of a legend and whether it has a face, or None with what is wrong with it."""

    def __init__(self, legend: Legend, preprocessing: InputSpec) -> None:
        self.images, self.image_dir, self.preprocessing = legend.images, legend.image_dir, preprocessing

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor | None, bool, str]:
        try:
            return *self.preprocessing.look(self.image_dir / self.images[index]), ""
        except UnreadableImageError as error:
            return None, False, str(error)


def _as_bytes(items: list[tuple[Tensor | None, bool, str]]) -> tuple[bytes, int, int, list[str]]:
    """Bytes of a batch of images in a row, their number, how many have a face, and what was said about the others."""
    pixels = b"".join(image.numpy().tobytes() for image, _, _ in items if image is not None)
    return pixels, len(items), sum(face for _, face, _ in items), [said for _, _, said in items if said]


def _build(legend: Legend, preprocessing: InputSpec, path: Path) -> None:
    preprocessing.need_detector()
    files = _Files(legend, preprocessing)
    workers = available_cpus(keep=0) if len(files) > _FEW else 0
    batches = DataLoader(files, _BATCH, num_workers=workers, collate_fn=_as_bytes)
    side = preprocessing.image_size
    bad: list[str] = []
    faces = 0
    with open(path, "wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(files), preprocessing.channels, side, side)}
        np.lib.format.write_array_header_1_0(stream, header)
        with tqdm(total=len(files), desc="Decoding images", unit=" images", delay=1, leave=False) as bar:
            for pixels, count, seen, said in batches:
                bad += said
                faces += seen
                if not bad:
                    stream.write(pixels)  # and not into a mapped file: on a full disk that ends the process
                bar.update(count)
    if bad:
        raise_unreadable(bad, legend)
    if preprocessing.faces == "detect":
        print(f"Faces  found in {faces:,} of {len(files):,} images; the others are taken whole", flush=True)


@contextlib.contextmanager
def _writing(folder: Path, size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "Choose another place with --data.tree_dir DIR, or do without the cache: --data.cache false."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FERError(
                f"The disk is full: the decoded images need {math.ceil(size / 1e6):,} MB in '{folder}'. {hint} Nothing "
                "half-built was left."
            ) from None
        raise FERError(f"Cannot write to '{error.filename or folder}' ({error.strerror}). {hint}") from None
