"""Which samples an epoch takes: seeded, sharded over devices, resumable; a function of (seed, epoch) alone."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sized

import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from fer_lightning.errors import check_range

IGNORE_INDEX = -1
"""The label of a sample that only fills up the last batches of a device; losses and metrics ignore it."""


class TrainingSampler(DistributedSampler[int]):
    """Shuffles anew every epoch; each device gets the same number of samples and no sample goes to two.

    With `d` devices the last `n % d` samples of the epoch's order are left out, others each epoch. The order depends
    on the seed and the epoch set with `set_epoch`, not on the number of workers or devices: device `r` takes every
    `d`-th of its samples from `r` on, so that all devices together are always done with the first ones.

    With `draws`, float `(n,)`, which add up to `n`, an epoch has as many samples, but each as often as that says: a
    sample expected 2.4 times comes 2 or 3 times, one expected 0.4 times comes once or not at all. The `k`-th repetition
    of a sample has the number `sample + k * n`, so that what is random about it can differ: `FaceSamples` knows them.

    With `otherwise`, each sample is taken the other way with this probability, drawn anew each epoch: the `k`-th
    repetition has the number `sample + 2 * k * n` then, and taken the other way `sample + (2 * k + 1) * n`.
    """

    def __init__(
        self,
        dataset: Sized,
        devices: int,
        rank: int,
        seed: int,
        draws: Tensor | None = None,
        otherwise: float = 0.0,
    ) -> None:
        super().__init__(dataset, num_replicas=devices, rank=rank, shuffle=True, seed=seed, drop_last=True)  # type: ignore[arg-type]
        self._resumed = (-1, 0)
        self._draws, self._otherwise = draws, otherwise

    def resume(self, epoch: int, done: int) -> None:
        """Let the devices divide what is left of `epoch` after the first `done` of its order; `len` stays as it is."""
        self.set_epoch(epoch)
        self._resumed = (epoch, done)

    def __iter__(self) -> Iterator[int]:
        epoch, done = self._resumed
        order = self._order()[done if self.epoch == epoch else 0 :]
        each = len(order) // self.num_replicas
        return iter(order[self.rank : each * self.num_replicas : self.num_replicas].tolist())

    def _order(self) -> Tensor:
        """The numbers of an epoch on all devices, int64 `(n,)`."""
        size = len(self.dataset)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = self._drawn(torch.randperm(size, generator=generator), generator)
        if self._otherwise:
            order += (order // size + (torch.rand(size, generator=generator) < self._otherwise)) * size
        return order

    def _drawn(self, order: Tensor, generator: torch.Generator) -> Tensor:
        """`draws` by systematic sampling of a random order."""
        draws, size = self._draws, len(order)
        if draws is None:
            return order
        ends = draws[order].double().cumsum(0)
        marks = torch.arange(size) + torch.rand((), generator=generator, dtype=torch.float64)
        places = torch.searchsorted(ends * (size / ends[-1]), marks, right=True).clamp(max=size - 1)
        repetition = torch.arange(size) - torch.searchsorted(places, places)
        return (order[places] + repetition * size)[torch.randperm(size, generator=generator)]


class EvaluationSampler(DistributedSampler[int]):
    """File order; device `r` of `d` gets samples `r, r + d, ...`.

    Every device must run the same number of batches, or those that wait for each other wait forever. So -1 fills up the
    shorter shards: `FaceSamples` knows it.
    """

    def __init__(self, dataset: Sized, devices: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=devices, rank=rank, shuffle=False)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        numbers = [*range(len(self.dataset)), *[-1] * (self.total_size - len(self.dataset))]  # type: ignore[arg-type]
        return iter(numbers[self.rank :: self.num_replicas])


class ClassSampling(ABC):
    """A rule for how often images are drawn; the loss knows it, so that answers stay right."""

    @abstractmethod
    def draws(self, counts: Tensor) -> Tensor | None:
        """How often an image of each class is expected in an epoch; None where every image comes once.

        Args:
            counts: float `(classes,)`, training images of each class.

        Returns:
            float `(classes,)`, above 0 where there are images; over all images they add up to the number of images.
        """


class BalancedSampling(ClassSampling):
    """Draws rare classes more often (class-balanced sampling, arXiv 1910.09217, equation 1).

    An epoch has as many images as before, and answers are for the class frequencies as they are.

    Args:
        strength: 1 minus the equation's exponent q: 0 takes every training image once an epoch, 1 every class equally
            often, 0.5 half-way (the number of draws of a class goes with the root of its number of images).

    Raises:
        FERError: If the strength is out of its range.
    """

    def __init__(self, strength: float = 0.0) -> None:
        check_range("--data.sampling.strength", strength, 0.0, 1.0)
        self.strength = strength

    def draws(self, counts: Tensor) -> Tensor | None:
        """See `ClassSampling`."""
        if not self.strength:
            return None
        draws = counts.double().clamp(min=1).pow(-self.strength)
        return (draws * (counts.sum() / (draws @ counts.double()))).float()
