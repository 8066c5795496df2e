"""Refuse a checkpoint that was trained for something else."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.errors import FERError
from fer_lightning.model.expression_model import ExpressionModel

_FRAMING = ("faces", "margin", "detector")
"""A network that was trained on face crops takes the faces found in photographs, so these may differ."""


def check_same_model(info: CheckpointInfo, model: ExpressionModel) -> None:
    """Compare class names and input specification, but for the framing, with what a checkpoint says about itself.

    Raises:
        FERError: If they differ.
    """
    theirs = _said(info)
    for name, ours in _said(model).items():
        if ours != theirs[name]:
            raise FERError(
                f"The checkpoint was trained with {name}. Expected {ours}. Found in the checkpoint: {theirs[name]}. "
                "Leave the matching options away: they are read from the checkpoint."
            )


def _said(one: CheckpointInfo | ExpressionModel) -> dict[str, Any]:
    spec = {name: value for name, value in one.input_spec.to_dict().items() if name not in _FRAMING}
    return {"other class names": list(one.class_names), "another input specification": spec}


def check_same_weights(given: Mapping[str, Tensor], own: Mapping[str, Tensor], network: str) -> None:
    """Compare names and shapes of weights.

    Raises:
        FERError: If they differ; it names the first that does.
    """
    theirs = {name: tuple(value.shape) for name, value in given.items()}
    ours = {name: tuple(value.shape) for name, value in own.items()}
    for name in ours | theirs:
        if ours.get(name) != theirs.get(name):
            raise FERError(
                f"The checkpoint holds the weights of another network than {network}: '{name}' is "
                f"{theirs.get(name, 'missing')} in the checkpoint, {ours.get(name, 'missing')} here. Leave --model.* "
                "options away: they are read from the checkpoint."
            )
