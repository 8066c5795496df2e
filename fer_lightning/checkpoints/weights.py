"""Weights without the training around them: one safetensors file that says how to use it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import safetensors
from safetensors.torch import save
from torch import Tensor

from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.errors import FERError
from fer_lightning.files import replacing

SUFFIX = ".safetensors"
PRETRAINED = Path(__file__).parents[1] / "weights" / f"pretrained{SUFFIX}"
"""The weights that come with the package."""


def save_weights(
    info: CheckpointInfo, network: dict[str, Tensor], path: str | os.PathLike[str], half: bool = True
) -> None:
    """Write a network's state with all that is needed to use it; `half` writes numbers in half precision."""
    tensors = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous()
        for name, value in network.items()
    }
    with replacing(path, "wb") as stream:
        stream.write(save(tensors, {KEY: json.dumps(replace(info, config="").to_dict())}))


def read_weights(path: str | os.PathLike[str]) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    """What `save_weights` wrote: what the file says, and the network's state in single precision.

    Raises:
        FERError: If the file cannot be read as such.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (safetensors.SafetensorError, OSError) as error:
        raise FERError(f"Cannot read the weights '{path}': damaged, incomplete or of another kind ({error}).") from None
    if KEY not in metadata:
        raise FERError(f"'{path}' holds weights of another program: expected a file written by `export`.")
    single = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    return CheckpointInfo.from_dict(metadata[KEY], path), single
