"""What a checkpoint says of its training, checked and put in this run's terms before it is taken up."""

import copy
import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor

from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.progress import EpochPosition
from fer_lightning.errors import FERError
from fer_lightning.training.callbacks.epoch_metrics_csv import EpochMetricsCSV


def check_training_state(checkpoint: Mapping[str, Any], trainer: Trainer) -> None:
    """Make sure that a checkpoint's counters and its callbacks' states are what this trainer writes itself.

    Raises:
        FERError: If it holds weights alone, or something in it is missing, of another type or no possible number.
    """
    for part, kind in (("loops", dict), ("callbacks", dict), ("optimizer_states", list), ("lr_schedulers", list)):
        if part not in checkpoint:
            raise FERError(
                f"The checkpoint has no '{part}': it holds weights without their training, so there is nothing to go "
                "on with. Start a new training from its weights: --model.fine_tuning.weights FILE."
            )
        if not isinstance(checkpoint[part], kind):
            raise _damaged(part, kind.__name__, checkpoint[part])
    version = checkpoint.get("pytorch-lightning_version")
    if not isinstance(version, str) or not re.fullmatch(r"\d+(\.\w+)+", version):
        raise _damaged("pytorch-lightning_version", "a version, such as 2.6.6", version)
    figures = checkpoint.get("training_figures", [])
    rows = figures if isinstance(figures, list) else [None]
    if not all(isinstance(row, list) and len(row) == 3 and all(_is_number(x) for x in row) for row in rows):
        raise _damaged("training_figures", "a row of three numbers for each device", figures)
    _check_like(trainer.fit_loop.state_dict(), checkpoint["loops"].get("fit_loop"), "loops.fit_loop")
    states = checkpoint["callbacks"]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if callback.state_key in states and not isinstance(callback, ModelCheckpoint):  # see own_checkpoints
            where, state = f"callbacks.{callback.state_key}", states[callback.state_key]
            _check_like(callback.state_dict(), state, where)
            if isinstance(callback, EarlyStopping | EpochMetricsCSV):
                try:
                    copy.copy(callback).load_state_dict(copy.deepcopy(state))
                except (TypeError, ValueError, KeyError, AttributeError) as error:
                    raise _damaged(where, "what it writes itself", error) from None


def place_in_data(checkpoint: dict[str, Any], datamodule: Any) -> EpochPosition | None:
    """Where a checkpoint stands within the epoch of an FERDataModule; it is added where an earlier version wrote it.

    None for a data module of another kind, and at the end of an epoch.
    """
    if not isinstance(datamodule, FERDataModule):
        return None
    batches, known = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"], "FERDataModule"
    if known not in checkpoint:
        info = CheckpointInfo.from_dict(checkpoint.get(KEY, {}), "The checkpoint")
        size = (info.training.batch_size if info.training else 0) or datamodule.batch_size
        seed = info.settings.get("seed_everything")
        devices = max(1, len(checkpoint.get("training_figures", [])))
        done = 0 if batches["is_last_batch"] else batches["current"]["ready"] * size * devices
        split = info.training.split_fingerprint if info.training else ""
        whole = isinstance(seed, int) and not isinstance(seed, bool)
        checkpoint[known] = EpochPosition(done, size, devices, seed if whole else None, split).to_dict()
    place = EpochPosition.from_dict(checkpoint[known])
    return None if batches["is_last_batch"] or not batches["current"]["ready"] else place


def own_checkpoints(checkpoint: dict[str, Any], trainer: Trainer) -> None:
    """Let every ModelCheckpoint go on with the files in its own folder, whatever paths the checkpoint speaks of.

    Of what the checkpoint says, only the files' bare names are used. Each file's score is read from the file itself:
    so the best stays the best when a run is renamed, moved, copied or named by another path, and where the checkpoint
    is older than the best file.

    Raises:
        FERError: If what is there was chosen by another measure.
    """
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint):
            states, key = checkpoint["callbacks"], callback.state_key
            states[key] = trainer.strategy.broadcast(own_files(callback, states.get(key)))


