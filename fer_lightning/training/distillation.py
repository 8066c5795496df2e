"""Targets that are in part other models' answers."""

import torch
from torch import Tensor

from fer_lightning.checkpoints.finding import find_checkpoint, label_of
from fer_lightning.checkpoints.reading import load_model
from fer_lightning.data.data_info import DataInfo
from fer_lightning.errors import FERError, check_range
from fer_lightning.model.expression_model import ExpressionModel


class Distillation:
    """Blends targets with the answers of one or several trained models to the same images.

    Against noisy labels (Li et al. 2017, arXiv 1703.02391), or to hand on what a larger network, or several together,
    know (arXiv 1503.02531). Answers are calibrated, moved to the class frequencies of the new training, and of several
    teachers the mean is taken.

    Args:
        teacher: A checkpoint, exported weights, or `pretrained`, or a list of them; of the same classes and kind of
            images.
        weight: The teachers' part of every target, 0 to 1.

    Raises:
        FERError: If the weight is out of its range, or there is no teacher in the list.
    """

    def __init__(self, teacher: str | list[str], weight: float = 0.3) -> None:
        check_range("--model.distillation.weight", weight, 0, 1)
        self.teachers, self.weight = [teacher] if isinstance(teacher, str) else list(teacher), weight
        if not self.teachers:
            raise FERError("Invalid value for --model.distillation.teacher. Expected a file or more. Received: [].")
        self._models: list[ExpressionModel] = []

    @property
    def name(self) -> str:
        """What the teachers are called, as a checkpoint keeps them."""
        return ", ".join(label_of(teacher) for teacher in self.teachers)

    def prepare(self, data: DataInfo, device: torch.device | str = "cpu") -> None:
        """Read the teachers' files, once, and get ready for these data: teachers take on their class frequencies.

        Raises:
            FERError: If a file cannot be used as a teacher here.
        """
        known = self._models or [
            load_model(find_checkpoint(teacher, option="--model.distillation.teacher")) for teacher in self.teachers
        ]
        for teacher, model in zip(self.teachers, known, strict=True):
            _check_teacher(teacher, model, data)
        here = [max(value, 1e-6) for value in data.training.target_prior]
        self._models = [model.with_prior(here or "training").to(device) for model in known]

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """The blended targets, float `(n, classes)`, rows that add up to 1.

        Args:
            images: uint8 or float `(n, channels, size, size)`, 0..255, as the network is about to get them.
            targets: float `(n, classes)`, rows that add up to 1.
        """
        assert self._models, "prepare it first"  # noqa: S101
        with torch.no_grad():
            answers = torch.stack([model.probabilities(images).to(targets) for model in self._models])
            return targets.lerp(answers.mean(0), self.weight)


def _check_teacher(teacher: str, model: ExpressionModel, data: DataInfo) -> None:
    if model.class_names != data.class_names:
        raise FERError(
            f"The teacher '{teacher}' knows other classes. Expected {', '.join(data.class_names)}. Received: "
            f"{', '.join(model.class_names)}. To do without: --model.distillation null."
        )
    for name in ("image_size", "color", "mean", "std"):
        theirs, ours = getattr(model.input_spec, name), getattr(data.input_spec, name)
        if theirs != ours:
            raise FERError(
                f"The teacher '{teacher}' takes other images: --data.{name} has to be {theirs}. Received: {ours}."
            )
    if not model.learned_prior:
        raise FERError(f"The teacher '{teacher}' does not know the class frequencies it has learned.")
