"""What is checked of a training's options before anything is read, moved or written."""

import os
from math import isfinite
from typing import Any

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.callbacks import ModelCheckpoint

from fer_lightning.errors import FERError, check_range
from fer_lightning.names import complaint
from fer_lightning.training.metrics import LOGGED

_DIVIDING = ("fsdp", "deepspeed", "modelparallel", "model_parallel", "xla_fsdp", "xlafsdp")
"""How strategies begin after which no device has all the weights."""


def check_options(config: Any, fit: bool) -> None:
    """Check Lightning's options of a verb, which it takes as they are or answers with an error of its own.

    Raises:
        FERError: If a value is out of its range; it says which are possible.
    """
    trainer = config.trainer
    seed = config.seed_everything
    if not isinstance(seed, bool) and not 0 <= seed < 2**32:
        raise FERError(f"Invalid value for --seed_everything. Expected 0 to {2**32 - 1}. Received: {seed}.")
    _check_machines(trainer)
    for stage in ("train", "val", "test"):
        least = 1 if stage == "train" and fit else 0
        _check_limit(f"--trainer.limit_{stage}_batches", trainer[f"limit_{stage}_batches"], least)
    if not fit:
        return
    _check_limit("--trainer.overfit_batches", trainer.overfit_batches, 0)
    _check_limit("--trainer.val_check_interval", trainer.val_check_interval, 1)
    check_range("--trainer.accumulate_grad_batches", trainer.accumulate_grad_batches, 1, 1_000_000)
    for option in ("max_epochs", "max_steps"):
        value = getattr(trainer, option)
        if value is not None and value != -1 and value < 1:
            raise FERError(
                f"Invalid value for --trainer.{option}. Expected 1 or more, or -1 for no limit. Received: {value}."
            )
    for option, least in (
        ("min_epochs", 0),
        ("min_steps", 0),
        ("check_val_every_n_epoch", 1),
        ("num_sanity_val_steps", -1),
        ("log_every_n_steps", 0),
        ("gradient_clip_val", 0),
        ("reload_dataloaders_every_n_epochs", 0),
    ):
        if (value := getattr(trainer, option)) is not None:
            check_range(f"--trainer.{option}", value, least)
    early = config.early_stopping
    check_range("--early_stopping.patience", early.patience, 0)
    check_range("--early_stopping.min_delta", early.min_delta, 0)
    for option in ("stopping_threshold", "divergence_threshold"):
        if (value := getattr(early, option)) is not None and not isfinite(value):
            raise FERError(f"Invalid value for --early_stopping.{option}. Expected a finite number. Received: {value}.")
    _check_monitors(config)
    _check_best(config.checkpoint_best)


def _check_limit(option: str, value: Any, least: int) -> None:
    """A number of batches, or a fraction of them; a `least` of 1 means some at all."""
    if value is None or not isinstance(value, int | float):
        return  # a time, such as 00:10:00
    whole = isinstance(value, int)
    if not isfinite(value) or value < 0 or (least and not value) or (not whole and value > 1):
        words = f"a whole number of batches from {least}, or a fraction of them {'above 0, ' if least else ''}up to 1.0"
        raise FERError(f"Invalid value for {option}. Expected {words}. Received: {value}.")


def _check_machines(trainer: Any) -> None:
    devices, accelerator, nodes = trainer.devices, trainer.accelerator, trainer.num_nodes
    check_range("--trainer.num_nodes", nodes, 1)
    gpus = torch.accelerator.device_count() if torch.accelerator.is_available() else 0
    if isinstance(accelerator, str) and accelerator not in ("auto", "cpu"):
        names = AcceleratorRegistry.available_accelerators()
        known = {name: AcceleratorRegistry[name]["accelerator"] for name in names}
        if accelerator not in known | {"gpu": None}:
            raise FERError(
                f"Invalid value for --trainer.accelerator. Expected auto, gpu or one of {', '.join(sorted(known))}. "
                f"Received: {accelerator}."
            )
        if not (gpus if accelerator == "gpu" else known[accelerator].is_available()):
            raise FERError(
                f"Invalid value for --trainer.accelerator. Received: {accelerator}, but torch finds no such device "
                "here. Expected cpu, or auto, which takes what there is. If there is a GPU, install a torch build for "
                "it and look at its driver (nvidia-smi) and at CUDA_VISIBLE_DEVICES."
            )
    if not str(devices).isascii():
        raise FERError(f"Invalid value for --trainer.devices. Expected a number or auto. Received: {devices}.")
    number = int(devices) if str(devices).lstrip("-").isdecimal() else None
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not gpus)
    most = max(8, os.cpu_count() or 1) if on_cpu else gpus
    if number is not None and not (1 <= number <= most) and not (number == -1 and not on_cpu):
        kind = "processes on the processor" if on_cpu else "GPUs, as many as are there"
        raise FERError(
            f"Invalid value for --trainer.devices. Expected 1 to {most} ({kind}), or auto. Received: {devices}."
        )
    launched = SLURMEnvironment.detect() or TorchElasticEnvironment.detect() or "MASTER_ADDR" in os.environ
    strategy = trainer.strategy
    named = strategy if isinstance(strategy, str) else strategy.class_path.rpartition(".")[2]
    if named.lower().startswith(_DIVIDING):
        raise FERError(
            f"--trainer.strategy {named} divides the weights among the devices. Checkpoints, averaged weights and the "
            "checks of a training need all of them in one place here. Expected ddp, which keeps them on each device. "
            "If memory is short: a smaller --data.batch_size with --trainer.accumulate_grad_batches."
        )
    if nodes > 1 and not launched:
        raise FERError(
            f"--trainer.num_nodes {nodes} waits for {nodes - 1} other machine{'s' if nodes > 2 else ''}, and nothing "
            "says where they are. Start the same command on each of them by SLURM (srun) or torchrun, or with "
            "MASTER_ADDR, MASTER_PORT and NODE_RANK set; or leave --trainer.num_nodes away."
        )


