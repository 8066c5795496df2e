"""The figures: the same three for validation and test, and an epoch's own for training."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from fer_lightning.data.sampling import IGNORE_INDEX

LOGGED = ("train_loss", "train_acc", "val_loss", "val_acc", "val_balanced_acc", "val_macro_f1")
"""What is logged during `fit`, and can be monitored."""

RUNNING_LOSS = "loss"
"""What the progress bar shows within an epoch: the loss of one batch now and then; it is in no table."""


class BalancedAccuracy(MulticlassConfusionMatrix):
    """Mean recall of the classes that have at least one sample, as scikit-learn defines it.

    torchmetrics' macro accuracy also counts classes that were only ever predicted, with a recall of 0.

    >>> metric = BalancedAccuracy(num_classes=3)
    >>> metric(torch.tensor([0, 0, 2, 1]), torch.tensor([0, 0, 0, 1]))
    tensor(0.8333)
    """

    def compute(self) -> Tensor:
        """The metric's value, a float scalar; 0 before the first sample."""
        matrix = self.confmat.float()
        support = matrix.sum(1)
        recall = matrix.diagonal() / support.clamp(min=1)
        return recall.sum() / (support > 0).sum().clamp(min=1)


def expression_metrics(num_classes: int, prefix: str) -> MetricCollection:
    """Accuracy, balanced accuracy and macro-F1, named `<prefix>acc`, `<prefix>balanced_acc`, `<prefix>macro_f1`.

    They take predicted and true classes, int64 `(n,)`, leave out samples labelled `IGNORE_INDEX` and add up over
    devices. Macro-F1 is the mean over the classes that occur among labels or predictions.
    """
    return MetricCollection(
        {
            "acc": MulticlassAccuracy(num_classes, average="micro", ignore_index=IGNORE_INDEX),
            "balanced_acc": BalancedAccuracy(num_classes, ignore_index=IGNORE_INDEX),
            "macro_f1": MulticlassF1Score(num_classes, average="macro", ignore_index=IGNORE_INDEX),
        },
        prefix=prefix,
    )


class EpochFigures:
    """Loss and accuracy of an epoch's training, added up batch by batch on the batches' device.

    Logging in every step costs more than the sums, and Lightning's own sums do not survive a resume. These are no
    buffers either: DDP gives all devices the first one's.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        self._loss, self._hits_and_seen = torch.zeros(()), torch.zeros(2, dtype=torch.int64)
        self._uneven = False

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: its mean loss, a float scalar; logits, float `(n, classes)`; and labels, int64 `(n,)`."""
        hits = (logits.argmax(1) == labels).sum()
        seen = torch.stack([hits, torch.full_like(hits, len(labels))])  # a tensor made of a list waits for a GPU
        self._loss = self._loss.to(loss.device) + loss * len(labels)
        self._hits_and_seen = self._hits_and_seen.to(loss.device) + seen

    def is_finite(self) -> bool:
        """Whether every loss so far was finite: a sum with one that is not is not. Waits for the device."""
        return bool(self._loss.isfinite())

    def compute(self) -> dict[str, Tensor]:
        """`train_loss` and `train_acc`, float scalars."""
        hits, seen = self._hits_and_seen
        return {"train_loss": self._loss / seen, "train_acc": hits / seen}

    def state(self) -> Tensor:
        """Sum of the losses, hits and images so far, double `(3,)` on the CPU."""
        return torch.stack([self._loss.cpu().double(), *self._hits_and_seen.cpu().double()])

    @property
    def weight(self) -> int:
        """What this device's figures weigh among those of all: 1, but after a resume on another number of devices."""
        return int(self._hits_and_seen[1]) if self._uneven else 1

    def load(self, states: Sequence[Sequence[float]], rank: int, devices: int) -> None:
        """Go on from each device's `state`; on another number of devices, the first one takes over all of them."""
        others = len(states) not in (0, devices)
        mine = [[sum(column) for column in zip(*states, strict=True)]] if others else states
        self._uneven = others or len({seen for _, _, seen in states}) > 1
        if rank < len(mine):
            self._loss, self._hits_and_seen = torch.tensor(mine[rank][0]), torch.tensor(mine[rank][1:]).long()
