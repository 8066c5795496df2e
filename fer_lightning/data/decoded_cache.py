"""The decoded cache: a legend's images, decoded and resized once, in one file that is mapped into memory."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import io
import json
import math
import os
import shutil
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader
from tqdm import tqdm

from fer_lightning.cores import available_cpus
from fer_lightning.data.image_checks import LegendImages, check_complaints, explained
from fer_lightning.data.input_spec import Framed, InputSpec
from fer_lightning.data.legend import Legend
from fer_lightning.files import no_file, replacing
from fer_lightning.locks import alone
from fer_lightning.processes import start_worker
from fer_lightning.screen import say

_LAYOUT = 2
"""Raised when the same files would be decoded to other pixels."""
_ALIGNED = 2
"""The same where faces are aligned."""

_BATCH = 64
_FEW = 1000
"""So many images are decoded before processes to do it are started."""
_SECONDS = 10.0
"""So often what is decoded is made to outlast a kill."""
_HINT = "Choose another place with --data.prepared_dir DIR, or do without the cache: --data.cache false."


def decoded(
    legend: Legend, input_spec: InputSpec, folder: str | os.PathLike[str], name: str, rows: np.ndarray | None = None
) -> Path:
    """Decode images into the cache of a legend, or find them there.

    There is one cache for a list of images and an input specification, shared by all splits. Beside its pixels it keeps
    the size, time and inode that each image had when it was decoded, and a checksum of its pixels. If an image asked
    for has changed since, the cache is started anew under another name, and who has mapped the old one keeps its
    pixels. Pixels that are no longer what was decoded are decoded again; that is said.

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
    row_shape = (input_spec.channels, input_spec.image_size, input_spec.image_size)
    cache = _Cache.find(series, (len(legend), *row_shape))
    if cache is not None and (cache.stamps[rows, :3] == stamps).all() and not cache.damaged(rows).any():
        return cache.pixels
    input_spec.need_detector()
    need = f"the decoded images need {math.ceil(size_of(legend, input_spec) / 1e6):,} MB"
    with explained(folder, need, _HINT):
        folder.mkdir(parents=True, exist_ok=True)
        with alone(f"{series}.lock"):
            cache = _Cache.find(series, (len(legend), *row_shape))
            if cache is None and any(series.parent.glob(f"{glob.escape(series.name)}-*.npy")):
                _say(f"The decoded images in '{folder}' are cut short, of an earlier version or not ours")
            known = cache.stamps[rows, :3] if cache is not None else stamps
            if cache is None or ((known != stamps) & (known != 0)).any():
                cache = _Cache.start(series, (len(legend), *row_shape))
            damaged = cache.damaged(rows)
            if damaged.any():
                _say(f"{damaged.sum():,} of {len(rows):,} decoded images in '{cache.pixels}' are damaged")
            missing = (cache.stamps[rows, :3] == 0).all(1) | damaged
            if missing.any():
                _decode(legend, input_spec, cache, rows[missing], stamps[missing])
            return cache.pixels


def _say(what: str) -> None:
    say(f"Note   {what}: they are decoded anew.")


