"""Batches of faces, gathered whole."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fer_lightning.data.decoded_cache import open_decoded
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.sampling import IGNORE_INDEX
from fer_lightning.errors import FERError


class Batch(NamedTuple):
    """`n` faces as the network is about to get them.

    Attributes:
        images: uint8 `(n, channels, size, size)`, 0..255; float in the same range once augmented.
        labels: int64 `(n,)`, index into the class names, or `IGNORE_INDEX`; None where there are only images.
        samples: int64 `(n,)`, the number of each face in its subset; where classes are drawn unequally often, or images
            taken in two ways, multiples of the subset's size are added (`TrainingSampler`). None: they have no number.
        targets: float32 `(n, classes)`, the label distribution to train towards, or None for the labels themselves.
    """

    images: Tensor
    labels: Tensor | None = None
    samples: Tensor | None = None
    targets: Tensor | None = None


def as_batch(batch: Any) -> Batch:
    """Take a batch of any loader: a `Batch`, `(images, labels)`, or images alone, which can only be predicted.

    Images are uint8 `(n, channels, h, w)`, labels integers `(n,)`.

    Raises:
        FERError: If it is something else; above all float images, whose range nobody knows.
    """
    if isinstance(batch, Batch):
        return batch
    whole = [batch] if isinstance(batch, Tensor) else list(batch) if isinstance(batch, tuple | list) else []
    if not 1 <= len(whole) <= 2 or not all(isinstance(one, Tensor) for one in whole):
        found = ", ".join(type(one).__name__ for one in whole) or type(batch).__name__
        raise FERError(f"Unknown kind of batch. Expected tensors (images, labels) or images alone. Received: {found}.")
    images, labels = whole[0], whole[1] if len(whole) == 2 else None
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise FERError(
            "Expected a batch of images of 0..255, uint8 (n, channels, h, w), such as "
            "torchvision.transforms.PILToTensor makes of them; the model normalizes them itself. Received: "
            f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}."
        )
    if labels is not None and (labels.is_floating_point() or labels.shape != images.shape[:1]):
        raise FERError(
            f"Expected the numbers of the classes as labels, int64 ({len(images)},). Received: "
            f"{str(labels.dtype).removeprefix('torch.')} {tuple(labels.shape)}."
        )
    return Batch(images, labels.long() if labels is not None else None)


def labeled(batch: Any, classes: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Images, labels and targets (if there are any) of a batch of any loader, as `as_batch` takes it.

    Raises:
        FERError: If it has no labels, or one that is no class.
    """
    images, labels, _, targets = as_batch(batch)
    if labels is None:
        raise FERError("Expected a batch of (images, labels). Received: images alone, which can only be predicted.")
    if not isinstance(batch, Batch) or labels.device.type == "cpu":  # ours are right; to look at a GPU's means to wait
        odd = labels[((labels < 0) & (labels != IGNORE_INDEX)) | (labels >= classes)]
        if len(odd):
            raise FERError(
                f"Expected the numbers of the classes as labels, 0 to {classes - 1}, as the data's info says that "
                f"there are {classes} classes. Received: {int(odd[0])}."
            )
    return images, labels, targets


Gather = Callable[[list[int]], Tensor]
"""Makes uint8 `(n, channels, size, size)` from the numbers of `n` faces."""


class FaceSamples(Dataset[Batch]):
    """One subset of a split, to be asked for whole batches.

    Numbers from `len(self)` on are repetitions or faces that are taken the other way, see `TrainingSampler`; -1 is
    answered with some face labelled `IGNORE_INDEX`, see `EvaluationSampler`.

    Args:
        labels: The label of every face.
        gather: Makes the images.
        targets: float32 `(faces, classes)`, label distributions.
        other: As `gather`, where faces can be taken another way.
    """

    def __init__(
        self,
        labels: Sequence[int] | np.ndarray,
        gather: Gather,
        targets: Tensor | None = None,
        other: Gather | None = None,
    ) -> None:
        self.labels, self.gather, self.targets = torch.tensor(labels, dtype=torch.int64), gather, targets
        self.other = other

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, numbers: list[int]) -> Batch:
        """The batch of these numbers; a DataLoader calls this once a batch, in place of `__getitem__` per sample."""
        asked = torch.tensor(numbers)
        faces = asked % len(self)
        labels = self.labels[faces].where(asked >= 0, IGNORE_INDEX)
        targets = None if self.targets is None else self.targets[faces]
        return Batch(self._images(asked, faces), labels, asked.where(asked >= 0, faces), targets)

    def _images(self, asked: Tensor, faces: Tensor) -> Tensor:
        if self.other is None:
            return self.gather(faces.tolist())
        otherwise = (asked >= 0) & (asked // len(self) % 2 == 1)
        ways = [(self.gather, ~otherwise), (self.other, otherwise)]
        images = torch.cat([gather(faces[those].tolist()) for gather, those in ways if those.any()])
        return images[otherwise.argsort(stable=True).argsort()]


def decode_files(input_spec: InputSpec, paths: Sequence[Path], numbers: list[int]) -> Tensor:
    """Images uint8 `(n, channels, size, size)` of the files with these numbers."""
    return torch.stack([input_spec.load(paths[number]) for number in numbers])


class ReadDecoded:
    """Gathers a batch from a file of the decoded cache, mapped at once; `rows` are those of the samples in it."""

    def __init__(self, cache: Path, rows: np.ndarray) -> None:
        self.cache, self.rows = cache, rows
        self._pixels: np.ndarray | None = open_decoded(cache)

    def __call__(self, numbers: list[int]) -> Tensor:
        """Images uint8 `(n, channels, size, size)` of these samples."""
        if self._pixels is None:
            self._pixels = open_decoded(self.cache)
        return torch.from_numpy(self._pixels[self.rows[numbers]])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pixels": None}  # a process that is not forked maps it for itself


def collate(batch: Any) -> Batch:
    """The DataLoader's collate function: what it takes for a list of samples is a complete batch already."""
    whole: Batch = batch
    return whole
