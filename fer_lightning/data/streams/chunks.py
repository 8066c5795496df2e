"""The chunks of a subset: fetched where they are elsewhere, read with LitData, gathered into batches."""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer_lightning import storage
from fer_lightning.data.streams.manifest import Shard
from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.locks import alone
from fer_lightning.values import ValuesError, list_of, plain_dict, read_json, text_of, whole_number

LANES = 16
"""Chunks that an epoch reads from side by side; see `order.py`."""

CHUNK_BYTES = 8_000_000
"""Bytes of pixels in a chunk; a process holds `LANES` of them and a few more."""

_LOADS = 3
"""How often a chunk is fetched that is damaged here, or gone by the time it is read."""
_HELD = LANES + 4
_KEPT = 4 * LANES
"""Fetched chunks that stay on the disk where it is not to keep all."""
_FREE = 0.1
"""Fraction of the disk that is left free."""

_PLAIN = {"data_format": ["numpy"], "compression": None, "encryption": None, "item_loader": "PyTreeLoader"}
"""What LitData's index says of chunks that are arrays and nothing else."""


def litdata() -> Any:
    """The package, without its look at whether there is a newer one.

    Raises:
        MissingPackageError: If it is not installed.
    """
    os.environ.setdefault("LITDATA_DISABLE_VERSION_CHECK", "1")
    try:
        import litdata
    except ImportError:
        raise MissingPackageError("Streams need LitData: pip install litdata.") from None
    return litdata


