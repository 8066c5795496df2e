"""Writes a data set as a stream, chunk by chunk, so that little of it is on this machine at a time."""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from fer_lightning import storage
from fer_lightning.cores import available_cpus
from fer_lightning.data.batches import FaceSamples, collate
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.shared_memory import fitting_workers
from fer_lightning.data.splits import TRAINING
from fer_lightning.data.streams.chunks import CHUNK_BYTES, litdata
from fer_lightning.data.streams.manifest import BEGUN, MANIFEST, ROWS, Manifest, Shard
from fer_lightning.data.streams.rows import rows_of
from fer_lightning.data.subsets import Subsets
from fer_lightning.errors import FERError
from fer_lightning.processes import start_worker

_MIXED = 0
"""Seed of the order in which training images are stored."""


def check_place(output: str, overwrite: bool) -> list[str]:
    """The files at a place where a stream may be written.

    Raises:
        FERError: If there is a stream that is not to be replaced, or something that is not ours.
    """
    shown = storage.without_secret(output)
    if not storage.is_address(output) and os.path.exists(output) and not os.path.isdir(output):
        raise FERError(f"Invalid value for --output. Expected a folder or an address. '{shown}' is a file.")
    if output.partition("://")[0].lower() in ("http", "https"):
        raise FERError(f"Invalid value for --output. '{shown}' can only be read. Expected a folder, or s3://...")
    found = list(storage.listing(output)) if storage.exists(output) else []
    if MANIFEST in found and not overwrite:
        raise FERError(
            f"Invalid value for --output. There is a stream at '{shown}' already. Choose another place, or replace it "
            "with --overwrite."
        )
    if found and not {MANIFEST, BEGUN} & set(found):
        raise FERError(
            f"Invalid value for --output. '{shown}' has files in it that are not ours, such as '{found[0]}'. Choose "
            "another place."
        )
    return found


def write_stream(subsets: Subsets, output: str, asked: Mapping[str, Any], license: str, overwrite: bool) -> Manifest:
    """Decode a data set and write it to a folder or an address; the manifest, by which it is a stream, comes last.

    Args:
        subsets: The data set, split.
        output: Where to write.
        asked: Options that are settled by that.
        license: Under which images and labels may be used; empty for what the data set says.
        overwrite: Whether a stream that is there is replaced.

    Raises:
        FERError: If the place is taken, images cannot be read, or something cannot be written.
    """
    litdata()
    before = check_place(output, overwrite)
    split, legend = subsets.split, subsets.legend
    numbers = [number for number in range(len(SUBSETS)) if subsets.counts[number].any()]
    for number in numbers:
        subsets.prepare(number)
    storage.write(storage.joined(output, BEGUN), b"A stream is being written here, or was until it was interrupted.\n")
    storage.remove(storage.joined(output, MANIFEST))
    shards, written = {}, {BEGUN, MANIFEST, ROWS}
    for number in numbers:
        name = SUBSETS[number]
        with _Shelf(storage.joined(output, name)) as shelf:
            shards[name] = _write_shard(subsets, number, shelf)
            written |= {f"{name}/{file}" for file in shelf.written}
    storage.write(storage.joined(output, ROWS), rows_of(split))
    training = subsets.training
    votes = legend.vote_distribution(split.rows(TRAINING)) if legend.votes is not None else None
    manifest = Manifest(
        class_names=subsets.class_names,
        input_spec=subsets.input_spec,
        training=replace(training, license=license or training.license),
        votes_prior=tuple(torch.from_numpy(votes).mean(0).tolist()) if votes is not None else (),
        counts=tuple(tuple(row) for row in subsets.counts.tolist()),
        options=dict(split.options),
        asked=dict(asked),
        people=len(set(split.identities)),
        origin=" and ".join(f"{one.short_name}, {one.format}" for one in subsets.legends)[:1000],
        warnings=tuple(one[:1000] for one in (*legend.notes, *legend.warnings, *split.warnings)),
        shards=shards,
    )
    for left in set(before) - written:
        if left.partition("/")[0] in SUBSETS:
            storage.remove(storage.joined(output, left))
    storage.write(storage.joined(output, MANIFEST), manifest.text().encode())
    storage.remove(storage.joined(output, BEGUN))
    return manifest


def _write_shard(subsets: Subsets, number: int, shelf: _Shelf) -> Shard:
    """Write the images of a subset, and beside them what is known of each by its sample number."""
    samples, split = subsets.samples(number), subsets.split
    count, bytes_each = len(samples), subsets.input_spec.channels * subsets.input_spec.image_size**2
    per_chunk = max(1, CHUNK_BYTES // bytes_each)
    order = np.random.default_rng(_MIXED).permutation(count) if number == TRAINING else np.arange(count)
    places = np.empty(count, np.uint32)
    places[order] = np.arange(count)
    sums = []
    title = f"Writing {SUBSETS[number]}"
    with tqdm(total=count, desc=title, unit=" images", delay=1, leave=False) as bar:
        for pixels in _blocks(samples, order, per_chunk, subsets.cache):
            images = pixels.numpy()
            sums.append(zlib.crc32(images.data))
            shelf.add(images)
            bar.update(len(images))
    shelf.finish()
    arrays = {"checksums": np.array(sums, np.uint32)}
    arrays["labels"] = samples.labels.numpy().astype(np.uint16)
    if number == TRAINING:
        arrays["positions"] = places
        if split.legend.votes is not None:
            arrays["votes"] = split.legend.vote_distribution(split.rows(number))
    for name, values in arrays.items():
        shelf.save(f"{name}.npy", values)
    return Shard(count, per_chunk)


def _blocks(samples: FaceSamples, order: np.ndarray, per_chunk: int, cached: bool) -> Iterator[Tensor]:
    """The images in an order, a chunk at a time: from the decoded cache, or decoded by processes of their own."""
    blocks = [order[start : start + per_chunk].tolist() for start in range(0, len(order), per_chunk)]
    workers = 0 if cached else fitting_workers(None, available_cpus(keep=0), CHUNK_BYTES)
    loader = DataLoader(
        samples, batch_sampler=blocks, num_workers=workers, collate_fn=collate, worker_init_fn=start_worker
    )
    for batch in loader:
        yield batch.images


class _Shelf:
    """A subset's place: LitData's writer fills a folder here, from which each file is taken there."""

    def __init__(self, place: str) -> None:
        self.place, self.written = place, set[str]()
        self._folder = tempfile.TemporaryDirectory(prefix="fer_stream_")
        self._here = Path(self._folder.name)
        litdata()
        from litdata.streaming import Cache

        self._cache, self._count = Cache(os.fspath(self._here), chunk_size=1), 0

    def __enter__(self) -> _Shelf:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def add(self, images: np.ndarray) -> None:
        """Write a chunk; uint8 `(m, channels, size, size)`."""
        self._cache[self._count] = images
        self._count += 1
        self._take("chunk-*.bin")

    def finish(self) -> None:
        """Write the last chunk and LitData's index."""
        self._cache.done()
        self._cache.merge()
        self._take("chunk-*.bin")
        self._take("index.json")

    def save(self, name: str, values: np.ndarray) -> None:
        """Write an array, a row an image or a chunk."""
        np.save(self._here / name, values)
        self._take(name)

    def _take(self, pattern: str) -> None:
        for path in sorted(self._here.glob(pattern)):
            storage.put(path, storage.joined(self.place, path.name))
            self.written.add(path.name)
            path.unlink()
