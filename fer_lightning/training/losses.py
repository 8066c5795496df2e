"""The training loss: cross-entropy with what helps against doubtful labels and rare classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from fer_lightning.errors import FERError


@dataclass(frozen=True)
class LossOptions:
    """How the training loss differs from plain cross-entropy; validation and test always use the plain one.

    Attributes:
        label_smoothing: Share of every target that is spread over all classes (arXiv 1512.00567, section 7).
        class_weights: Weight of each class: `none`; `inverse`, of its number of images; or `effective`, of its
            effective number with beta 0.999 (arXiv 1901.05555, equation 2). They average 1 over the images, each
            counted once.
        logit_adjustment: Strength tau of the logit adjustment: tau times the log of the class's share is added to its
            logit in training, so that the network need not learn the shares (arXiv 2007.07314, equation 10). 1 aims
            at balanced accuracy, 0 at accuracy.
        focal_gamma: Exponent of the focal loss, which turns away from easy images (arXiv 1708.02002, equation 4).
    """

    label_smoothing: float = 0.0
    class_weights: Literal["none", "inverse", "effective"] = "none"
    logit_adjustment: float = 0.0
    focal_gamma: float = 0.0

    def __post_init__(self) -> None:
        for name, top in (("label_smoothing", 0.999), ("logit_adjustment", 10.0), ("focal_gamma", 10.0)):
            value = getattr(self, name)
            if not 0 <= value <= top:
                raise FERError(f"Invalid value for --model.loss.{name}. Expected 0 to {top:g}. Received: {value}.")

    def __call__(
        self, logits: Tensor, targets: Tensor, counts: Tensor | None = None, draws: Tensor | None = None
    ) -> Tensor:
        """The mean loss of a batch.

        Where classes are drawn unequally, the network is not to learn how often they are drawn but how frequent they
        are: logits get the log of the draws (as in arXiv 2007.07314), and targets are multiplied by the draws, so that
        the loss is least for the targets themselves. A target of one class stays as it is.

        Args:
            logits: float `(n, classes)`.
            targets: float `(n, classes)`, rows that add up to 1.
            counts: float `(classes,)`, images of each class in the training part; needed for `class_weights` and
                `logit_adjustment`.
            draws: float `(classes,)`, how often an image of each class is drawn, where that differs.

        Returns:
            A float scalar.

        Raises:
            FERError: If `counts` is needed and not given.
        """
        logits = logits.float()
        if self.logit_adjustment:
            counts = self._needed(counts)
            logits = logits + self.logit_adjustment * (counts.clamp(min=0.5) / counts.sum()).log()
        if self.label_smoothing:
            targets = targets * (1 - self.label_smoothing) + self.label_smoothing / targets.shape[1]
        if draws is not None:
            logits = logits + draws.log()
            targets = targets * draws
            targets = targets / targets.sum(1, keepdim=True)
        log_probabilities = log_softmax(logits, 1)
        terms = -targets * log_probabilities
        if self.focal_gamma:
            terms = terms * (1 - log_probabilities.exp()) ** self.focal_gamma
        if self.class_weights != "none":
            terms = terms * self._weights(self._needed(counts))
        return terms.sum(1).mean()

    def learnt_shares(self, shares: Tensor, counts: Tensor) -> Tensor:
        """The class shares that a network trained with this loss has learnt, so far as they are known.

        Args:
            shares: float `(classes,)`, mean of the training targets.
            counts: float `(classes,)`, images of each class in the training part.

        Returns:
            float `(classes,)`, above 0, adding up to 1.
        """
        shares = shares * (1 - self.label_smoothing) + self.label_smoothing / len(shares)
        if self.class_weights != "none":
            shares = shares * self._weights(counts)
        least = 0.5 / counts.sum()
        shares = shares.clamp(min=least) / (counts / counts.sum()).clamp(min=least) ** self.logit_adjustment
        return shares / shares.sum()

    def _needed(self, counts: Tensor | None) -> Tensor:
        if counts is None:
            raise FERError(
                "--model.loss.class_weights and --model.loss.logit_adjustment need the number of images of each class: "
                "train with FERDataModule."
            )
        return counts

    def _weights(self, counts: Tensor) -> Tensor:
        beta = 0.999
        seen = counts if self.class_weights == "inverse" else (1 - torch.pow(beta, counts)) / (1 - beta)
        weights = torch.where(counts > 0, 1 / seen.clamp(min=1e-12), 0.0)
        return weights * counts.sum() / (weights * counts).sum()