def own_files(callback: ModelCheckpoint, said: Any) -> dict[str, Any]:
    """The state of a ModelCheckpoint as its folder shows it; of what a checkpoint said, only files' names are used.

    Raises:
        FERError: If what is there was chosen by another measure.
    """
    said = said if isinstance(said, dict) else {}
    folder, pattern = Path(callback.dirpath or ""), callback.filename or ""
    listed = said.get("best_k_models")
    named = [*listed, said.get("best_model_path")] if isinstance(listed, dict) else [said.get("best_model_path")]
    names = {Path(name).name for name in named if isinstance(name, str)} - {"last.ckpt"}
    known = {Path(name).name: score for name, score in (listed if isinstance(listed, dict) else {}).items()}
    if pattern and "{" not in pattern:
        names.add(f"{pattern}.ckpt")
    names = {name for name in names if name.startswith(pattern.partition("{")[0])}
    scores: dict[str, Tensor] = {}
    for name in sorted(names):
        if callback.monitor and (folder / name).is_file():
            states = _callbacks_of(folder / name)
            score = _finite(states.get(callback.state_key, {}).get("current_score"))
            if not states:  # weights alone: what the run that is gone on with said of its file
                score = _finite(known.get(name))
            if score is not None:
                scores[str(folder / name)] = score
            elif others := [key for key in states if key.startswith("ModelCheckpoint{") and key != callback.state_key]:
                raise FERError(
                    f"'{folder / name}' is the best by another measure than {callback.monitor} ({others[0]}), and a "
                    "run keeps one. Leave --checkpoint_best.* options away, or go on under another --name."
                )
    order = sorted(scores, key=lambda path: float(scores[path]), reverse=callback.mode == "max")
    kept = order if callback.save_top_k < 0 else order[: callback.save_top_k]
    best = kept[0] if kept else ""
    if not callback.monitor:
        best = next((str(folder / name) for name in sorted(names) if (folder / name).is_file()), "")
    full = bool(kept) and len(kept) == callback.save_top_k
    last = said.get("last_model_path")
    last = folder / Path(last).name if isinstance(last, str) and last else None
    return {
        "monitor": callback.monitor,
        "dirpath": callback.dirpath,
        "best_model_path": best,
        "best_model_score": scores.get(best),
        "current_score": scores.get(best),
        "best_k_models": {path: scores[path] for path in kept},
        "kth_best_model_path": kept[-1] if full else "",
        "kth_value": scores[kept[-1]] if full else torch.tensor(torch.inf if callback.mode == "min" else -torch.inf),
        "last_model_path": str(last) if last and last.is_file() else "",
    }


def _callbacks_of(path: Path) -> dict[str, Any]:
    """The callbacks' states in a checkpoint; none where it cannot be read."""
    try:
        states = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("callbacks")
    except Exception:  # whatever unpickling raises: it is no best checkpoint then
        return {}
    return {str(k): v for k, v in states.items() if isinstance(v, dict)} if isinstance(states, dict) else {}


def _finite(score: Any) -> Tensor | None:
    fine = isinstance(score, Tensor) and score.numel() == 1 and bool(score.isfinite().all())
    return score.squeeze() if fine else None


def _check_like(expected: Any, found: Any, where: str) -> None:
    """Refuse what has another form than the trainer's own; counts and times are finite and not negative."""
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            raise _damaged(where, "a dictionary", found)
        for name, value in expected.items():
            if name not in found and name != "combined_loader":
                raise _damaged(f"{where}.{name}", "a value", "nothing")
            _check_like(value, found.get(name), f"{where}.{name}")
        counts = [found[name] for name in ("ready", "started", "processed", "completed") if name in expected]
        if counts != sorted(counts, reverse=True):
            raise _damaged(where, "ready, started, processed, completed, none above the one before", counts)
    elif isinstance(expected, bool):
        if not isinstance(found, bool):
            raise _damaged(where, "True or False", found)
    elif isinstance(expected, int | float):
        whole = isinstance(expected, float) or not isinstance(found, float)
        if not (whole and _is_number(found) and 0 <= found < 2**53):
            raise _damaged(where, "a number from 0 on", found)
    elif isinstance(expected, Tensor):
        if not (isinstance(found, Tensor) and found.shape == expected.shape and not found.isnan().any()):
            raise _damaged(where, f"a tensor {tuple(expected.shape)} of numbers", found)
    elif isinstance(expected, list) and not isinstance(found, list):
        raise _damaged(where, "a list", found)
    elif isinstance(expected, str) and not isinstance(found, str):
        raise _damaged(where, "text", found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _damaged(where: str, expected: str, found: Any) -> FERError:
    return FERError(
        f"The checkpoint's training state is damaged: '{where}'. Expected {expected}. Found: {str(found)[:80]}. Use "
        "another checkpoint, or start a new training from its weights: --model.fine_tuning.weights FILE."
    )
