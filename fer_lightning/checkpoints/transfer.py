"""Start a network from weights that were trained for something else."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from fer_lightning.checkpoints.archive import load_plain
from fer_lightning.checkpoints.finding import find_checkpoint
from fer_lightning.checkpoints.info import NotOursError
from fer_lightning.checkpoints.reading import read_checkpoint
from fer_lightning.checkpoints.weights import SUFFIX, check_state
from fer_lightning.errors import FERError
from fer_lightning.networks.torchvision_model import for_channels


def load_into(network: nn.Module, path: str | os.PathLike[str], class_names: Sequence[str] = ()) -> str:
    """Start a network from a file: each tensor whose name and shape fit; the rest stays as it was.

    A first layer for another number of channels is taken over too: for one channel its weights are summed, so that a
    gray image gives what it gave with three equal channels, and for three they are divided evenly.

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
    file = find_checkpoint(path, option="--model.fine_tuning.weights")
    given, known_classes = _read(file)
    own = network.state_dict()
    if not set(given) & set(own):  # a wrapper's name in front, as of TorchvisionModel
        given = {f"model.{name}": value for name, value in given.items()}
    check_state({name: value for name, value in given.items() if name in own}, path)
    shared: list[str] = []
    if known_classes and class_names and known_classes != list(class_names):
        shared = [label for label in class_names if label in known_classes]
        for name in _layer(network, last=True) & set(given):
            if given[name].shape[1:] == own[name].shape[1:]:
                rows = dict(zip(class_names, own[name], strict=False))
                rows |= dict(zip(known_classes, given[name], strict=False))
                given[name] = torch.stack([rows[label] for label in class_names])
        if not shared:
            given = {name: value for name, value in given.items() if name not in _layer(network, last=True)}
    adapted = [name for name in _layer(network, last=False) & set(given) if _other_channels(given[name], own[name])]
    for name in adapted:
        given[name] = for_channels(given[name], own[name].shape[1])
    fitting = {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}
    if not fitting:
        name = type(network).__name__
        raise FERError(f"Nothing in '{path}' fits the network {name}: no tensor has its name and shape.")
    network.load_state_dict(fitting, strict=False)
    said = [f"{len(fitting)} of {len(own)} tensors from {path}"]
    if adapted:
        said.append(f"its first layer changed to {own[adapted[0]].shape[1]} channels")
    if shared:
        said.append(f"of its last layer the classes {', '.join(shared)}")
    if missing := [name for name in own if name not in fitting]:
        said.append(f"not in it or of another shape, so left as they start: {', '.join(missing)}")
    return "; ".join(said)


def _read(file: Path) -> tuple[dict[str, Tensor], list[str]]:
    """The network's weights in a file of any of the known kinds, and its class names if it says them."""
    if file.suffix in (SUFFIX, ".ckpt"):
        try:
            info, state = read_checkpoint(file)
            return state, list(info.class_names)
        except NotOursError:
            if file.suffix == SUFFIX:
                raise
    content = load_plain(file)
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    state = state if isinstance(state, dict) else {}
    return {name: value for name, value in state.items() if isinstance(value, Tensor) and isinstance(name, str)}, []


def _layer(network: nn.Module, last: bool) -> set[str]:
    """The names of the tensors of the first convolution, or of the last layer, whose rows are classes."""
    kinds = nn.Linear | nn.Conv2d if last else nn.Conv2d
    layers = [layer for layer in network.named_modules() if isinstance(layer[1], kinds)]
    return {f"{name}.{x}" for name, layer in layers[-1 if last else 0 :][:1] for x, _ in layer.named_parameters()}


def _other_channels(given: Tensor, own: Tensor) -> bool:
    """Whether two kernels differ in their number of input channels alone, of which one has one."""
    alike = given.ndim == own.ndim == 4 and given[:, :1].shape == own[:, :1].shape
    return alike and given.shape != own.shape and 1 in (given.shape[1], own.shape[1])
