"""Find a checkpoint, open it safely, and read the settings it was trained with."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
import yaml

from fer_lightning.classifier import CHECKPOINT_FORMAT
from fer_lightning.errors import FERError
from fer_lightning.weights_file import PRETRAINED, SUFFIX, read_weights


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
        return _of_known_format(read_weights(path), path)
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
    return _of_known_format(checkpoint, path)


def _of_known_format(checkpoint: dict[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    about = checkpoint["fer_lightning"]
    if about["format"] > CHECKPOINT_FORMAT:
        raise FERError(
            f"The checkpoint '{path}' was written by fer_lightning {about['version']} in format {about['format']}; "
            f"this version reads up to format {CHECKPOINT_FORMAT}. Update fer_lightning."
        )
    return checkpoint


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
    config.get("model", {}).pop("weights", None)  # where the run started from, which may be gone by now
    data = config.setdefault("data", {})
    data["classes"] = about["class_names"]
    data.update(about["preprocessing"])
    if everything:
        return config
    return {name: config[name] for name in ("seed_everything", "name", "runs_dir", "model", "data") if name in config}
