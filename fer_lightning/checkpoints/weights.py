"""Weights without the training around them: one safetensors file that says how to use it."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor, nn

from fer_lightning.checkpoints.finding import beside, check_file
from fer_lightning.checkpoints.info import KEY, CheckpointInfo, NotOursError
from fer_lightning.errors import FERError
from fer_lightning.files import replacing
from fer_lightning.names import printable
from fer_lightning.values import ValuesError, read_text

SUFFIX = ".safetensors"

_KINDS = frozenset(
    {
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128, torch.bool),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
    }
)
"""Kinds of plain numbers that a network's state may have."""


def save_weights(
    info: CheckpointInfo, network: dict[str, Tensor], path: str | os.PathLike[str], half: bool = True
) -> None:
    """Write a network's state with all that is needed to use it; `half` writes numbers in half precision."""
    content = weights_bytes(network, half, {KEY: json.dumps(replace(info, config="").to_dict())})
    with replacing(path, "wb") as stream:
        stream.write(content)


def weights_bytes(network: dict[str, Tensor], half: bool, metadata: dict[str, str]) -> bytes:
    """The content of a safetensors file with a network's state and what it says about itself."""
    tensors = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous()
        for name, value in network.items()
    }
    return save(tensors, metadata)


def read_weights(path: str | os.PathLike[str]) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    """What `save_weights` wrote: what the file says, and the network's state in single precision.

    Raises:
        FERError: If the file cannot be read as such.
    """
    check_file(path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except Exception as error:  # safetensors' own, and torch's for kinds of numbers that it does not have
        said = printable(str(error))[:200]
        raise FERError(f"Cannot read the weights '{path}': damaged, incomplete or of another kind ({said}).") from None
    config = beside(path)
    if KEY in metadata:
        said, source = metadata[KEY], path
    elif config:
        said, source = _text_of(config), config
    else:
        raise NotOursError(
            f"'{path}' holds weights of another program: expected a file written by `export`, or the config.json of "
            "`export --hub` beside model.safetensors."
        )
    check_state(tensors, path)
    single = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    return CheckpointInfo.from_dict(said, source), single


def _text_of(config: Path) -> str:
    check_file(config)
    try:
        return read_text(config)
    except ValuesError as error:
        raise FERError(f"Cannot read '{config}': {error}.") from None


def check_state(state: Mapping[Any, Any], path: str | os.PathLike[str]) -> None:
    """An FERError if one of a network's weights is no plain tensor of numbers, or has NaN or infinite ones."""
    for name, value in state.items():
        why = _complaint(name, value) if isinstance(name, str) else "it has no name"
        if why:
            shown = printable(str(name)[:100])
            raise FERError(f"The weights in '{path}' cannot be used: '{shown}': {why}. Use another checkpoint.")


def is_usable(name: str, value: Tensor) -> bool:
    """Whether a tensor of a state is finite; an attention mask alone may hold minus infinity."""
    if not (value.is_floating_point() or value.is_complex()) or bool(value.isfinite().all()):
        return True
    is_mask = "mask" in name.rpartition(".")[2] and value.is_floating_point()
    return is_mask and not bool(value.isnan().any() or value.isposinf().any())


def _complaint(name: str, value: Any) -> str:
    """Why something cannot be a weight; empty if it can."""
    if type(value) not in (Tensor, nn.Parameter):
        return f"it is no tensor but a {type(value).__name__}"
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        return "it is not a plain tensor"
    if value.dtype not in _KINDS:
        return f"its numbers are of the kind {value.dtype}"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return "it says that it is larger than it is"
    if not is_usable(name, value):
        return "it has numbers that are NaN or infinite, as after a training that diverged"
    return ""
