"""RunSummary: what is trained on, what came out, how to go on."""

import os
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from fer_lightning.checkpoints.reading import read_checkpoint
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import TESTING, VALIDATION
from fer_lightning.errors import FERError
from fer_lightning.files import replace_text
from fer_lightning.program import program
from fer_lightning.reports.card_metadata import with_metadata
from fer_lightning.reports.model_card import model_card
from fer_lightning.reports.page import filled, json_text, without_nan
from fer_lightning.training.classifier import ExpressionClassifier


class RunSummary(Callback):
    """Says at the start what is trained on, and at the end what came out and how to go on.

    `chosen` says that the precision was chosen by the machine and not by the user.
    """

    def __init__(self, folder: str | os.PathLike[str], chosen: bool = False) -> None:
        self.folder, self.chosen = Path(folder), chosen
        self._started = time.monotonic()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what is trained, and start the clock."""
        classifier = pl_module if isinstance(pl_module, ExpressionClassifier) else None
        network = classifier.trained_network if classifier else pl_module
        weights = sum(parameter.numel() for parameter in network.parameters())
        if trainer.is_global_zero:
            device, precision = trainer.strategy.root_device.type, trainer.precision
            threads = f", {torch.get_num_threads()} threads" if device == "cpu" else ""
            print(f"Network {type(network).__name__}, {weights:,} parameters")
            if classifier and classifier.loaded:
                print(f"Weights {classifier.loaded}")
            why = " (the fastest here; --trainer.precision decides otherwise)" if self.chosen else ""
            print(f"Compute {trainer.world_size} x {device}{threads}, {precision}{why}", flush=True)
        self._started = time.monotonic()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close a fit that came to its end, after the progress bar is gone."""
        ended = trainer.is_global_zero and not trainer.fast_dev_run  # type: ignore[attr-defined]
        if stage == "fit" and ended and not trainer.interrupted:
            self._close(trainer)

    def _close(self, trainer: Trainer) -> None:
        """Name the best checkpoint and the next command."""
        best = next((c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor), None)
        found: dict[str, Any] = {"epochs": trainer.current_epoch}
        found["seconds"] = round(time.monotonic() - self._started)
        path, data, baseline = "", getattr(trainer, "datamodule", None), None
        if best is not None and best.best_model_path and best.best_model_score is not None:
            path = _short(best.best_model_path)
            found |= {"monitor": best.monitor, "best": float(best.best_model_score)}
            name, info = self.folder.name, read_checkpoint(path)[0]
            replace_text(self.folder / "model_card.md", with_metadata(model_card(name, info), name, info))
            if best.monitor == "val_acc" and isinstance(data, FERDataModule):
                baseline = data.majority(TESTING if data.validates_on_testing else VALIDATION)
        replace_text(self.folder / "summary.json", json_text(without_nan(found)))
        measured = best is not None and best.monitor in trainer.callback_metrics
        about: dict[str, Any] = {
            "measured": measured,
            "found": found,
            "best": best,
            "path": path,
            "baseline": baseline,
            "reason": why_it_ended(trainer),
        }
        print(filled("fit.txt", folder=self.folder, program=program(), **about), end="", flush=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Say how an interrupted run is continued."""
        last = self.folder / "checkpoints" / "last.ckpt"
        ours = trainer.is_global_zero and trainer.state.fn == "fit" and not trainer.fast_dev_run  # type: ignore[attr-defined]
        if ours and last.is_file() and not isinstance(exception, FERError):  # that one says itself what to do
            print(f"\nInterrupted. Continue with: {program()} fit --ckpt_path {last}", flush=True)


def why_it_ended(trainer: Trainer) -> str:
    """The reason why a training that was not interrupted came to its end."""
    if trainer.max_steps > 0 and trainer.global_step >= trainer.max_steps:
        return f"stopped after {trainer.global_step} steps, as --trainer.max_steps {trainer.max_steps} asks"
    if trainer.max_epochs is not None and 0 < trainer.max_epochs <= trainer.current_epoch:
        return "all that were asked for"
    for timer in (callback for callback in trainer.callbacks if isinstance(callback, Timer)):  # type: ignore[attr-defined]
        if (left := timer.time_remaining()) is not None and left <= 0:
            return "stopped early, as --trainer.max_time was over"
    for early in trainer.early_stopping_callbacks:
        each = "epoch" if getattr(early, "_check_on_train_epoch_end", True) else "validation"
        waited = f"{early.wait_count} {each}{'s' if early.wait_count != 1 else ''}"
        reasons = {
            EarlyStoppingReason.PATIENCE_EXHAUSTED: f"had not improved for {waited}",
            EarlyStoppingReason.STOPPING_THRESHOLD: f"had come to {early.stopping_threshold}",
            EarlyStoppingReason.DIVERGENCE_THRESHOLD: f"was worse than {early.divergence_threshold}",
            EarlyStoppingReason.NON_FINITE_METRIC: "was not finite",
        }
        if early.stopping_reason in reasons:
            return f"stopped early, as {early.monitor} {reasons[early.stopping_reason]}"
    return "stopped early by a callback"


def _short(path: str) -> str:
    """The path as a user in this folder would type it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
