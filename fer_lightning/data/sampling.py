"""The order of samples: seeded, sharded over devices, resumable; a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterator, Sized

from torch.utils.data import DistributedSampler

PADDING = -1
"""The label of a sample that only fills up the last batches of a device; losses and metrics ignore it."""


class TrainingSampler(DistributedSampler[int]):
    """Shuffles anew every epoch; each device gets the same number of samples and no sample goes to two.

    With `d` devices the last `n % d` samples of the epoch's order are left out, others each epoch. The order depends
    on the seed and the epoch set with `set_epoch`, not on the number of workers.
    """

    def __init__(self, dataset: Sized, devices: int, rank: int, seed: int) -> None:
        super().__init__(dataset, num_replicas=devices, rank=rank, shuffle=True, seed=seed, drop_last=True)  # type: ignore[arg-type]
        self._resumed = (-1, 0)

    def resume(self, epoch: int, done: int) -> None:
        """Let the iterator over `epoch` leave out the first `done` samples of this device; `len` stays as it is."""
        self.set_epoch(epoch)
        self._resumed = (epoch, done)

    def __iter__(self) -> Iterator[int]:
        epoch, done = self._resumed
        order = super().__iter__()
        return iter(list(order)[done:]) if self.epoch == epoch and done else order


class EvaluationSampler(DistributedSampler[int]):
    """File order; device `r` of `d` gets samples `r, r + d, ...`.

    Every device must run the same number of batches, or those that wait for each other wait forever. So numbers from
    `len(dataset)` on fill up the shorter shards: `FaceSamples` knows them.
    """

    def __init__(self, dataset: Sized, devices: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=devices, rank=rank, shuffle=False)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, self.total_size, self.num_replicas))
