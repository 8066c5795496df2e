"""The callbacks that a verb of Lightning's has here, besides those that its options make."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ProgressBar

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.evaluation.divisions import check_slices
from fer_lightning.program import in_notebook
from fer_lightning.training.callbacks.epoch_log import EpochLog
from fer_lightning.training.callbacks.epoch_metrics_csv import EpochMetricsCSV
from fer_lightning.training.callbacks.evaluation_report import EvaluationReport
from fer_lightning.training.callbacks.leakage_note import LeakageNote
from fer_lightning.training.callbacks.log_settings import LogSettings
from fer_lightning.training.callbacks.notebook_progress import NotebookProgress
from fer_lightning.training.callbacks.per_step_seed import PerStepSeed
from fer_lightning.training.callbacks.run_summary import RunSummary

SLICES = "Columns of the legend, or other attributes, to slice the report by, as a list; without it, all."
"""Help of the option of `validate` and `test`."""


def callbacks_of_fit(run_dir: Path, seed: int, chosen: bool) -> list[Callback]:
    """Those of `fit`; `chosen` says that the precision was chosen by the machine and not by the user."""
    return [
        EpochMetricsCSV(run_dir / "metrics.csv"),
        LogSettings(run_dir.name),
        PerStepSeed(seed),
        RunSummary(run_dir, chosen),
    ]


def callbacks_of_measuring(run_dir: Path, datamodule: Any, slices: str | Sequence[str] | None) -> list[Callback]:
    """Those of `validate` and `test`.

    Raises:
        FERError: If the data have no such slices.
    """
    if isinstance(datamodule, FERDataModule):
        check_slices(slices, datamodule.legend.attributes)
    return [LeakageNote(), EvaluationReport(run_dir, slices)]


def progress_bar(trainer: Mapping[str, Any]) -> list[Callback]:
    """In a notebook the progress bar made for one, without a terminal lines, unless the Trainer's settings decide."""
    chosen = trainer.get("callbacks") or []
    own = any(isinstance(callback, ProgressBar) for callback in (chosen if isinstance(chosen, list) else [chosen]))
    if own or trainer.get("enable_progress_bar") is not None:
        return []
    if in_notebook():
        return [NotebookProgress()]
    return [] if sys.stdout.isatty() else [EpochLog()]
