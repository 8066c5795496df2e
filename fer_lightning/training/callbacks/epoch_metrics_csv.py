"""EpochMetricsCSV: the table of epochs."""

import csv
import os
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from fer_lightning.files import replacing
from fer_lightning.training.metrics import RUNNING_LOSS


class EpochMetricsCSV(Callback):
    """Writes a file `metrics.csv`: one row an epoch with every logged figure.

    The rows travel in the checkpoint, so a resumed run continues the table where its checkpoint stands, without gaps
    and without repeats.
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
        """Take the rows up again; a ValueError if they are none."""
        rows = list(state_dict["rows"])
        if not all(isinstance(row, dict) and all(isinstance(x, int | float) for x in row.values()) for row in rows):
            raise ValueError("rows of figures are expected")
        self.rows = rows

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; a resumed epoch does not start again."""
        self._started = time.monotonic()

    on_train_epoch_start = on_train_start

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row and write the file anew."""
        figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name != RUNNING_LOSS}
        row: dict[str, float] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        row["seconds"] = round(time.monotonic() - self._started, 2)
        row["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.rows.append(row | figures)
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            with replacing(self.path, newline="") as stream:
                writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in self.rows for name in row)))
                writer.writeheader()
                writer.writerows(self.rows)
