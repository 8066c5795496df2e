"""EpochLog: one line an epoch, for logs."""

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from fer_lightning.training.callbacks.line_progress import LineProgress, clock, epoch_of
from fer_lightning.training.metrics import RUNNING_LOSS

_EVERY = 300.0
"""Seconds after which an epoch that is not over says how far it is."""


class EpochLog(LineProgress):
    """Says after each epoch what it was like, in a line that a cluster's log keeps; bars are for terminals.

    Its figures are those of `metrics.csv`, with the training images that all devices saw in a second, without the time
    of validation, and the time that the epochs still to come would take if all were like those of this process.
    """

    def __init__(self) -> None:
        super().__init__()
        self._begun = self._epoch_begun = self._said = self._validating = self._waited = 0.0
        self._epochs = self._images = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin to count; one process alone says something."""
        super().setup(trainer, pl_module, stage)
        self._begun = self._epoch_begun = self._said = time.monotonic()
        self._epochs = self._images = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; an epoch that is gone on with does not start again."""
        super().on_train_start(trainer, pl_module)
        self._begun = time.monotonic()
        self._start_epoch()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clock."""
        super().on_train_epoch_start(trainer, pl_module)
        self._start_epoch()

    def _start_epoch(self) -> None:
        self._epoch_begun = self._said = time.monotonic()
        self._images, self._waited = 0, 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images; say how far a long epoch is."""
        self._images += _images_in(batch)
        self._now_and_then(f"{epoch_of(trainer)}, batch {batch_idx + 1} of {trainer.num_training_batches:.0f}")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock of training."""
        self._validating = time.monotonic()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Say how far a long validation is."""
        title = f"{epoch_of(trainer)}, validation" if trainer.state.fn == "fit" else "Validation"
        self._now_and_then(f"{title}, batch {batch_idx + 1} of {sum(trainer.num_val_batches):.0f}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the clock go on."""
        self._waited += time.monotonic() - self._validating

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Say how far a long test is."""
        self._now_and_then(f"Test, batch {batch_idx + 1} of {sum(trainer.num_test_batches):.0f}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what the epoch was like."""
        self._epochs += 1
        now = time.monotonic()
        seconds, training = now - self._epoch_begun, max(now - self._epoch_begun - self._waited, 1e-9)
        known = {name: float(value) for name, value in trainer.callback_metrics.items() if name != RUNNING_LOSS}
        parts = [epoch_of(trainer), *(f"{name} {value:.4f}" for name, value in known.items())]
        if trainer.optimizers:
            parts.append(f"lr {trainer.optimizers[0].param_groups[0]['lr']:.3g}")
        parts.append(f"{seconds:.1f} s")
        if self._images:
            parts.append(f"{self._images * trainer.world_size / training:,.0f} images/s")
        if (left := (trainer.max_epochs or -1) - trainer.current_epoch - 1) > 0:
            parts.append(f"{clock((now - self._begun) / self._epochs * left)} left")
        self._say("  ".join(parts))

    def _now_and_then(self, line: str) -> None:
        if time.monotonic() - self._said >= _EVERY:
            self._say(line)

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        if self._enabled:
            print(line, flush=True)


def _images_in(batch: Any) -> int:
    """Images in a batch, which is labelled images in this project's way or in the user's own; 0 where that is open."""
    first = next(iter(batch), None) if isinstance(batch, tuple | list) else batch
    shape = getattr(first, "shape", ())
    return int(shape[0]) if shape else 0
