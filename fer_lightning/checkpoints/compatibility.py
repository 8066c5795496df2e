"""What earlier versions wrote, in the words of this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import yaml
from torch import Tensor

RENAMED = {
    "model.weights": "model.fine_tuning.weights",
    "model.freeze": "model.fine_tuning.freeze",
    "model.layer_decay": "model.fine_tuning.layer_decay",
    "model.teacher": "model.distillation.teacher",
    "model.teacher_share": "model.distillation.weight",
    "model.flip_at_test": "model.tta_flip",
    "model.mixup": "data.augmentation.mixup",
    "model.cutmix": "data.augmentation.cutmix",
    "model.warmup": "model.lr_scheduler.warmup",
    "data.augmentation.fade": "data.augmentation.cooldown",
    "data.augmentation.sizes": "data.augmentation.progressive_sizes",
    "data.balance": "data.sampling.strength",
    "data.licence": "data.license",
    "data.tree_dir": "data.prepared_dir",
}
"""Settings of version 0.1.0 that have another name now."""

RETHOUGHT = {
    "model.schedule": "model.lr_scheduler WarmupCosine",
    "model.loss.class_weights": "model.loss WeightedCrossEntropy",
    "model.loss.focal_gamma": "model.loss FocalLoss",
}
"""Settings of version 0.1.0 that are a part's class now."""

GONE = {
    "model.compile": "it was slower on every machine that was measured",
    "model.lr_interval": "a scheduler knows by itself whether it advances with steps or epochs",
}
"""Settings of version 0.1.0 that have no successor, and why."""

_LOSSES = "fer_lightning.training.losses"


def upgraded_config(config: Mapping[str, Any], told: Callable[[str], object] = lambda line: None) -> dict[str, Any]:
    """A configuration of this or an earlier version in the words of this one.

    Args:
        config: Nested settings; those that are not there are left to others.
        told: Takes one line for each old name.
    """
    new = deepcopy(dict(config))
    if _get(new, "data.color") == "grey":
        told("Note   The color 'grey' is now spelled 'gray'.")
        _set(new, "data.color", "gray")
    _upgrade_parts(new, told)
    for old, name in RENAMED.items():
        if _has(new, old):
            _set(new, name, _pop(new, old))
            told(f"Note   --{old} is now --{name}.")
    if _has(new, "model.distillation.teacher") and _get(new, "model.distillation.teacher") is None:
        _set(new, "model.distillation", None)
    for old, why in GONE.items():
        if _has(new, old):
            _pop(new, old)
            told(f"Note   --{old} is gone: {why}.")
    return new


def _upgrade_parts(new: dict[str, Any], told: Callable[[str], object]) -> None:
    """Options that chose between ways of working are classes now."""
    if _has(new, "model.schedule"):
        told(f"Note   --model.schedule is now --{RETHOUGHT['model.schedule']}.")
        if _pop(new, "model.schedule") == "cosine":
            warmup = _pop(new, "model.warmup") if _has(new, "model.warmup") else 0.1
            scheduler = {"class_path": "fer_lightning.training.schedules.WarmupCosine", "init_args": {"warmup": warmup}}
            _set(new, "model.lr_scheduler", scheduler)
        elif _has(new, "model.warmup"):
            _pop(new, "model.warmup")
    loss = _get(new, "model.loss")
    if not isinstance(loss, dict) or "class_path" in loss:
        return
    weighting = loss.pop("class_weights", "none")
    gamma = loss.pop("focal_gamma", 0.0)
    if weighting != "none" and gamma:
        told("Note   A focal loss with class weights is no longer there: the weights are kept.")
    if weighting != "none":
        told(f"Note   --model.loss.class_weights is now --{RETHOUGHT['model.loss.class_weights']}.")
        weighted = {"class_path": f"{_LOSSES}.WeightedCrossEntropy", "init_args": loss | {"weighting": weighting}}
        _set(new, "model.loss", weighted)
    elif gamma:
        told(f"Note   --model.loss.focal_gamma is now --{RETHOUGHT['model.loss.focal_gamma']}.")
        _set(new, "model.loss", {"class_path": f"{_LOSSES}.FocalLoss", "init_args": loss | {"gamma": gamma}})


def upgraded(about: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says about itself, from the form in which an earlier version said it.

    Args:
        about: In format 1, `temperature` is there for exports only.
    """
    if about["format"] >= 2:
        return dict(about)
    config = upgraded_config(yaml.safe_load(about.get("config", "{}")) or {})
    model, data = config.get("model", {}), about.get("data") or {}
    new = {
        "format": about["format"],
        "version": about.get("version", ""),
        "class_names": about["class_names"],
        "input_spec": about["preprocessing"],
        "network": model.get("network"),
        "temperature": about.get("temperature", 1.0),
        "learned_prior": about.get("class_shares", []),
        "class_prior": model.get("class_prior", "training"),
        "tta_flip": bool(model.get("tta_flip", False)),
        "risk_curve": about.get("risk_curve", []),
        "started_from": data.get("started_from", ""),
        "teacher": data.get("teacher", ""),
        "measured": about.get("measured", {}),
        "config": yaml.safe_dump(config, sort_keys=False) if "data" in config else "",
    }
    if data:
        new["training"] = {
            "names": data["names"],
            "license": data["licence"],
            "class_counts": [data["training_images"][name] for name in about["class_names"]],
            "split": data["split"],
            "split_fingerprint": about.get("split", ""),
            "leakage_fingerprint": data.get("sketch", []),
        }
    return new


def upgraded_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a checkpoint of format 1 under the names of format 2."""
    if any(name.startswith("model.") for name in state):
        return dict(state)
    averaged = any(name.startswith("averaged.module.") for name in state)
    names = {"averaged.module.": "model.network.", "network.": "trained." if averaged else "model.network."}
    new: dict[str, Tensor] = {}
    for name, value in state.items():
        start = next((start for start in names if name.startswith(start)), None)
        if start:
            new[names[start] + name.removeprefix(start)] = value
        elif name == "temperature":
            new["model.temperature"] = value
    return new


def _has(values: Mapping[str, Any], name: str) -> bool:
    first, _, rest = name.partition(".")
    inner = values.get(first)
    if not rest:
        return first in values
    return isinstance(inner, dict) and (_has(inner, rest) or ("init_args" in inner and _has(inner["init_args"], rest)))


def _get(values: Mapping[str, Any], name: str) -> Any:
    return _walk(values, name)[0].get(name.rpartition(".")[2]) if _has(values, name) else None


def _pop(values: dict[str, Any], name: str) -> Any:
    return _walk(values, name)[0].pop(name.rpartition(".")[2])


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    _walk(values, name)[0][name.rpartition(".")[2]] = value


def _walk(values: Any, name: str) -> tuple[dict[str, Any], str]:
    """The innermost settings that a name is in; they are made where they are not there."""
    first, _, rest = name.partition(".")
    if not rest:
        return values, first
    if not isinstance(values.get(first), dict):
        values[first] = {}
    inner = values[first]
    return _walk(inner.get("init_args", inner), rest)
