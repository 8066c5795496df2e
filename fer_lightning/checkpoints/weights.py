"""Weights without the training around them: one safetensors file that says how to use it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import torch
import yaml
from safetensors.torch import save
from torch import Tensor, nn

from fer_lightning.errors import FERError

SUFFIX = ".safetensors"
PRETRAINED = Path(__file__).parents[1] / "weights" / f"pretrained{SUFFIX}"
"""The weights that come with the package."""

ABOUT = "fer_lightning"
"""Name under which a file says how to use it."""


def network_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's weights within a checkpoint's state: the averaged ones if there are any."""
    for start in ("averaged.module.", "network."):
        found = {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
        if found:
            return found
    return {}


def portable_facts(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What an exported file says about itself: all that is needed to use it, and nothing of the training's machine."""
    known = checkpoint["fer_lightning"]
    kept = ("format", "version", "class_names", "preprocessing", "risk_curve", "class_shares", "data", "measured")
    about = {name: known[name] for name in kept if name in known}
    model = (yaml.safe_load(known.get("config", "{}")) or {}).get("model", {})
    model = {name: model[name] for name in ("network", "flip_at_test", "class_prior") if name in model}
    return about | {
        "config": yaml.safe_dump({"model": model}),
        "temperature": float(checkpoint["state_dict"]["temperature"]),
    }


def save_weights(checkpoint: dict[str, Any], path: str | os.PathLike[str], half: bool = True) -> None:
    """Write the network of a checkpoint with all that is needed to use it, and nothing of the training.

    Args:
        checkpoint: A checkpoint of ours, as `open_checkpoint` gives it.
        path: The file to write.
        half: Write numbers in half precision, which halves the file.
    """
    about = portable_facts(checkpoint)
    state = network_state(checkpoint["state_dict"])
    tensors = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous()
        for name, value in state.items()
    }
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.writing")
    aside.write_bytes(save(tensors, {ABOUT: json.dumps(about)}))
    aside.replace(target)


def read_weights(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read such a file in the form of a checkpoint, with numbers in single precision.

    Raises:
        FERError: If it is damaged or was not written by `save_weights`.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (safetensors.SafetensorError, OSError) as error:
        raise FERError(f"Cannot read the weights '{path}': damaged, incomplete or of another kind ({error}).") from None
    if ABOUT not in metadata:
        raise FERError(f"'{path}' holds weights of another program: expected a file written by `export`.")
    about = json.loads(metadata[ABOUT])
    state = {f"network.{name}": _single(value) for name, value in tensors.items()}
    state["temperature"] = torch.tensor(about["temperature"])
    frame = {"epoch": 0, "global_step": 0, "pytorch-lightning_version": "2.6.6", "callbacks": {}}
    return frame | {"state_dict": state, "fer_lightning": about}


def load_into(network: nn.Module, path: str | os.PathLike[str], class_names: Sequence[str] = ()) -> str:
    """Start a network from a file: each tensor whose name and shape fit; the rest stays as it was.

    Args:
        network: Changed in place.
        path: A checkpoint of ours, a safetensors file, or a plain state dict, such as torchvision's.
        class_names: Names of the network's outputs. Where they are known of the file as well and differ, its last layer
            is taken class by class, and classes that it does not have stay as they were.

    Returns:
        What was loaded and what was not, in one sentence.

    Raises:
        FERError: If the file cannot be read or nothing in it fits.
    """
    given, known_classes = network_state_of(path)
    own = network.state_dict()
    if not set(given) & set(own):  # a wrapper's name in front, as of TorchvisionModel
        given = {f"model.{name}": value for name, value in given.items()}
    shared: list[str] = []
    if known_classes and class_names and known_classes != list(class_names):
        shared = [label for label in class_names if label in known_classes]
        for name in _last_layer(network) & set(given):
            if given[name].shape[1:] == own[name].shape[1:]:
                given[name] = _class_by_class(given[name], known_classes, own[name], class_names)
        if not shared:
            given = {name: value for name, value in given.items() if name not in _last_layer(network)}
    fitting = {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}
    if not fitting:
        name = type(network).__name__
        raise FERError(f"Nothing in '{path}' fits the network {name}: no tensor has its name and shape.")
    network.load_state_dict(fitting, strict=False)
    said = f"{len(fitting)} of {len(own)} tensors from {path}"
    if shared:
        said += f"; of its last layer the classes {', '.join(shared)}"
    missing = [name for name in own if name not in fitting]
    if missing:
        said += f"; not in it or of another shape, so left as they start: {', '.join(missing)}"
    return said


def _last_layer(network: nn.Module) -> set[str]:
    """The names of the tensors whose rows are classes: those of the last linear layer or convolution."""
    layers = [layer for layer in network.named_modules() if isinstance(layer[1], nn.Linear | nn.Conv2d)]
    return {f"{name}.{tensor}" for name, layer in layers[-1:] for tensor, _ in layer.named_parameters()}


def _class_by_class(given: Tensor, known: Sequence[str], own: Tensor, class_names: Sequence[str]) -> Tensor:
    """The rows of `given`, one for each of `known`, where `class_names` has them; elsewhere the own ones."""
    rows = own.clone()
    for row, label in enumerate(class_names):
        if label in known:
            rows[row] = given[known.index(label)]
    return rows


def weights_path(given: str | os.PathLike[str], option: str) -> Path:
    """The file that an option means, which may be `pretrained`.

    Raises:
        FERError: If there is none.
    """
    file = PRETRAINED if str(given) == "pretrained" else Path(given).expanduser()
    if not file.is_file():
        raise FERError(f"Invalid value for {option}. Expected pretrained or a file, found nothing at '{file}'.")
    return file


def network_state_of(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], list[str]]:
    """The network's weights in a file of any of the known kinds, and its class names if it says them."""
    file = weights_path(path, "--model.weights")
    if file.suffix == SUFFIX:
        content = read_weights(file)
        return network_state(content["state_dict"]), content["fer_lightning"]["class_names"]
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever unpickling raises for a file that is none
        raise FERError(f"Cannot read the weights '{file}': {type(error).__name__}: {error}.") from None
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    known = content.get("fer_lightning", {}).get("class_names", []) if isinstance(content, dict) else []
    return network_state(state) or {name: value for name, value in state.items() if isinstance(value, Tensor)}, known


def _single(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
