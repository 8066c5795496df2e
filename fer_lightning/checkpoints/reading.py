"""Find a checkpoint, open it safely, and make its model again."""

import inspect
import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fer_lightning.checkpoints.archive import load_plain
from fer_lightning.checkpoints.compatibility import upgraded_state
from fer_lightning.checkpoints.finding import DEFAULT_RUN, find_checkpoint
from fer_lightning.checkpoints.info import KEY, TEMPERATURES, CheckpointInfo, NotOursError
from fer_lightning.checkpoints.weights import SUFFIX, check_state, read_weights
from fer_lightning.errors import FERError
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.networks.class_paths import OWN, full_path
from fer_lightning.networks.rebuilding import build, describe

_FRAMING = ("faces", "margin", "detector", "align")
"""A network that was trained on face crops takes the faces found in photographs, so these may differ."""


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    """What a checkpoint or exported safetensors file says, and its network's state, without running code from it.

    Raises:
        FERError: If it is damaged, not a checkpoint of ours, or from a newer version.
    """
    if Path(path).suffix == SUFFIX:
        return read_weights(path)
    if Path(path).suffix in (".onnx", ".pt2"):
        raise NotOursError(f"'{path}' is an exported graph: expected the checkpoint or .safetensors file it is of.")
    checkpoint = load_plain(path)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise NotOursError(f"'{path}' is not a checkpoint of a training run: expected a Lightning checkpoint.")
    if KEY not in checkpoint:
        raise NotOursError(f"'{path}' is a checkpoint of another program: expected one written by fer_lightning.")
    info = CheckpointInfo.from_dict(checkpoint[KEY], path)
    named = {name: value for name, value in checkpoint["state_dict"].items() if isinstance(name, str)}
    state, start = upgraded_state(named), "model.network."
    network = {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
    check_state(network, path)
    if "model.temperature" in state:  # format 1 says it there alone
        info = replace(info, temperature=_temperature(state["model.temperature"], path))
    return info, network


def _temperature(value: Any, path: str | os.PathLike[str]) -> float:
    check_state({"temperature": value}, path)
    found = float(value) if value.numel() == 1 else nan
    if not TEMPERATURES[0] <= found <= TEMPERATURES[1]:
        raise FERError(f"'{path}' is damaged: its temperature has to be a finite number above 0, and is {found}.")
    return found


def load_model(
    path: str | os.PathLike[str], network: nn.Module | None = None, trusted: Collection[str] = ()
) -> ExpressionModel:
    """The model in a checkpoint or exported safetensors file, on the CPU, ready to answer.

    Args:
        path: The file, a folder that `export --hub` wrote, `hf://OWNER/NAME`, or `pretrained`.
        network: The network that the weights belong to; needed where the checkpoint does not name it. It is changed in
            place.
        trusted: Class paths of networks outside of this package that may be imported if the file names them.

    Raises:
        FERError: If the file cannot be read, does not name its network, names one of another package that is not
            trusted, or its weights do not fit.
    """
    path = find_checkpoint(path, DEFAULT_RUN)
    return model_of(*read_checkpoint(path), path, network, trusted)


def model_of(
    info: CheckpointInfo,
    state: Mapping[str, Tensor],
    path: str | os.PathLike[str],
    network: nn.Module | None = None,
    trusted: Collection[str] = (),
) -> ExpressionModel:
    """The model of what `read_checkpoint` read; the other arguments, and what is raised, are those of `load_model`."""
    if network is None:
        if info.network is None:
            raise FERError(f"'{path}' does not name its network. Give it: load_model(path, network=...).")
        spec = info.input_spec
        asked = (info.network, len(info.class_names), spec.channels, spec.image_size, trusted, path)
        if not full_path(str(info.network.get("class_path"))).startswith(OWN):  # ours know their bounds
            _check_size(asked, state, path)
        network = build(*asked)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        name = type(network).__name__
        raise FERError(f"The weights in '{path}' are of another network than {name}: {error}") from None
    for name, own in network.state_dict().items():
        if own.is_floating_point() != state[name].is_floating_point():
            raise FERError(f"The weights in '{path}' cannot be used: '{name}' has to be {own.dtype}.")
    _, *names = inspect.signature(ExpressionModel).parameters
    return ExpressionModel(network, **{name: getattr(info, name) for name in names}).eval().requires_grad_(False)


def _check_size(asked: tuple[Any, ...], state: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Refuse a network that is larger than the file that names it, before memory is asked for."""
    try:
        with torch.device("meta"):
            planned = build(*asked)
    except FERError:
        raise
    except Exception:  # whatever a constructor raises that needs real numbers
        return
    needed = sum(value.numel() for value in planned.state_dict().values())
    there = sum(value.numel() for value in state.values())
    if needed > 2 * there + 1_000_000:
        raise FERError(
            f"The network that '{path}' names has {needed:,} numbers, and the file holds {there:,}: its weights are of "
            "another network."
        )


def info_of(model: ExpressionModel, named: dict[str, Any] | None = None, **more: Any) -> CheckpointInfo:
    """What a file with a model says: `named` (`class_path` and `init_args`) of its network, `more` of other fields."""
    spec = model.input_spec
    network = named or describe(model.network, len(model.class_names), spec.channels, spec.image_size)
    if network:
        network = network | {"class_path": full_path(str(network["class_path"]))}
    return CheckpointInfo(**{"network": network} | model.settings() | more)


def check_same_model(info: CheckpointInfo, model: ExpressionModel) -> None:
    """An FERError if class names or input specification, but for the framing, differ from what a checkpoint says."""
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
    """An FERError if names, shapes or kinds of weights differ; it names the first that does."""
    theirs, ours = ({name: _kind_of(value) for name, value in one.items()} for one in (given, own))
    for name in ours | theirs:
        if ours.get(name) != theirs.get(name):
            raise FERError(
                f"The checkpoint holds the weights of another network than {network}: '{name}' is "
                f"{theirs.get(name, 'missing')} in the checkpoint, {ours.get(name, 'missing')} here. Leave --model.* "
                "options away: they are read from the checkpoint."
            )


def _kind_of(value: Tensor) -> str:
    return f"{tuple(value.shape)}{'' if value.is_floating_point() else ' of whole numbers'}"
