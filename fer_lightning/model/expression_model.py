"""ExpressionModel: a network with all that is needed to use it, in plain torch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.errors import FERError
from fer_lightning.model.class_prior import ClassPrior, check_prior, prior_probabilities, prior_ratio


class ExpressionModel(nn.Module):
    """Names expressions: images as they are in, calibrated probabilities out.

    Attributes:
        network: Takes normalised images, float `(n, channels, h, w)`; returns logits, float `(n, c)`.
        class_names: `c` names of the network's outputs.
        input_spec: How an image becomes the network's input; `input_spec.load(file)` makes one.
        temperature: float scalar, divides logits before softmax (Guo et al. 2017).
        learned_prior: `c` class frequencies that the answers are for as learned; empty if not known.
        class_prior: The class frequencies to answer for.
        tta_flip: Answer with the mean logits of an image and its mirror image, at twice the cost.
        risk_curve: Rows of threshold, coverage and risk on the validation images; empty if not measured.

    Raises:
        FERError: If the network's output does not fit the classes or its input does not fit the specification.
    """

    temperature: Tensor

    def __init__(
        self,
        network: nn.Module,
        class_names: Sequence[str] = EXPRESSIONS,
        input_spec: InputSpec | None = None,
        temperature: float = 1.0,
        learned_prior: Sequence[float] = (),
        class_prior: ClassPrior = "training",
        tta_flip: bool = False,
        risk_curve: Sequence[Sequence[float]] = (),
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # faster convolutions on CPUs and GPUs
        self.class_names, self.input_spec = tuple(class_names), input_spec or InputSpec()
        check_prior(class_prior, self.class_names, "class_prior")
        self.learned_prior, self.class_prior, self.tta_flip = tuple(learned_prior), class_prior, tta_flip
        self.risk_curve = [list(row) for row in risk_curve]
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        self.check_network()

    def settings(self) -> dict[str, Any]:
        """All constructor arguments but the network."""
        names = ("class_names", "input_spec", "learned_prior", "class_prior", "tta_flip", "risk_curve")
        return {name: getattr(self, name) for name in names} | {"temperature": float(self.temperature)}

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.temperature.device

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float `(n, c)`, of images, uint8 `(n, channels, h, w)`, 0..255 (float in that range once augmented).

        They are those of the learned prior, before calibration.
        """
        inputs = self.normalize(images)
        if self.training or not self.tta_flip:
            logits: Tensor = self.network(inputs)
            return logits
        looks: Tensor = self.network(torch.cat([inputs, inputs.flip(-1)]))  # one call: an int8 graph has weights a call
        return looks.reshape(2, -1, looks.shape[1]).mean(0)

    def normalize(self, images: Tensor) -> Tensor:
        """The network's input, float `(n, channels, h, w)`, of images, uint8 of the same shape."""
        return self.input_spec.normalize(images).contiguous(memory_format=torch.channels_last)

    def probabilities(self, images: Tensor) -> Tensor:
        """Calibrated probabilities, float `(n, c)`, of images, uint8 `(n, channels, h, w)`, 0..255."""
        return self.calibrate(self(images))

    def calibrate(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities for the class prior of logits, both float `(n, c)`."""
        return (self.adapt(logits.float()) / self.temperature).softmax(1)

    def adapt(self, logits: Tensor) -> Tensor:
        """Logits moved from the learned prior to `class_prior` (Saerens et al. 2002, eq. 2.4), both float `(n, c)`.

        Raises:
            FERError: If the learned prior is needed and not known.
        """
        ratio = prior_ratio(self.class_prior, self.class_names, self.learned_prior, "class_prior")
        return logits if ratio is None else logits + self.temperature * torch.from_numpy(ratio).log().to(logits)

    @property
    def effective_prior(self) -> list[float]:
        """The class frequencies that answers are for; empty if not known."""
        return prior_probabilities(self.class_prior, self.class_names, self.learned_prior, "class_prior")

    def with_prior(self, prior: ClassPrior) -> ExpressionModel:
        """A model that answers for another class prior; it shares the network, and this one stays as it is.

        Raises:
            FERError: If the prior does not fit the classes, or the learned one is needed and not known.
        """
        other = copy.copy(self)
        other.class_prior = prior
        _ = other.effective_prior
        return other

    def with_tta_flip(self, tta_flip: bool) -> ExpressionModel:
        """A model that averages mirror images, or does not; it shares the network, and is this one if this one does."""
        if tta_flip == self.tta_flip:
            return self
        other = copy.copy(self)
        other.tta_flip = tta_flip
        return other

    def check_network(self, size: int | None = None) -> None:
        """Make sure that the network takes images of `size` pixels, by default the specification's.

        Raises:
            FERError: If not, or if it does not have an output a class.
        """
        size = size or self.input_spec.image_size
        shape = (1, self.input_spec.channels, size, size)
        name, expected = type(self.network).__name__, (1, len(self.class_names))
        training = self.network.training
        device = next((value.device for value in self.network.parameters()), self.device)
        try:
            with torch.no_grad():
                found = tuple(self.network.eval()(torch.zeros(shape, device=device)).shape)
        except Exception as error:  # whatever a network raises for a size it cannot take
            raise FERError(
                f"The network {name} cannot take a batch of shape {shape} (n, channels, height, width): {error}"
            ) from None
        finally:
            self.network.train(training)
        if found != expected:
            raise FERError(
                f"The network {name} does not fit the classes. Expected an output of shape {expected} for "
                f"{', '.join(self.class_names)}. Received: {found}."
            )
