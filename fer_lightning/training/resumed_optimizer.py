"""The optimizer and the scheduler of a resumed training: what the user may change, and what a checkpoint must hold."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.errors import FERError
from fer_lightning.networks.class_paths import full_path
from fer_lightning.values import read_settings

_READ_IN_EVERY_STEP = frozenset({"lr", "weight_decay", "betas", "eps", "fused", "foreach"})
"""Arguments of an optimizer that may change from one step to the next; others decide what its state holds."""

_RATES_OF_THEIR_OWN = ("OneCycleLR", "CyclicLR")
"""Schedulers that set learning rate and momentum from arguments of their own."""

_NEW = "Go on with what it had, or start a new training from its weights: --model.fine_tuning.weights FILE."


def changed_options(checkpoint: Mapping[str, Any], config: str) -> set[str]:
    """The hyper-parameters of the optimizer that the user has changed since a checkpoint's training.

    Args:
        checkpoint: A whole checkpoint.
        config: The configuration in YAML of the training that goes on with it; empty where there is none.

    Raises:
        FERError: If something has changed that the optimizer's or the scheduler's state depends on.
    """
    saved, now = _model_settings(_said(checkpoint)), _model_settings(config)
    if not saved or not now:
        return set()
    was, kept, before = _of_class(saved.get("optimizer"), "torch.optim.Adam")
    now_is, _, after = _of_class(now.get("optimizer"), "torch.optim.Adam")
    schedule, _, schedule_before = _of_class(saved.get("lr_scheduler"))
    schedule_now, _, schedule_after = _of_class(now.get("lr_scheduler"))
    if was != now_is:
        raise FERError(
            f"--model.optimizer {now_is}: the checkpoint was trained with {was}, whose state is of no use to it. {_NEW}"
        )
    if schedule != schedule_now:
        raise FERError(
            f"--model.lr_scheduler {schedule_now or 'null'}: the checkpoint was trained "
            f"{f'with {schedule}' if schedule else 'without one'}, and a schedule cannot change under way. {_NEW}"
        )
    if names := _differing(schedule_before, schedule_after) - {"warmup"}:  # WarmupCosine has no memory of it
        raise FERError(
            f"--model.lr_scheduler.{min(names)}: a schedule cannot change under way. Trained with "
            f"{schedule_before[min(names)]}, received {schedule_after[min(names)]}. {_NEW}"
        )
    tuning, tuning_now = ((one.get("fine_tuning") or {}) for one in (saved, now))
    if (tuning.get("freeze") or []) != (tuning_now.get("freeze") or []):
        raise FERError(
            f"--model.fine_tuning.freeze: the optimizer's state is for other parameters. Trained with "
            f"{tuning.get('freeze')}, received {tuning_now.get('freeze')}. {_NEW}"
        )
    changed = _differing(before, after)
    if tuning.get("layer_decay", 1.0) != tuning_now.get("layer_decay", 1.0):
        changed.add("lr")
    may = _READ_IN_EVERY_STEP | ({"momentum", "dampening", "nesterov"} if kept == "SGD" else set())
    if schedule.endswith(_RATES_OF_THEIR_OWN):
        may -= {"lr", "betas", "momentum"}
    if names := changed - may:
        name = min(names)
        raise FERError(
            f"--model.optimizer.{name} cannot change under way{f' with {schedule}' if schedule else ''}. Trained with "
            f"{before.get(name)}, received {after.get(name)}. {_NEW}"
        )
    return changed


def apply_options(checkpoint: Mapping[str, Any], config: str, fresh: Optimizer) -> None:
    """Put what `changed_options` finds into a checkpoint's optimizer and scheduler states, in place.

    A learning rate that a scheduler has moved since the start is moved by the same factor.

    Args:
        checkpoint: A whole checkpoint.
        config: The configuration in YAML of the training that goes on with it.
        fresh: An optimizer made with it.
    """
    changed = changed_options(checkpoint, config)
    if not changed:
        return
    lr_was = _of_class(_model_settings(_said(checkpoint)).get("optimizer"))[2].get("lr")
    groups = checkpoint["optimizer_states"][0]["param_groups"]
    for group, new in zip(groups, fresh.param_groups, strict=True):
        for name in changed - {"lr"}:
            group[name] = new[name]
        if "lr" in changed:
            base = group.get("initial_lr", lr_was if checkpoint["lr_schedulers"] else None)
            group["lr"] = new["lr"] * float(group["lr"]) / float(base) if base else new["lr"]
            if "initial_lr" in group:
                group["initial_lr"] = new["lr"]
    if "lr" in changed:
        for state in checkpoint["lr_schedulers"]:
            _rebase(state, [new["lr"] for new in fresh.param_groups], [group["lr"] for group in groups])


def _rebase(state: dict[str, Any], bases: list[float], rates: list[float]) -> None:
    if "base_lrs" in state:
        state["base_lrs"] = list(bases)
    if "_last_lr" in state:
        state["_last_lr"] = list(rates)
    for inner in state.get("_schedulers", ()):
        _rebase(inner, bases, rates)


def rehearse(checkpoint: Mapping[str, Any], make: Callable[[], tuple[Optimizer, Any]]) -> None:
    """Take one step with a checkpoint's optimizer and scheduler states, to know now that they fit and are whole.

    Args:
        checkpoint: A whole checkpoint.
        make: Makes the optimizer, over parameters of its own that may be changed, and the scheduler or None.

    Raises:
        FERError: If they do not.
    """
    optimizer, scheduler = make()
    try:
        _step(optimizer, scheduler)
    except Exception:  # an optimizer for another device, or one that needs a closure, cannot be tried here
        return
    optimizer, scheduler = make()
    name = type(optimizer).__name__
    try:
        (state,) = deepcopy(checkpoint["optimizer_states"])
        _check_shapes(state, optimizer)
        optimizer.load_state_dict(state)
        schedules = deepcopy(checkpoint["lr_schedulers"])
        if len(schedules) != int(scheduler is not None):
            raise ValueError(f"{len(schedules)} schedulers in the checkpoint, {int(scheduler is not None)} here")
        if scheduler is not None:
            name = f"{name} with {type(scheduler).__name__}"
            if not isinstance(schedules[0], dict) or callable(schedules[0].get("step")):
                raise TypeError("no state of a scheduler")
            scheduler.load_state_dict(schedules[0])
        _step(optimizer, scheduler)
        values = [value for group in optimizer.param_groups for value in (*group["params"], torch.tensor(group["lr"]))]
        if not all(bool(value.isfinite().all()) for value in values):
            raise ValueError("numbers in it are not finite")
    except Exception as error:  # whatever an optimizer makes of a state that is not its own
        raise FERError(
            f"The optimizer's state in the checkpoint does not fit {name}, or is damaged "
            f"({type(error).__name__}: {str(error)[:200]}). Leave --model.* options away, which are read from the "
            "checkpoint; use another checkpoint; or start a new training from its weights: --model.fine_tuning.weights "
            "FILE."
        ) from None


def _step(optimizer: Optimizer, scheduler: Any) -> None:
    """One step with a gradient of 0."""
    for group in optimizer.param_groups:
        for value in group["params"]:
            value.grad = torch.zeros_like(value)
    optimizer.step()
    if scheduler is not None:
        scheduler.step(*([torch.tensor(0.0)] if isinstance(scheduler, ReduceLROnPlateau) else []))


def _check_shapes(state: Mapping[str, Any], optimizer: Optimizer) -> None:
    """A fused step does not look at shapes."""
    values = [value for group in optimizer.param_groups for value in group["params"]]
    for number, entry in state["state"].items():
        for name, found in entry.items():
            same = not isinstance(found, Tensor) or found.ndim == 0 or found.shape == values[number].shape
            if name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg") and not same:
                raise ValueError(f"'{name}' of parameter {number} is {tuple(found.shape)}, not {values[number].shape}")
            if isinstance(found, Tensor) and not found.isfinite().all():
                raise ValueError(f"'{name}' of parameter {number} is not finite")


def _of_class(given: Any, default: str = "") -> tuple[str, str, dict[str, Any]]:
    """The full class path, the bare name and the arguments of a setting that takes a class."""
    given = {"class_path": given or default} if not isinstance(given, Mapping) else given
    path = full_path(str(given.get("class_path") or default)) if given.get("class_path") else default
    return path, path.rpartition(".")[2], dict(given.get("init_args") or {}) | dict(given.get("dict_kwargs") or {})


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    """The names whose values differ, or that only one has."""
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def _said(checkpoint: Mapping[str, Any]) -> str:
    return CheckpointInfo.from_dict(checkpoint.get(KEY, {}), "The checkpoint").config


def _model_settings(config: str) -> dict[str, Any]:
    settings = read_settings(config).get("model")
    return settings if isinstance(settings, dict) else {}
