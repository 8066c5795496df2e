"""How often an image of each class is drawn in an epoch of training."""

from abc import ABC, abstractmethod

from torch import Tensor

from fer_lightning.errors import FERError


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
        if not 0 <= strength <= 1:
            raise FERError(f"Invalid value for --data.sampling.strength. Expected 0 to 1. Received: {strength}.")
        self.strength = strength

    def draws(self, counts: Tensor) -> Tensor | None:
        """See `ClassSampling`."""
        if not self.strength:
            return None
        draws = counts.double().clamp(min=1).pow(-self.strength)
        return (draws * (counts.sum() / (draws @ counts.double()))).float()
