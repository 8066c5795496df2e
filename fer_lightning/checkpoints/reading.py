"""Find a checkpoint, open it safely, and read the settings it was trained with."""

from __future__ import annotations

import inspect
import os
import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from fer_lightning.checkpoints.weights import PRETRAINED, SUFFIX, network_state, read_weights
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.training.classifier import CHECKPOINT_FORMAT, ExpressionClassifier


def find_checkpoint(given: str, run_dir: Path) -> Path:
    """Turn `best`, `last`, `pretrained` or a path into the file it means.

    Args:
        given: What the user wrote.
        run_dir: The run's folder, where `best` and `last` are looked for.

    Raises:
        FERError: If there is no such file.
    """
    if given == "pretrained":
        return PRETRAINED
    named = given in ("best", "last")
    path = run_dir / "checkpoints" / f"{given}.ckpt" if named else Path(given).expanduser()
    if path.is_file():
        return path
    if named:
        runs = run_dir.parent.glob("*/checkpoints/*.ckpt")
        others = sorted({os.fspath(file.parent.parent.name) for file in runs})
        hint = f" Runs in '{run_dir.parent}': {', '.join(others)} (choose with --name)." if others else ""
        raise FERError(f"No checkpoint '{given}' of the run '{run_dir.name}': expected a file '{path}'.{hint}")
    raise FERError(f"Invalid value for --ckpt_path. Expected best, last or a file, found nothing at '{path}'.")


def open_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Load a checkpoint of ours on the CPU, without running any code from it.

    Raises:
        FERError: If it is damaged, not a Lightning checkpoint, or from a newer version.
    """
    if Path(path).suffix == SUFFIX:
        checkpoint = read_weights(path)
        refuse_newer(checkpoint["fer_lightning"], path)
        return checkpoint
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0].partition(". ")[0] or type(error).__name__
        raise FERError(
            f"Cannot read the checkpoint '{path}': it is damaged, incomplete or of another kind ({reason}). Use "
            "another one, such as last.ckpt or best.ckpt of the same run."
        ) from None
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise FERError(f"'{path}' is not a checkpoint of a training run: expected a Lightning checkpoint.")
    if "fer_lightning" not in checkpoint:
        raise FERError(f"'{path}' is a checkpoint of another program: expected one written by fer_lightning.")
    refuse_newer(checkpoint["fer_lightning"], path)
    return checkpoint


def refuse_newer(about: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Refuse what a newer version has written.

    Args:
        about: What a checkpoint or an exported file says about itself.
        path: The file.

    Raises:
        FERError: If its format is newer than the ones known here.
    """
    if about["format"] > CHECKPOINT_FORMAT:
        raise FERError(
            f"'{path}' was written by fer_lightning {about['version']} in format {about['format']}; "
            f"this version reads up to format {CHECKPOINT_FORMAT}. Update fer_lightning."
        )


def saved_settings(path: str | os.PathLike[str], everything: bool) -> dict[str, Any]:
    """The configuration that a checkpoint was trained with, to stand beneath what the user says now.

    Args:
        path: The checkpoint.
        everything: For `fit`, the whole configuration, so that a run is resumed as it was; else only what concerns
            the run's name, the data and the model, as the trainer's settings belong to the machine.
    """
    about = open_checkpoint(path)["fer_lightning"]
    config: dict[str, Any] = yaml.safe_load(about.get("config", "{}"))
    config.pop("ckpt_path", None)
    model = config.get("model", {})
    model.pop("weights", None)  # where the run started from, which may be gone by now
    for options in ("init_args", "dict_kwargs"):
        given = (model.get("network") or {}).get(options) or {}
        if "weights" in given:  # what its network started from
            given["weights"] = None
    data = config.setdefault("data", {})
    data["classes"] = about["class_names"]
    data.update(about["preprocessing"])
    if everything:
        return config
    return {name: config[name] for name in ("seed_everything", "name", "runs_dir", "model", "data") if name in config}


def load_classifier(path: str | os.PathLike[str], network: nn.Module | None = None) -> ExpressionClassifier:
    """The classifier in a checkpoint or exported safetensors file, on the CPU, ready to answer.

    Args:
        path: The file.
        network: The network that the weights belong to; needed where the checkpoint does not name it, as after a
            training that was set up in Python. It is changed in place.

    Raises:
        FERError: If the file cannot be read, does not name its network, or its weights do not fit.
    """
    checkpoint = open_checkpoint(path)
    about = checkpoint["fer_lightning"]
    contract = InputSpec(**about["preprocessing"])
    model = yaml.safe_load(about.get("config", "{}")).get("model", {})
    if network is None:
        network = _named_network(model.get("network"), len(about["class_names"]), contract, path)
    try:
        network.load_state_dict(network_state(checkpoint["state_dict"]))
    except RuntimeError as error:
        name = type(network).__name__
        raise FERError(f"The weights in '{path}' are of another network than {name}: {error}") from None
    classifier = ExpressionClassifier(
        network,
        about["class_names"],
        contract,
        class_prior=model.get("class_prior", "training"),
        flip_at_test=bool(model.get("flip_at_test", False)),
    )
    classifier.temperature.copy_(checkpoint["state_dict"]["temperature"])
    classifier.risk_curve, classifier.class_shares = about.get("risk_curve", []), about.get("class_shares", [])
    return classifier.eval().requires_grad_(False)


def _named_network(named: Any, classes: int, contract: InputSpec, path: str | os.PathLike[str]) -> nn.Module:
    if not isinstance(named, dict):
        raise FERError(f"'{path}' does not name its network. Give it: load_classifier(path, network=...).")
    module, _, name = named["class_path"].rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FERError(f"The network {named['class_path']} of '{path}' cannot be imported: {error}.") from None
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise FERError(f"'{path}' names {named['class_path']} as its network, which is no torch.nn.Module.")
    given = {**named.get("init_args", {}), **named.get("dict_kwargs", {})}
    if "weights" in given:
        given["weights"] = None  # the file's own take their place
    linked = {"num_classes": classes, "in_channels": contract.channels, "image_size": contract.image_size}
    known = inspect.signature(kind).parameters
    network: nn.Module = kind(**given | {option: value for option, value in linked.items() if option in known})
    return network
