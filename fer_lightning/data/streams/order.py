"""In what order an epoch takes the images of a stream; as with local data, a function of (seed, epoch) alone."""

import math
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from fer_lightning.data.batches import FaceSamples
from fer_lightning.data.sampling import TrainingSampler
from fer_lightning.data.streams.chunks import CHUNK_BYTES, LANES, Chunks
from fer_lightning.data.streams.manifest import Shard
from fer_lightning.errors import FERError

SHUFFLED_WHOLE = LANES * CHUNK_BYTES
"""Bytes of a subset up to which it is shuffled whole, exactly as local data are: a process can hold it."""

_STEPS = 1024
"""Images of a lane that are put in line at once."""


class StreamSampler(TrainingSampler):
    """Shuffles a stream that does not fit into memory, so that chunks are read one after another.

    The chunks, which hold images in a random order since they were written, are put in an order anew every epoch and
    dealt to `LANES` lanes. Within a lane each chunk is shuffled; the epoch takes an image from each lane in turn.
    Device `r` of `d` gets images `r, r + d, ...` of that, as in `TrainingSampler`: so the order of an epoch does not
    depend on the number of devices, and where `d` divides the lanes, no two devices read the same chunks but at the
    borders of lanes.
    """

    def __init__(self, samples: FaceSamples, chunks: Chunks, devices: int, rank: int, seed: int) -> None:
        super().__init__(samples, devices, rank, seed)
        self._shard = chunks.shard
        positions = chunks.positions
        self._numbers = np.arange(len(samples)) if positions is None else np.argsort(positions).astype(np.uint32)

    def __iter__(self) -> Iterator[int]:
        epoch, done = self._resumed
        return self._after(done if self.epoch == epoch else 0)

    def _after(self, done: int) -> Iterator[int]:
        """This device's sample numbers, of those that are left after the first ones of the epoch on all devices."""
        devices, start = self.num_replicas, 0
        end = done + (len(self._numbers) - done) // devices * devices  # fewer than there are devices are left out
        for line in self._line():
            first = max(0, done - start)
            positions = line[first : max(first, end - start)]
            yield from self._numbers[positions[(self.rank + done - start - first) % devices :: devices]].tolist()
            start += len(line)

    def _line(self) -> Iterator[np.ndarray]:
        """The positions of all images in the order of the epoch, some at a time; the same for all devices."""
        images, per_chunk = self._shard.images, self._shard.per_chunk
        whole = images // per_chunk
        order = np.random.default_rng([self.seed % 2**63, self.epoch]).permutation(whole)
        order = np.append(order, whole)  # the last chunk may be short: it stays last, so that places can be computed
        length = images // LANES
        lanes = [_Lane(self._pieces(order, lane * length, (lane + 1) * length)) for lane in range(LANES)]
        for step in range(0, length, _STEPS):
            yield np.stack([lane.take(min(_STEPS, length - step)) for lane in lanes], axis=1).reshape(-1)
        rest = np.arange(LANES * length, images)
        yield order[rest // per_chunk] * per_chunk + rest % per_chunk

    def _pieces(self, order: np.ndarray, start: int, end: int) -> Iterator[np.ndarray]:
        """The positions from `start` to `end` in the line of chunks, chunk by chunk, each shuffled."""
        per_chunk = self._shard.per_chunk
        while start < end:
            stop = min(end, (start // per_chunk + 1) * per_chunk)
            chunk = int(order[start // per_chunk])
            inner = np.random.default_rng([self.seed % 2**63, self.epoch, start]).permutation(stop - start)
            yield chunk * per_chunk + start % per_chunk + inner
            start = stop


class _Lane:
    """Takes as many positions as are asked for out of pieces."""

    def __init__(self, pieces: Iterator[np.ndarray]) -> None:
        self._pieces, self._ready = pieces, np.empty(0, np.int64)

    def take(self, count: int) -> np.ndarray:
        """The next `count`, int64."""
        while len(self._ready) < count:
            self._ready = np.concatenate([self._ready, next(self._pieces)])
        taken, self._ready = self._ready[:count], self._ready[count:]
        return taken


def in_lanes(shard: Shard, shape: tuple[int, int, int]) -> bool:
    """Whether training images of such a shape are too many to be shuffled whole."""
    return shard.images * math.prod(shape) > SHUFFLED_WHOLE


def training_sampler(
    samples: FaceSamples, devices: int, rank: int, seed: int, draws: Tensor | None = None, otherwise: float = 0.0
) -> TrainingSampler:
    """The order for training images of any kind: a stream that does not fit into memory has one of its own.

    The arguments are those of `TrainingSampler`.

    Raises:
        FERError: If classes are to be drawn unequally often from such a stream.
    """
    chunks = samples.gather
    if not isinstance(chunks, Chunks) or not in_lanes(chunks.shard, chunks.shape):
        return TrainingSampler(samples, devices, rank, seed, draws, otherwise)
    if draws is not None:
        raise FERError(
            f"--data.sampling.strength draws images from the whole data set, and a stream of more than "
            f"{SHUFFLED_WHOLE / 1e6:.0f} MB is read chunk by chunk. Leave it away; for rare classes there is "
            "--model.loss.logit_adjustment."
        )
    return StreamSampler(samples, chunks, devices, rank, seed)
