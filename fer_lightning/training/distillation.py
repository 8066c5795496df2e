"""Targets that are in part another model's answers."""

import torch
from torch import Tensor

from fer_lightning.checkpoints.finding import find_checkpoint
from fer_lightning.checkpoints.reading import load_model
from fer_lightning.data.data_info import DataInfo
from fer_lightning.errors import FERError, check_range
from fer_lightning.model.expression_model import ExpressionModel


class Distillation:
    """Blends targets with a trained model's answers to the same images.

    Against noisy labels (Li et al. 2017, arXiv 1703.02391), or to hand on what a larger network knows
    (arXiv 1503.02531). Its answers are calibrated, and moved to the class frequencies of the new training.

    Args:
        teacher: A checkpoint, exported weights, or `pretrained`; of the same classes and kind of images.
        weight: The teacher's part of every target, 0 to 1.

    Raises:
        FERError: If the weight is out of its range.
    """

    def __init__(self, teacher: str, weight: float = 0.3) -> None:
        check_range("--model.distillation.weight", weight, 0, 1)
        self.teacher, self.weight = teacher, weight
        self._model: ExpressionModel | None = None

    def prepare(self, data: DataInfo, device: torch.device | str = "cpu") -> None:
        """Read the teacher's file, once, and get ready for these data: the teacher takes on their class frequencies.

        Raises:
            FERError: If the file cannot be used as a teacher here.
        """
        model = self._model or load_model(find_checkpoint(self.teacher, option="--model.distillation.teacher"))
        if model.class_names != data.class_names:
            raise FERError(
                f"The teacher '{self.teacher}' knows other classes. Expected {', '.join(data.class_names)}. Received: "
                f"{', '.join(model.class_names)}. To do without: --model.distillation null."
            )
        for name in ("image_size", "color", "mean", "std"):
            theirs, ours = getattr(model.input_spec, name), getattr(data.input_spec, name)
            if theirs != ours:
                raise FERError(
                    f"The teacher '{self.teacher}' takes other images: --data.{name} has to be {theirs}. "
                    f"Received: {ours}."
                )
        if not model.learned_prior:
            raise FERError(f"The teacher '{self.teacher}' does not know the class frequencies it has learned.")
        here = [max(value, 1e-6) for value in data.training.target_prior]
        self._model = model.with_prior(here or "training").to(device)

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """The blended targets, float `(n, classes)`, rows that add up to 1.

        Args:
            images: uint8 or float `(n, channels, size, size)`, 0..255, as the network is about to get them.
            targets: float `(n, classes)`, rows that add up to 1.
        """
        assert self._model is not None, "prepare it first"  # noqa: S101
        with torch.no_grad():
            return targets.lerp(self._model.probabilities(images).to(targets), self.weight)
