"""Cross-entropy in which rare classes weigh more."""

from typing import Literal

import torch
from torch import Tensor

from fer_lightning.training.losses.cross_entropy import CrossEntropy


class WeightedCrossEntropy(CrossEntropy):
    """Cross-entropy with a weight for each class; the weights average 1 over the images, each counted once.

    Args:
        weighting: `inverse`, of the number of images of the class; or `effective`, of its effective number with beta
            0.999 (arXiv 1901.05555, equation 2).
        options: Those of `CrossEntropy`.
    """

    def __init__(self, weighting: Literal["inverse", "effective"] = "inverse", **options: float) -> None:
        super().__init__(**options)
        self.weighting, self.needs_counts = weighting, True

    @property
    def class_weights(self) -> Tensor:
        """The weights, float `(classes,)`; 0 for a class without images."""
        beta, counts = 0.999, self.counts
        seen = counts if self.weighting == "inverse" else (1 - torch.pow(beta, counts)) / (1 - beta)
        weights = torch.where(counts > 0, 1 / seen.clamp(min=1e-12), 0.0)
        return weights * counts.sum() / (weights * counts).sum()

    def weigh(self, terms: Tensor, log_probabilities: Tensor) -> Tensor:
        """Terms of each class times its weight."""
        return terms * self.class_weights

    def weighted_prior(self, prior: Tensor) -> Tensor:
        """As weights make frequent what they favor."""
        return super().weighted_prior(prior) * self.class_weights.cpu()
