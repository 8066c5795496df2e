"""The focal loss, which turns away from easy images."""

from torch import Tensor

from fer_lightning.errors import check_range
from fer_lightning.training.losses.cross_entropy import CrossEntropy


class FocalLoss(CrossEntropy):
    """Cross-entropy times a power of how wrong the answer is (arXiv 1708.02002, equation 4).

    Its answers are no estimates of probabilities, so which class frequencies a network learns from it is not known.

    Args:
        gamma: The exponent; 0 is cross-entropy.
        options: Those of `CrossEntropy`.
    """

    def __init__(self, gamma: float = 2.0, **options: float) -> None:
        super().__init__(**options)
        check_range("--model.loss.gamma", gamma, 0, 10)
        self.gamma = gamma

    def weigh(self, terms: Tensor, log_probabilities: Tensor) -> Tensor:
        """Terms times `(1 - p) ** gamma`."""
        return terms * (1 - log_probabilities.exp()) ** self.gamma

    def learned_prior(self) -> list[float]:
        """Not known, but for an exponent of 0."""
        return super().learned_prior() if self.gamma == 0 else []
