"""Targets that are in part another network's answers."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor

from fer_lightning.checkpoints.weights import weights_path
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError


class Teacher:
    """Blends targets with a trained network's answers to the same images.

    Against doubtful labels (Li et al. 2017, arXiv 1703.02391), or to hand on what a larger network knows
    (arXiv 1503.02531). Its answers are calibrated, and moved to the class shares of the new training by `start`.

    Args:
        path: A checkpoint, exported weights, or `pretrained`.
        share: The teacher's part of every target, 0 to 1.
        class_names: Names of the classes; the teacher's have to be the same.
        contract: How images are prepared; the teacher's has to be the same in size, colour and normalisation.

    Raises:
        FERError: If the file cannot be used as a teacher here.
    """

    def __init__(
        self, path: str | os.PathLike[str], share: float, class_names: Sequence[str], contract: InputSpec
    ) -> None:
        from fer_lightning.checkpoints.reading import load_classifier

        if not 0 <= share <= 1:
            raise FERError(f"Invalid value for --model.teacher_share. Expected 0 to 1. Received: {share}.")
        model = load_classifier(weights_path(path, "--model.teacher"))
        if model.class_names != tuple(class_names):
            raise FERError(
                f"The teacher '{path}' knows other classes. Expected {', '.join(class_names)}. Received: "
                f"{', '.join(model.class_names)}. To do without: --model.teacher null."
            )
        for name in ("image_size", "color", "mean", "std"):
            if getattr(model.preprocessing, name) != getattr(contract, name):
                raise FERError(
                    f"The teacher '{path}' takes other images: --data.{name} has to be "
                    f"{getattr(model.preprocessing, name)}. Received: {getattr(contract, name)}."
                )
        if not model.class_shares:
            raise FERError(f"The teacher '{path}' does not know the class shares in its training.")
        self._model, self._share = model, share

    def start(self, shares: Tensor, device: torch.device) -> None:
        """Get ready for a training with these class shares, float `(classes,)`, on a device."""
        self._model.class_prior = shares.clamp(min=1e-6).tolist()
        self._model.to(device)

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """The blended targets.

        Args:
            images: uint8 or float `(n, channels, size, size)`, 0..255, as the network is about to get them.
            targets: float `(n, classes)`, rows that add up to 1.

        Returns:
            float `(n, classes)`, rows that add up to 1.
        """
        with torch.no_grad():
            return targets.lerp(self._model.probabilities(self._model(images)).to(targets), self._share)
