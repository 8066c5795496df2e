"""The order of samples: seeded, sharded over devices, a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterator, Sized

from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

PADDING = -1
"""The label of a sample that only fills up the last batches of a device; losses and metrics ignore it."""


class TrainingSampler(DistributedSampler[int]):
    """Shuffles anew every epoch; each device gets the same number of samples and no sample goes to two.

    With `d` devices the last `n % d` samples of the epoch's order are left out, others each epoch. The order depends
    on the seed and the epoch set with `set_epoch`, not on the number of workers.
    """

    def __init__(self, dataset: Sized, devices: int, rank: int, seed: int) -> None:
        super().__init__(dataset, num_replicas=devices, rank=rank, shuffle=True, seed=seed, drop_last=True)  # type: ignore[arg-type]


class EvaluationSampler(DistributedSampler[int]):
    """File order; device `r` of `d` gets samples `r, r + d, ...`.

    Every device must run the same number of batches, or those that wait for each other wait forever. So numbers from
    `len(dataset)` on fill up the shorter shards: `PaddedDataset` knows them.
    """

    def __init__(self, dataset: Sized, devices: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=devices, rank=rank, shuffle=False)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, self.total_size, self.num_replicas))


class PaddedDataset(Dataset[tuple[Tensor, int]]):
    """A data set of `(image, label)` that answers numbers past its end with a sample labelled `PADDING`."""

    def __init__(self, dataset: Dataset[tuple[Tensor, int]]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index < len(self):
            return self.dataset[index]
        return self.dataset[index % len(self)][0], PADDING