class Chunks:
    """Gathers batches from the chunks of a subset, in this process or a worker.

    Args:
        place: Folder or address of the subset.
        folder: Where the files of an address are kept; None to read a folder in place.
        shard: How many images there are.
        shape: Channels, height and width.
        positions: uint32 `(n,)`, where each image stands; None where they stand in order.
        keep: Keep all that was fetched on the disk, as far as there is room, and not just what is in use.
    """

    def __init__(
        self,
        place: str,
        folder: Path | None,
        shard: Shard,
        shape: tuple[int, int, int],
        positions: np.ndarray | None = None,
        keep: bool = True,
    ) -> None:
        litdata()
        self.place, self.shard, self.shape, self.positions = place, shard, shape, positions
        self.folder, self.remote, self.keep = Path(folder or place), folder is not None, keep
        self.files = self._index()
        sums = np.load(self._here("checksums.npy", anew=True))
        if sums.shape != (len(self.files),):
            raise self._damaged("checksums.npy", "it is not of these chunks")
        self.checksums: list[int] = sums.tolist()
        self._owner = 0
        self._data: Any = None
        self._held: OrderedDict[int, np.ndarray] = OrderedDict()

    def __call__(self, numbers: list[int]) -> Tensor:
        """Images uint8 `(n, channels, size, size)` of these samples."""
        asked = np.asarray(numbers, np.int64)
        places = asked if self.positions is None else self.positions[asked].astype(np.int64)
        chunks, rows = np.divmod(places, self.shard.per_chunk)
        images = np.empty((len(asked), *self.shape), np.uint8)
        for chunk in np.unique(chunks).tolist():
            here = chunks == chunk
            images[here] = self._chunk(chunk)[rows[here]]
        return torch.from_numpy(images)

    def array(self, name: str) -> np.ndarray:
        """A small file of the subset, mapped; None of it is trusted but its numbers."""
        try:
            found: np.ndarray = np.load(self._here(name, anew=True), mmap_mode="r")
        except ValueError:
            raise self._damaged(name, "it is no array") from None
        if found.shape[:1] != (self.shard.images,):
            raise self._damaged(name, "it has not a row for each image")
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_data": None, "_held": OrderedDict(), "_owner": 0}

    def _index(self) -> list[tuple[str, int]]:
        """Name and bytes of each chunk, as LitData's index says."""
        path = self._here("index.json", anew=True)
        try:
            index = read_json(path.read_bytes())
            index = index if isinstance(index, dict) else {}
            chunks, config = list_of(index, "chunks", 2**22), index.get("config")
            if not isinstance(config, dict) or any(config.get(name) != value for name, value in _PLAIN.items()):
                raise ValuesError("its chunks are no plain arrays")  # LitData would unpickle others
            files = [(text_of(plain_dict(one, "a chunk"), "filename"), one.get("chunk_bytes")) for one in chunks]
            found = [(name, whole_number(size, "chunk_bytes", 1, 2**40)) for name, size in files]
        except ValuesError as error:
            raise self._damaged("index.json", str(error)) from None
        if any(os.path.basename(name) != name or name.startswith(".") for name, _ in found):
            raise self._damaged("index.json", "a chunk has a name that is no plain file's")
        if len(found) != -(-self.shard.images // self.shard.per_chunk):
            raise self._damaged("index.json", "there are not as many chunks as there have to be")
        return found

    def _chunk(self, number: int) -> np.ndarray:
        """uint8 `(m, channels, size, size)`, from memory if it was used lately."""
        if self._owner != os.getpid():  # after a fork, what LitData holds is another process's
            self._owner, self._data, self._held = os.getpid(), None, OrderedDict()
        if number in self._held:
            self._held.move_to_end(number)
            return self._held[number]
        pixels = None
        for _ in range(_LOADS if self.remote else 1):
            with contextlib.suppress(OSError, ValueError, EOFError, AssertionError, RuntimeError):
                pixels = self._loaded(number)
            if pixels is not None or not self.remote:
                break
            self._data = None  # a copy that something has spoilt, or that another process has removed to make room
            (self.folder / self.files[number][0]).unlink(missing_ok=True)
        if pixels is None:
            raise self._damaged(self.files[number][0], "its pixels are not those that were written")
        self._held[number] = pixels
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return pixels

    def _loaded(self, number: int) -> np.ndarray | None:
        """A chunk from the disk, fetched if need be; None if it is not what was written."""
        name, size = self.files[number]
        path = self._here(name, size=size)
        if os.path.getsize(path) != size:
            return None
        if self._data is None:
            self._data = litdata().StreamingDataset(os.fspath(self.folder.resolve()))
        pixels = self._data[number]
        if self.remote and not (self.keep and self._has_room()):
            self._data = None  # it maps what goes now
            self._remove_oldest()
        rows = min(self.shard.per_chunk, self.shard.images - number * self.shard.per_chunk)
        whole = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape == (rows, *self.shape)
        return pixels if whole and zlib.crc32(pixels.data) == self.checksums[number] else None

    def _here(self, name: str, size: int | None = None, anew: bool = False) -> Path:
        """A file of the subset on this machine; one that is fetched `anew` is, unless this process has it."""
        path = self.folder / name
        if not self.remote:
            if not path.is_file():
                raise self._damaged(name, "it is missing")
            return path
        if anew or not path.is_file() or (size is not None and path.stat().st_size != size):
            self.folder.mkdir(parents=True, exist_ok=True)
            with alone(self.folder / f".{zlib.crc32(name.encode()) % LANES}.lock"):
                if anew or not path.is_file() or (size is not None and path.stat().st_size != size):
                    storage.fetch(storage.joined(self.place, name), path, size)
        else:
            with contextlib.suppress(OSError):
                os.utime(path)  # what was used last is kept longest
        return path

    def _has_room(self) -> bool:
        disk = shutil.disk_usage(self.folder)
        return disk.free > _FREE * disk.total

    def _remove_oldest(self) -> None:
        """Remove fetched chunks but those used last; another process that wants one fetches it again."""
        ages: list[tuple[float, Path]] = []
        for name, _ in self.files:
            with contextlib.suppress(OSError):
                ages.append(((self.folder / name).stat().st_mtime, self.folder / name))
        for _, path in sorted(ages)[:-_KEPT]:
            with contextlib.suppress(OSError):
                path.unlink()

    def _damaged(self, name: str, why: str) -> FERError:
        shown = storage.without_secret(storage.joined(self.place, name))
        return FERError(f"The stream is damaged: '{shown}', {why}. Make it again with `prepare`.")
