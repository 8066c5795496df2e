"""A training that has left the finite numbers stops, and none of its checkpoints holds what is not finite."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from fer_lightning.checkpoints.weights import is_usable
from fer_lightning.errors import FERError

LOOK_EVERY = 10
"""Batches between two looks at the loss where a look costs something: a GPU has to be waited for."""


class DivergedError(FERError):
    """The loss, the weights or the answers are not finite."""


def is_time_to_look(trainer: Trainer, device: torch.device, batch: int) -> bool:
    """Whether to look at the loss in this batch: in each where that is free, in all processes at the same time."""
    free = device.type == "cpu" and trainer.world_size == 1
    return free or batch % LOOK_EVERY == 0 or trainer.is_last_batch


def check(fine: bool, what: str, trainer: Trainer) -> None:
    """Stop all processes of a training if something is not `fine` in one of them.

    Raises:
        DivergedError: It says when, what to try, and from which checkpoint to go on.
        SystemExit: The same on all processes but the first, with its status.
    """
    if trainer.strategy.reduce_boolean_decision(fine, all=True):
        return
    if not trainer.is_global_zero:
        raise SystemExit(2)
    if trainer.state.fn != "fit":
        raise DivergedError(
            f"{what[:1].upper()}{what[1:]} not finite: the weights are of no use. Take another checkpoint."
        )
    looked = "" if is_time_to_look(trainer, trainer.strategy.root_device, 1) else f" or up to {LOOK_EVERY} before"
    rates = [float(group["lr"]) for optimizer in trainer.optimizers for group in optimizer.param_groups]
    tries = [f"a lower --model.optimizer.lr (it is {max(rates):g} now)"] if rates else []
    tries += [] if trainer.gradient_clip_val else ["--trainer.gradient_clip_val 1"]
    tries += [] if trainer.precision == "32-true" else [f"--trainer.precision 32-true (it is {trainer.precision} now)"]
    raise DivergedError(
        f"The training diverged: {what} not finite, in epoch {trainer.current_epoch}, step {trainer.global_step}"
        f"{looked}. Try {', or '.join(tries)}; and look at --data.mean, --data.std and votes in the data. "
        f"{_last_finite(trainer)}"
    )


def check_weights(state: Mapping[str, Any], trainer: Trainer) -> None:
    """`check` that a state holds finite weights, and that the optimizer can still move them.

    Where the mean square of the gradients has run over, Adam's step is 0: the training stands still without a NaN.
    """
    name = first_not_finite(state)
    check(not name, f"the weights '{name}' are", trainer)
    memory = (entry for optimizer in trainer.optimizers for entry in optimizer.state.values())
    values = {f"{number}.{key}": value for number, entry in enumerate(memory) for key, value in entry.items()}
    name = first_not_finite(values)
    check(not name, f"the gradients are too large: the optimizer's '{name.partition('.')[2]}' is", trainer)


def check_answers(evaluated: Sequence[tuple[Tensor, Tensor]], trainer: Trainer) -> None:
    """`check` that the logits in batches of (logits, labels) are finite."""
    flags = [logits.isfinite().all() for logits, _ in evaluated]
    check(bool(torch.stack(flags).all()) if flags else True, "the network's answers are", trainer)


def first_not_finite(state: Mapping[str, Any]) -> str:
    """The name of the first tensor in a state that holds NaN, or infinity where that is no mask; empty without one."""
    floats = {name: value for name, value in state.items() if isinstance(value, Tensor) and value.is_floating_point()}
    fine: dict[str, bool] = {}
    for device in {value.device for value in floats.values()}:  # most optimizers count steps on the CPU
        here = {name: value.isfinite().all() for name, value in floats.items() if value.device == device}
        fine |= zip(here, torch.stack([*here.values()]).tolist(), strict=True)  # waits for the device once
    return next((name for name, value in floats.items() if not (fine[name] or is_usable(name, value))), "")


def _last_finite(trainer: Trainer) -> str:
    for callback in trainer.checkpoint_callbacks:
        path = Path(getattr(callback, "dirpath", None) or "") / "last.ckpt"
        if getattr(callback, "dirpath", None) and path.is_file():
            return f"The last checkpoint that is finite is {path}: go on from it with --ckpt_path {path}."
    return "There is no checkpoint yet: start again."
