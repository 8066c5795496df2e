"""The decoded cache: a legend's images, decoded and resized once, in one file that is mapped into memory."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from fer_lightning.cores import available_cpus
from fer_lightning.data.image_checks import LegendImages, check_complaints, explained
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import Legend
from fer_lightning.files import replacing
from fer_lightning.processes import start_worker

_LAYOUT = 2
"""Raised when the same files would be decoded to other pixels."""

_BATCH = 64
_FEW = 1000
"""So many images are decoded before processes to do it are started."""
_SECONDS = 10.0
"""So often what is decoded is made to outlast a kill."""


def decoded(
    legend: Legend, input_spec: InputSpec, folder: str | os.PathLike[str], name: str, rows: np.ndarray | None = None
) -> Path:
    """Decode images into the cache of a legend, or find them there.

    There is one cache for a list of images and an input specification, shared by all splits. Beside its pixels it keeps
    the size and time that each image had when it was decoded. If an image asked for has changed since, the cache is
    started anew under another name, and who has mapped the old one keeps its pixels.

    Args:
        legend: Whose images, in the legend's order.
        input_spec: Size, color, interpolation and face crop.
        folder: Where caches are kept; made if it does not exist.
        name: Start of the file's name, for people.
        rows: int64 `(m,)`, the rows of the legend that are needed; None for all. Other rows may hold anything.

    Returns:
        A NumPy file: uint8 `(n, channels, image_size, image_size)`.

    Raises:
        FERError: If images are unreadable (all are listed), the disk is full or the folder cannot be written.
    """
    folder = Path(folder).expanduser()
    series = folder / f"{name}-pixels-{_digest(legend, input_spec)}"
    rows = np.unique(rows) if rows is not None else np.arange(len(legend))
    stamps = legend.stamps(rows.tolist())
    cache = _Cache.find(series, len(legend))
    if cache is not None and (cache.stamps[rows] == stamps).all():
        return cache.pixels
    input_spec.need_detector()
    need = f"the decoded images need {math.ceil(size_of(legend, input_spec) / 1e6):,} MB"
    with explained(folder, need, ", or do without the cache: --data.cache false"):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{series}.lock"):
            cache = _Cache.find(series, len(legend))
            known = cache.stamps[rows] if cache is not None else stamps
            if cache is None or ((known != stamps) & (known != 0)).any():
                cache = _Cache.start(series, (len(legend), input_spec.channels, *[input_spec.image_size] * 2))
            missing = (cache.stamps[rows] == 0).all(1)
            if missing.any():
                _decode(legend, input_spec, cache, rows[missing], stamps[missing])
            return cache.pixels


def open_decoded(path: str | os.PathLike[str]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Map a cache into memory, to read: uint8 `(n, channels, image_size, image_size)`."""
    pixels: np.memmap[Any, np.dtype[np.uint8]] = np.load(path, mmap_mode="r")
    return pixels


def size_of(legend: Legend, input_spec: InputSpec) -> int:
    """Bytes of pixels in the cache of a legend."""
    return len(legend) * input_spec.channels * input_spec.image_size**2


@dataclass
class _Cache:
    """A file of pixels and its companion of stamps, int64 `(n, 2)`: size and time in ns of each image, 0 if not there.

    A file without its companion is of no use: it was removed, or never finished.
    """

    pixels: Path
    stamps: np.ndarray

    @classmethod
    def find(cls, series: Path, images: int) -> _Cache | None:
        """The cache that is there, if it is whole."""
        for path in series.parent.glob(f"{glob.escape(series.name)}-*.npy"):
            with contextlib.suppress(OSError, ValueError):
                stamps = np.load(path.with_suffix(".stamps"))
                if len(stamps) == len(open_decoded(path)) == images:
                    return cls(path, stamps)
        return None

    @classmethod
    def start(cls, series: Path, shape: tuple[int, ...]) -> _Cache:
        """An empty cache in place of the one before; the name is a new one, so that nobody maps other pixels by it."""
        for left in series.parent.glob(f"{glob.escape(series.name)}-*"):
            left.unlink()
        path = Path(f"{series}-{time.time_ns():x}.npy")
        np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        return cls(path, np.zeros((shape[0], 2), np.int64))

    def save(self) -> None:
        """Write the stamps; pixels must be on the disk by then."""
        with replacing(self.pixels.with_suffix(".stamps"), "wb") as stream:
            np.save(stream, self.stamps)


def _digest(legend: Legend, input_spec: InputSpec) -> str:
    """Which images and which pixels, apart from the state of the files.

    What another class list or rule for conflicts leaves of a legend has another one, so that runs that differ in that
    do not remove each other's caches.
    """
    spec: list[Any] = [_LAYOUT, input_spec.image_size, input_spec.color, input_spec.interpolation]
    if input_spec.faces != "whole":
        spec += [input_spec.faces, input_spec.margin, input_spec.detector]
    images = hashlib.sha256("\n".join([os.fspath(legend.image_dir.resolve()), *legend.images]).encode()).hexdigest()
    return hashlib.sha256(json.dumps([spec, images]).encode()).hexdigest()[:8]


def _decode(legend: Legend, input_spec: InputSpec, cache: _Cache, rows: np.ndarray, stamps: np.ndarray) -> None:
    """Write rows into the cache; what was decoded stays there, whatever ends this but a full disk."""
    workers = available_cpus(keep=0) if len(rows) > _FEW else 0
    images = LegendImages(legend, input_spec)
    batches = DataLoader(
        images, _BATCH, sampler=rows.tolist(), num_workers=workers, collate_fn=list, worker_init_fn=start_worker
    )
    start, size = open_decoded(cache.pixels).offset, size_of(legend, input_spec) // len(legend)
    fresh, faces = not cache.stamps.any(), 0
    complaints: list[str] = []

    def keep() -> None:
        stream.flush()
        os.fsync(stream.fileno())
        good = [number for number, said in enumerate(complaints) if not said]
        cache.stamps[rows[good]] = stamps[good]
        cache.save()

    try:
        with (
            open(cache.pixels, "rb+") as stream,  # and not a mapped file: on a full disk that ends the process
            tqdm(total=len(rows), desc="Decoding images", unit=" images", delay=1, leave=False) as bar,
        ):
            saved = time.monotonic()
            try:
                for batch in batches:
                    for pixels, face, said in batch:
                        stream.seek(start + int(rows[len(complaints)]) * size)
                        stream.write(pixels)
                        complaints.append(said)
                        faces += face
                    bar.update(len(batch))
                    if time.monotonic() - saved > _SECONDS:
                        keep()
                        saved = time.monotonic()
            finally:
                keep()
    except OSError:
        if fresh:
            for path in (cache.pixels.with_suffix(".stamps"), cache.pixels):
                path.unlink(missing_ok=True)
        raise
    check_complaints(complaints, legend)
    if input_spec.faces == "detect":
        print(f"Faces  found in {faces:,} of {len(rows):,} images; the others are taken whole", flush=True)