def open_decoded(path: str | os.PathLike[str]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Map a cache into memory, to read: uint8 `(n, channels, image_size, image_size)`."""
    pixels: np.memmap[Any, np.dtype[np.uint8]] = np.load(path, mmap_mode="r")
    return pixels


def size_of(legend: Legend, input_spec: InputSpec) -> int:
    """Bytes of pixels in the cache of a legend."""
    return len(legend) * input_spec.channels * input_spec.image_size**2


@dataclass
class _Cache:
    """A file of pixels and its companion of stamps, int64 `(n, 4)`, a row an image, all 0 if it is not there.

    Its columns are size, time in ns and inode of the image file, and the CRC-32 of the pixels. A file without its
    companion is of no use: it was removed, or never finished.
    """

    pixels: Path
    stamps: np.ndarray

    @classmethod
    def find(cls, series: Path, shape: tuple[int, ...]) -> _Cache | None:
        """The cache that is there, if both files are whole: of this shape and type, to the byte."""
        for path in series.parent.glob(f"{glob.escape(series.name)}-*.npy"):
            beside = path.with_suffix(".stamps")
            if _is_array(path, shape, np.uint8) and _is_array(beside, (shape[0], 4), np.int64):
                with contextlib.suppress(OSError, ValueError):  # removed by another process meanwhile
                    return cls(path, np.load(beside))
        return None

    @classmethod
    def start(cls, series: Path, shape: tuple[int, ...]) -> _Cache:
        """An empty cache in place of the one before; the name is a new one, so that nobody maps other pixels by it."""
        for left in series.parent.glob(f"{glob.escape(series.name)}-*"):
            if left.is_symlink() or not left.is_dir():
                left.unlink()
        path = Path(f"{series}-{time.time_ns():x}.npy")
        try:
            np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return cls(path, np.zeros((shape[0], 4), np.int64))

    def damaged(self, rows: np.ndarray) -> np.ndarray:
        """Which of these rows do not hold what was decoded: bool, as `rows`. They are read, at 1 GB/s or more."""
        pixels, known = np.asarray(open_decoded(self.pixels)), self.stamps[:, 3].tolist()
        places = np.flatnonzero((self.stamps[rows, :3] != 0).any(1))
        wrong = np.zeros(len(rows), bool)
        checked = tqdm(places.tolist(), "Checking decoded images", delay=1, leave=False)
        for place, row in zip(checked, rows[places].tolist(), strict=True):
            wrong[place] = zlib.crc32(pixels[row].data) != known[row]
        return wrong

    def save(self) -> None:
        """Write the stamps; pixels must be on the disk by then."""
        with replacing(self.pixels.with_suffix(".stamps"), "wb") as stream:
            np.save(stream, self.stamps)


def _is_array(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> bool:
    """Whether a file is, to the byte of its heading and its size, what NumPy writes for such an array."""
    heading = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(heading, described)
    start = heading.getvalue()
    size = len(start) + math.prod(shape) * np.dtype(kind).itemsize
    try:
        if no_file(path) or os.path.getsize(path) != size:
            return False
        with open(path, "rb") as stream:
            return stream.read(len(start)) == start
    except OSError:
        return False


def _digest(legend: Legend, input_spec: InputSpec) -> str:
    """Which images and which pixels, apart from the state of the files.

    What another class list or rule for conflicts leaves of a legend has another one, so that runs that differ in that
    do not remove each other's caches.
    """
    spec: list[Any] = [_LAYOUT, input_spec.image_size, input_spec.color, input_spec.interpolation]
    if input_spec.finds:
        spec += [input_spec.framing, input_spec.margin, input_spec.detector]
        spec += [_ALIGNED] if input_spec.align else []
    names = "\n".join([os.fspath(legend.image_dir.resolve()), *legend.images])
    images = hashlib.sha256(names.encode(errors="surrogatepass")).hexdigest()
    return hashlib.sha256(json.dumps([spec, images]).encode()).hexdigest()[:8]


def _decode(legend: Legend, input_spec: InputSpec, cache: _Cache, rows: np.ndarray, stamps: np.ndarray) -> None:
    """Write rows into the cache; what was decoded stays there, whatever ends this but a full disk."""
    workers = available_cpus(keep=0) if len(rows) > _FEW else 0
    images = LegendImages(legend, input_spec)
    batches = DataLoader(
        images, _BATCH, sampler=rows.tolist(), num_workers=workers, collate_fn=list, worker_init_fn=start_worker
    )
    start, size = open_decoded(cache.pixels).offset, size_of(legend, input_spec) // len(legend)
    fresh, taken = not cache.stamps.any(), Counter[Framed]()
    complaints: list[str] = []
    checksums: list[int] = []

    def keep() -> None:
        stream.flush()
        os.fsync(stream.fileno())
        good = [number for number, said in enumerate(complaints) if not said]
        cache.stamps[rows[good], :3] = stamps[good]
        cache.stamps[rows[good], 3] = np.array(checksums, np.int64)[good]
        cache.save()

    try:
        if len(rows) * size > shutil.disk_usage(cache.pixels.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with (
            open(cache.pixels, "rb+") as stream,  # and not a mapped file: on a full disk that ends the process
            tqdm(total=len(rows), desc="Decoding images", unit=" images", delay=1, leave=False) as bar,
        ):
            saved = time.monotonic()
            try:
                for batch in batches:
                    for pixels, framed, said in batch:
                        stream.seek(start + int(rows[len(complaints)]) * size)
                        stream.write(pixels)
                        complaints.append(said)
                        checksums.append(zlib.crc32(pixels))
                        taken[framed] += 1
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
    if input_spec.finds:
        faces = len(rows) - taken[Framed.WHOLE]
        say(f"Faces  found in {faces:,} of {len(rows):,} images; the others are taken whole")
    if input_spec.framing == "align":
        say(f"       aligned in {taken[Framed.ALIGNED]:,}; no landmarks in {taken[Framed.BOX]:,}, taken by their box")
