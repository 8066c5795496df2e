"""NotebookProgress: one line in a notebook, written anew in place."""

import time
from importlib import import_module
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from fer_lightning.training.callbacks.line_progress import LineProgress, clock, epoch_of

_WIDTH = 24
"""Letters of the bar."""

_EVERY = 0.5
"""Seconds between two states of the line: each is a message to the browser."""


class NotebookProgress(LineProgress):
    """Shows how far a training or a measurement is, in one line that is replaced, so that a saved notebook is short.

    Lightning's bars need a terminal, or ipywidgets in the kernel and in the browser; this one needs nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._line: Any = None
        self._shown = self._begun = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin a new line, on one process alone."""
        super().setup(trainer, pl_module, stage)
        self._line, self._begun = None, time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the batch."""
        self._show(trainer, epoch_of(trainer), batch_idx + 1, trainer.num_training_batches)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Show the batch; within a training, validation may take as long as that."""
        title = f"{epoch_of(trainer)}, validation" if trainer.state.fn == "fit" else "Validation"
        self._show(trainer, title, batch_idx + 1, sum(trainer.num_val_batches))

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Show the batch."""
        self._show(trainer, "Test", batch_idx + 1, sum(trainer.num_test_batches))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the epoch's figures, whenever the line was shown last."""
        batches = trainer.num_training_batches
        self._show(trainer, epoch_of(trainer), batches, batches, now=True)

    def _show(self, trainer: Trainer, title: str, done: float, of: float, now: bool = False) -> None:
        if not self._enabled or not (now or done == of or time.monotonic() - self._shown >= _EVERY):
            return
        display: Any = import_module("IPython.display").display  # there is one, as this is a notebook
        self._shown = time.monotonic()
        filled = round(_WIDTH * min(1.0, done / of)) if 0 < of < float("inf") else 0
        seconds = round(time.monotonic() - self._begun)
        figures = "".join(f"  {name} {value:.3f}" for name, value in self._figures(trainer).items())
        line = f"{title}  {'━' * filled}{'┈' * (_WIDTH - filled)}  {done:.0f}/{of:.0f}{figures}  {clock(seconds)}"
        content = {"text/plain": line}
        if self._line is None:
            self._line = display(content, raw=True, display_id=True)
        else:
            self._line.update(content, raw=True)

    def _figures(self, trainer: Trainer) -> dict[str, float]:
        known = {name: value for name, value in trainer.progress_bar_metrics.items() if isinstance(value, int | float)}
        return {name: float(value) for name, value in known.items()}
