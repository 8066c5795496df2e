"""LogSettings: what a run was made with, to every logger."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from fer_lightning.training.classifier import ExpressionClassifier
from fer_lightning.version import __version__


class LogSettings(Callback):
    """Sends each logger of the Trainer the run's settings at the start, and the learning rate of every epoch.

    The settings are those of `config.yaml`, one value a setting (`data.batch_size`), with `run`, the run's name;
    `fer_lightning`, the version; and `git_commit`, the commit of the folder that the training was started in, with
    `+changes` where files in it have changed since, or empty where it is in no repository.

    Args:
        name: Name of the run.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the settings."""
        if not trainer.loggers or not trainer.is_global_zero:  # loggers of other processes write nothing
            return
        config = pl_module.run_config if isinstance(pl_module, ExpressionClassifier) else ""
        about = {"run": self.name, "fer_lightning": __version__, "git_commit": git_commit()}
        settings = about | dict(_flat(yaml.safe_load(config or "{}")))
        for logger in trainer.loggers:
            logger.log_hyperparams(settings)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the learning rate."""
        if trainer.optimizers:
            figures = {"lr": float(trainer.optimizers[0].param_groups[0]["lr"]), "epoch": trainer.current_epoch}
            for logger in trainer.loggers:
                logger.log_metrics(figures, step=max(0, trainer.global_step - 1))  # where Lightning puts the epoch


def git_commit(folder: str | Path = ".") -> str:
    """The commit of a folder, in hexadecimal, with `+changes` where tracked files differ; empty where there is none."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):  # no git, no repository, or no commit in it
        return ""
    return commit + ("+changes" if changed else "")


def _git(folder: str | Path, *words: str) -> str:
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *words]  # that may name a program to run
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603


def _flat(settings: Any, within: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings under names with dots; lists as text, which all loggers take."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value if isinstance(value, str | int | float | bool) else str(value)
