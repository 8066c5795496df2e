"""What happens around training: the table of epochs, the run's configuration, the closing words."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import SaveConfigCallback

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.leakage import overlap
from fer_lightning.data.splits import TESTING, VALIDATION
from fer_lightning.reports.model_card import model_card
from fer_lightning.training.classifier import RUNNING_LOSS


class EpochMetricsCSV(Callback):
    """Writes `metrics.csv`: one row an epoch with every logged figure.

    The rows travel in the checkpoint, so a resumed run continues the table where its checkpoint stands, without gaps
    and without repeats.

    Args:
        path: The file to write.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, float]] = []
        self._started = 0.0

    @property
    def state_key(self) -> str:
        """What it is called in checkpoints."""
        return "EpochTable"

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows up again."""
        self.rows = list(state_dict["rows"])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, as a resumed epoch does not start again."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row and write the file anew."""
        figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name != RUNNING_LOSS}
        row: dict[str, float] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        row["seconds"] = round(time.monotonic() - self._started, 2)
        row["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.rows.append(row | figures)
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._write()

    def _write(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        aside = self.path.with_name(self.path.name + ".writing")
        aside.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        aside.replace(self.path)


class PerStepSeed(Callback):
    """Seeds torch's random numbers anew before every step, from (seed, step, device).

    Dropout and the like are then a function of the step alone: a resumed run draws what the uninterrupted one drew,
    whatever was drawn in between.

    Args:
        seed: Draws other numbers.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Seed the generators of all devices."""
        step = trainer.fit_loop.epoch_loop.total_batch_idx
        digest = hashlib.sha256(f"{self.seed} {step} {trainer.global_rank}".encode()).digest()
        number = int.from_bytes(digest[:8]) - 2**63
        torch.default_generator.manual_seed(number)  # torch.manual_seed takes 3 ms where there is no GPU
        device = trainer.strategy.root_device
        if device.type != "cpu":
            torch.get_device_module(device).manual_seed(number)


class ResumableEarlyStopping(EarlyStopping):
    """Lightning's EarlyStopping, but a resumed run has the patience it is given now, not the one in the checkpoint."""

    @property
    def state_key(self) -> str:
        """What it is called in checkpoints."""
        return "PatientStopping" + super().state_key.removeprefix(type(self).__qualname__)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up best value and waiting time."""
        super().load_state_dict(state_dict | {"patience": self.patience, "stopped_epoch": 0})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once if the run that is resumed had come to its end."""
        if self.wait_count and self.wait_count >= self.patience:
            self.stopped_epoch = trainer.current_epoch
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check, unless the training ended within an epoch, before there was anything to go by."""
        if self.monitor in trainer.callback_metrics:
            super().on_train_epoch_end(trainer, pl_module)


class SaveRunConfig(SaveConfigCallback):
    """Saves the configuration as `config.yaml` in the run's folder and inside every checkpoint."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the file when training starts; other verbs leave the run's configuration alone."""
        if stage == "fit":
            folder = Path(self.config.runs_dir) / self.config.name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.yaml").write_text(self._text(), encoding="utf-8")

    def _text(self) -> str:
        """The configuration without the checkpoint it was resumed from: repeated, it is a run from the start."""
        config = self.config.clone()
        config["ckpt_path"] = None
        text: str = self.parser.dump(config, skip_none=False, format="yaml")
        return text

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put the configuration into the checkpoint as text, with the fingerprint of the split it was trained on."""
        about = checkpoint.setdefault("fer_lightning", {})
        about["config"] = self._text()
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, FERDataModule):
            about["split"] = data.split.fingerprint

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Point out that test images were trained on, or may have been."""
        about = checkpoint.get("fer_lightning", {})
        data, trained_on = getattr(trainer, "datamodule", None), about.get("data", {}).get("sketch")
        if not isinstance(data, FERDataModule):
            return
        if trained_on and trainer.state.fn != "fit":
            testing = trainer.state.fn == "test" or data.validates_on_testing
            if share := overlap(trained_on, data.split, TESTING if testing else VALIDATION):
                rank_zero_only(print)(
                    f"Note   About {share:.0%} of the images that these weights were trained on have the name and "
                    "label of one measured here: if they are the same images, the figures are too good. For the "
                    f"training they were divided by --data.split {about['data']['split']}."
                )
        elif about.get("split", data.split.fingerprint) != data.split.fingerprint:
            rank_zero_only(print)(
                "Note   These images are not divided as they were when the checkpoint was trained: test images may "
                "have been trained on."
            )


class RunSummary(Callback):
    """Says at the start what is trained on, and at the end what came out and how to go on.

    Args:
        command: How the program was called, such as `python train.py`.
        folder: The run's folder.
        chosen: Whether the precision was chosen by the machine and not by the user.
    """

    def __init__(self, command: str, folder: str | os.PathLike[str], chosen: bool = False) -> None:
        self.command, self.folder, self.chosen = command, Path(folder), chosen
        self._started = time.monotonic()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        network = getattr(pl_module, "network", pl_module)
        weights = sum(parameter.numel() for parameter in network.parameters())
        if trainer.is_global_zero:
            device, precision = trainer.strategy.root_device.type, trainer.precision
            threads = f", {torch.get_num_threads()} threads" if device == "cpu" else ""
            print(f"Network {type(network).__name__}, {weights:,} parameters")
            if loaded := getattr(pl_module, "loaded", ""):
                print(f"Weights {loaded}")
            why = " (the fastest here; --trainer.precision decides otherwise)" if self.chosen else ""
            print(f"Compute {trainer.world_size} x {device}{threads}, {precision}{why}", flush=True)
        self._started = time.monotonic()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close a fit that came to its end, after the progress bar is gone."""
        if stage == "fit":
            self._close(trainer)

    def _close(self, trainer: Trainer) -> None:
        """Name the best checkpoint and the next command."""
        if not trainer.is_global_zero or trainer.fast_dev_run or trainer.interrupted:  # type: ignore[attr-defined]
            return
        seconds = round(time.monotonic() - self._started)
        lines = [f"Trained {_epochs(trainer.current_epoch)} in {seconds // 60}:{seconds % 60:02d}; {_why(trainer)}."]
        best = next((c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor), None)
        if best is not None and best.best_model_path and best.best_model_score is not None:
            path = _short(best.best_model_path)
            baseline = self._baseline(trainer) if best.monitor == "val_acc" else ""
            lines.append(f"Best   {best.monitor} {best.best_model_score:.4f}{baseline}")
            lines.append(f"       {path}")
            lines.append(f"Next   {self.command} test --ckpt_path {path}")
        elif best is not None:
            lines.append(f"Best   none: the training ended before there was a {best.monitor}")
        found: dict[str, Any] = {"epochs": trainer.current_epoch, "seconds": seconds}
        if best is not None and best.best_model_score is not None:
            found |= {"monitor": best.monitor, "best": float(best.best_model_score)}
        if best is not None and best.best_model_path:
            about = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["fer_lightning"]
            card = model_card(self.folder.name, about)
            (self.folder / "model_card.md").write_text(card, encoding="utf-8")
            lines.append(f"       model card in {self.folder / 'model_card.md'}")
        (self.folder / "summary.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
        lines.append(f"       figures of every epoch in {self.folder / 'metrics.csv'}")
        print("\n" + "\n".join(lines), flush=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Say how an interrupted run is continued."""
        last = self.folder / "checkpoints" / "last.ckpt"
        if trainer.is_global_zero and trainer.state.fn == "fit" and last.is_file():
            print(f"\nInterrupted. Continue with: {self.command} fit --ckpt_path {last}", flush=True)

    def _baseline(self, trainer: Trainer) -> str:
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, FERDataModule):
            return ""
        label, share = data.majority(TESTING if data.validates_on_testing else VALIDATION)
        return f"   (always answering '{label}': {share:.4f})"


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _why(trainer: Trainer) -> str:
    for callback in trainer.early_stopping_callbacks:
        if isinstance(callback, EarlyStopping) and callback.stopped_epoch:
            return f"stopped early, as {callback.monitor} had not improved for {_epochs(callback.wait_count)}"
    return "all that were asked for"


def _short(path: str) -> str:
    """The path as a user in this folder would type it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
