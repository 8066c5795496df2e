"""A folder as model hubs take it: README.md, model.safetensors, config.json."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import Any

import safetensors
import torch
from torch import Tensor

from fer_lightning.checkpoints.finding import HUB_CONFIG, HUB_WEIGHTS
from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.checkpoints.weights import weights_bytes
from fer_lightning.data.face_detectors import YUNET
from fer_lightning.files import replace_text
from fer_lightning.names import printable
from fer_lightning.reports.card_metadata import LIBRARY, with_metadata
from fer_lightning.reports.model_card import model_card
from fer_lightning.version import __version__

FILES = (HUB_WEIGHTS, HUB_CONFIG, "README.md")
"""What the folder consists of."""

SIGN = f'"library_name": "{LIBRARY}"'
"""By what config.json says that a folder is one of ours."""


def write_hub_folder(
    info: CheckpointInfo, state: dict[str, Tensor], folder: Path, name: str, half: bool, license: str
) -> str:
    """Write the files into a folder that is there; gives what a user has to know of them, one line or none.

    Args:
        info: What is known of the model.
        state: Its network's weights.
        folder: Where to write.
        name: What the model is called.
        half: Write the weights in half precision.
        license: Under which license the model is given away; empty if nobody said.
    """
    own = info.input_spec.detector if info.input_spec.finds else YUNET
    info = _portable(info)
    about = {"library_name": LIBRARY} | info.to_dict()
    about["versions"] = {LIBRARY: __version__, "torch": torch.__version__, "safetensors": safetensors.__version__}
    (folder / HUB_WEIGHTS).write_bytes(weights_bytes(state, half, {"format": "pt"}))
    (folder / HUB_CONFIG).write_text(json.dumps(about, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    card = model_card(name, info, hub=True)
    replace_text(folder / "README.md", with_metadata(card, name, info, license))
    if own == YUNET:
        return ""
    return f"Note   Faces are found by {YUNET} there, and not by {printable(own)} as in training: test it again.\n"


def _portable(info: CheckpointInfo) -> CheckpointInfo:
    """What a file says, without what holds on the maker's machine alone: paths, and a detector in a file."""
    plain = {name: _without_places(getattr(info, name)) for name in ("network", "started_from", "teacher", "measured")}
    spec = info.input_spec if info.input_spec.detector == YUNET else replace(info.input_spec, detector=YUNET)
    return replace(info, **plain, input_spec=spec, config="")


def _without_places(value: Any) -> Any:
    """Values in which of each path from somewhere else its last part is left."""
    if isinstance(value, Mapping):
        return {name: _command(x) if name == "command" else _without_places(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return [_without_places(one) for one in value]
    if not isinstance(value, str) or "://" in value:
        return value
    path = PureWindowsPath(value)  # which takes both kinds of slashes
    placed = path.root or path.drive or value.startswith("~") or ".." in path.parts
    return path.name if placed else value


def _command(line: str) -> str:
    try:
        words = [word.rpartition("=") for word in shlex.split(line)]
    except ValueError:  # it is none that a shell would take
        return ""
    return shlex.join(f"{option}{equals}{_without_places(value)}" for option, equals, value in words)
