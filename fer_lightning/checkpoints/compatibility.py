"""What earlier versions wrote, in the words of this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import yaml

from fer_lightning.deprecations import SETTINGS, SETTINGS_GONE, SETTINGS_OF_CLASSES, VALUES, gone, renamed
from fer_lightning.values import read_settings

if TYPE_CHECKING:
    from torch import Tensor

_MISSING = object()


def upgraded_config(config: Mapping[str, Any], told: Callable[[str], object] = lambda line: None) -> dict[str, Any]:
    """A configuration of any version in the words of this one; `told` takes one line for each old name."""
    new = deepcopy(dict(config))
    data, model = (new[name] if isinstance(new.get(name), dict) else {} for name in ("data", "model"))
    if (color := data.get("color")) in (known := VALUES["data.color"]):
        told(renamed(f"--data.color {color}", f"--data.color {known[color]}"))
        data["color"] = known[color]
    _upgrade_schedule(model, told)
    _upgrade_loss(model, told)
    for old, name in SETTINGS.items():
        if (value := _pop(new, old)) is not _MISSING:
            put(new, name, value)
            told(renamed(f"--{old}", f"--{name}"))
    if (distillation := model.get("distillation")) and distillation.get("teacher", "there") is None:
        model["distillation"] = None
    for old, why in SETTINGS_GONE.items():
        if _pop(new, old) is not _MISSING:
            told(gone(f"--{old}", why))
    return new


def _upgrade_schedule(model: dict[str, Any], told: Callable[[str], object]) -> None:
    if "schedule" not in model:
        return
    told(renamed("--model.schedule", f"--{SETTINGS_OF_CLASSES['model.schedule']}"))
    warmup = model.pop("warmup", 0.1)
    if model.pop("schedule") == "cosine":
        path = "fer_lightning.training.schedules.WarmupCosine"
        model["lr_scheduler"] = {"class_path": path, "init_args": {"warmup": warmup}}


def _upgrade_loss(model: dict[str, Any], told: Callable[[str], object]) -> None:
    loss = model.get("loss")
    if not isinstance(loss, dict) or "class_path" in loss:
        return
    weighting, gamma = loss.pop("class_weights", "none"), loss.pop("focal_gamma", 0.0)
    if weighting != "none" and gamma:
        told("Note   A focal loss with class weights is no longer there: the weights are kept.")
    if weighting != "none":
        old, given = "model.loss.class_weights", {"weighting": weighting}
    elif gamma:
        old, given = "model.loss.focal_gamma", {"gamma": gamma}
    else:
        return
    told(renamed(f"--{old}", f"--{SETTINGS_OF_CLASSES[old]}"))
    path = f"fer_lightning.training.losses.{SETTINGS_OF_CLASSES[old].partition(' ')[2]}"
    model["loss"] = {"class_path": path, "init_args": loss | given}


def upgraded(about: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says about itself, from the form in which an earlier version said it."""
    if about["format"] >= 2:
        return dict(about)
    config = upgraded_config(read_settings(about.get("config", "")))
    model, data = config.get("model", {}), about.get("data") or {}
    new = {
        **{name: about[name] for name in ("temperature", "risk_curve", "measured") if name in about},
        **{name: data[name] for name in ("started_from", "teacher") if name in data},
        **{name: model[name] for name in ("network", "class_prior", "tta_flip") if name in model},
        "version": about.get("version", ""),
        "class_names": about["class_names"],
        "input_spec": about["preprocessing"],
        "learned_prior": about.get("class_shares", []),
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
    names = {
        "averaged.module.": "model.network.",
        "network.": "trained." if averaged else "model.network.",
        "temperature": "model.temperature",
    }
    found = [(old, name) for name in state for old in names if name.startswith(old)]
    return {names[old] + name.removeprefix(old): state[name] for old, name in found}


def put(settings: dict[str, Any], name: str, value: Any) -> None:
    """Set `a.b.c` in nested settings; what it is within is made where it is not there."""
    first, _, rest = name.partition(".")
    if not rest:
        settings[first] = value
        return
    if not isinstance(settings.get(first), dict):
        settings[first] = {}
    put(settings[first].get("init_args", settings[first]), rest, value)


def _pop(settings: Any, name: str) -> Any:
    """Take `a.b.c` out of nested settings."""
    first, _, rest = name.partition(".")
    if not isinstance(settings, dict):
        return _MISSING
    if not rest:
        return settings.pop(first, _MISSING)
    inner = settings.get(first)
    return _pop(inner.get("init_args", inner) if isinstance(inner, dict) else inner, rest)
