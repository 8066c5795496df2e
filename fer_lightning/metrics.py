"""The metric collection: the same three figures for validation and test."""

from __future__ import annotations

import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from fer_lightning.data.sampling import PADDING


class BalancedAccuracy(MulticlassConfusionMatrix):
    """Mean recall of the classes that have at least one sample, as scikit-learn defines it.

    torchmetrics' macro accuracy also counts classes that were only ever predicted, with a recall of 0.

    >>> metric = BalancedAccuracy(num_classes=3)
    >>> metric(torch.tensor([0, 0, 2, 1]), torch.tensor([0, 0, 0, 1]))
    tensor(0.8333)
    """

    def compute(self) -> torch.Tensor:
        """The metric's value, a float scalar; 0 before the first sample."""
        matrix = self.confmat.float()
        support = matrix.sum(1)
        recall = matrix.diagonal() / support.clamp(min=1)
        return recall.sum() / (support > 0).sum().clamp(min=1)


def expression_metrics(num_classes: int, prefix: str) -> MetricCollection:
    """Accuracy, balanced accuracy and macro-F1, named `<prefix>acc`, `<prefix>balanced_acc`, `<prefix>macro_f1`.

    They take predicted and true classes, int64 `(n,)`, leave out samples labelled `PADDING` and add up over devices.
    Macro-F1 is the mean over the classes that occur among labels or predictions.

    Args:
        num_classes: Number of classes.
        prefix: Start of every name, such as `val_`.
    """
    return MetricCollection(
        {
            "acc": MulticlassAccuracy(num_classes, average="micro", ignore_index=PADDING),
            "balanced_acc": BalancedAccuracy(num_classes, ignore_index=PADDING),
            "macro_f1": MulticlassF1Score(num_classes, average="macro", ignore_index=PADDING),
        },
        prefix=prefix,
    )
