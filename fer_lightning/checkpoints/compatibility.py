"""Refuse a checkpoint that was trained for something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError

_FRAMING = ("faces", "margin", "detector")
"""A network that was trained on face crops takes the faces found in photographs, so these may differ."""


def refuse_other_contract(about: Mapping[str, Any], class_names: list[str], contract: dict[str, Any]) -> None:
    """Compare class names and preprocessing, but for the framing, with what a checkpoint says about itself.

    Raises:
        FERError: If they differ.
    """
    theirs = dict(about)
    if "preprocessing" in theirs:  # an older checkpoint may not name what has come since
        theirs["preprocessing"] = InputSpec(**theirs["preprocessing"]).as_dict()
    for name, value in {"class_names": class_names, "preprocessing": contract}.items():
        if name in theirs and _comparable(theirs[name]) != _comparable(value):
            raise FERError(
                f"The checkpoint was trained with other {name.replace('_', ' ')}. Expected {value}. Found in the "
                f"checkpoint: {theirs[name]}. Leave the matching options away: they are read from the checkpoint."
            )


def refuse_other_weights(given: Mapping[str, Tensor], own: Mapping[str, Tensor], network: str) -> None:
    """Compare names and shapes of weights.

    Raises:
        FERError: If they differ; it names the first that does.
    """
    theirs = {name: tuple(value.shape) for name, value in given.items()}
    ours = {name: tuple(value.shape) for name, value in own.items()}
    if theirs == ours:
        return
    order = list(ours) + list(theirs)
    name = min(set(ours.items()) ^ set(theirs.items()), key=lambda item: order.index(item[0]))[0]
    raise FERError(
        f"The checkpoint holds the weights of another network than {network}: '{name}' is "
        f"{theirs.get(name, 'missing')} in the checkpoint, {ours.get(name, 'missing')} here. Leave --model.* "
        "options away: they are read from the checkpoint."
    )


def _comparable(value: Any) -> Any:
    return {key: item for key, item in value.items() if key not in _FRAMING} if isinstance(value, dict) else value