def _check_monitors(config: Any) -> None:
    """Make sure that what a `fit` follows is there; set each `mode` to the direction in which it improves."""
    for option in ("early_stopping", "checkpoint_best"):
        monitor = config[option].monitor
        if monitor not in LOGGED:
            raise FERError(
                f"Invalid value for --{option}.monitor. Expected one of {', '.join(LOGGED)}. Received: {monitor}."
            )
        if monitor.startswith("val_") and config.trainer.limit_val_batches == 0:
            raise FERError(
                f"--{option}.monitor {monitor} needs validation, but --trainer.limit_val_batches is 0. Expected "
                "validation, or train_loss or train_acc for both monitors."
            )
        config[option].mode = "min" if monitor.endswith("_loss") else "max"


def _check_best(best: Any) -> None:
    """Make sure that the best checkpoints have names of their own in the run's folder, and that there will be one."""
    if best.dirpath is not None:
        raise FERError(
            f"--checkpoint_best.dirpath is the run's own folder 'checkpoints'. Received: {best.dirpath}. Choose "
            "another place for the whole run with --runs_dir DIR."
        )
    if best.save_last:
        raise FERError("--checkpoint_best.save_last is not needed: last.ckpt is always kept. Leave it away.")
    if best.save_top_k < -1 or best.save_top_k == 0 or best.every_n_epochs == 0:
        raise FERError(
            f"--checkpoint_best would keep nothing. Expected a save_top_k of -1, or 1 or more, and an every_n_epochs "
            f"of 1 or more. Received: {best.save_top_k} and {best.every_n_epochs}."
        )
    first, second = (_file_of(best.filename or "", value) for value in (0.25, 0.5))
    if why := complaint(first):
        raise FERError(f"Invalid value for --checkpoint_best.filename. Received: '{best.filename}', {why}.")
    if "last" in (first.lower(), second.lower()):
        raise FERError(
            "Invalid value for --checkpoint_best.filename. Received: 'last', which is where a run goes on from: the "
            "best would be lost in the next epoch. Choose another one, such as 'best'."
        )
    if first == second and (best.save_top_k != 1 or best.save_on_exception):
        option = "save_on_exception" if best.save_top_k == 1 else "save_top_k"
        raise FERError(
            f"Invalid value for --checkpoint_best.{option}. Expected {'false' if best.save_top_k == 1 else 1}, as "
            f"'{best.filename}.ckpt' is one file. Received: {getattr(best, option)}. More need a name of their own: "
            "--checkpoint_best.filename '{epoch}'."
        )


def _file_of(pattern: str, value: float) -> str:
    """The name that Lightning makes of a pattern, where every figure has this value; in epoch `4 * value`."""
    figures = {name: torch.tensor(value) for name in LOGGED}
    figures |= {name: torch.tensor(int(4 * value)) for name in ("epoch", "step")}
    known = set(figures)
    try:
        name: str = ModelCheckpoint()._format_checkpoint_name(pattern or " ", figures)
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise FERError(
            f"Invalid value for --checkpoint_best.filename. Received: '{pattern}', which is no pattern ({error})."
        ) from None
    if unknown := set(figures) - known:
        raise FERError(
            f"Invalid value for --checkpoint_best.filename. Expected figures of {', '.join(sorted(known))} in braces. "
            f"Received: {', '.join(sorted(unknown))}."
        )
    return name
