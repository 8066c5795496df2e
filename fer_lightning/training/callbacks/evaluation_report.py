"""EvaluationReport: gathers what `test` and `validate` predict, from every device, and has the report written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.sampling import IGNORE_INDEX
from fer_lightning.data.splits import TESTING, TRAINING
from fer_lightning.evaluation.predictions import of_split
from fer_lightning.files import replace_text
from fer_lightning.reports.evaluation import evaluate
from fer_lightning.reports.model_card import measured_in, model_card
from fer_lightning.reports.provenance import how
from fer_lightning.training.classifier import ExpressionClassifier


class EvaluationReport(Callback):
    """Writes `<folder>/test/` or `<folder>/validate/`: report.html, metrics.json and predictions.csv.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._outputs: list[dict[str, torch.Tensor]] = []
        self._logits, self._labels = torch.empty(0), torch.empty(0)
        self._info: CheckpointInfo | None = None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep what the checkpoint says for the report."""
        self._info = CheckpointInfo.from_dict(checkpoint[KEY], "The checkpoint")

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Keep the batch's logits."""
        self._outputs.append({name: value.cpu() for name, value in outputs.items()})

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Keep the batch's logits."""
        self.on_test_batch_end(trainer, pl_module, outputs)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the logits of all devices into the order of the files; padding comes last and is cut off."""
        columns = {name: torch.cat([part[name] for part in self._outputs]) for name in ("logits", "labels")}
        self._outputs.clear()
        device = pl_module.device
        gathered = {name: trainer.strategy.all_gather(column.to(device)) for name, column in columns.items()}
        if trainer.world_size > 1:
            gathered = {name: column.transpose(0, 1).flatten(0, 1) for name, column in gathered.items()}
        real = gathered["labels"] != IGNORE_INDEX
        self._logits, self._labels = gathered["logits"][real].cpu(), gathered["labels"][real].cpu()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the logits of all devices into the order of the files."""
        self.on_test_epoch_end(trainer, pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Measure and write, after the progress bar is gone."""
        data = getattr(trainer, "datamodule", None)
        if stage not in ("test", "validate") or not trainer.is_global_zero or not len(self._labels):
            return
        if not (isinstance(data, FERDataModule) and isinstance(pl_module, ExpressionClassifier)):
            return
        subset = TESTING if stage == "test" else data.subsets.validation
        rows = data.split.rows(subset)[: len(self._labels)]  # fewer with --trainer.limit_test_batches
        model = pl_module.model.cpu()
        counts = data.split.counts[TRAINING]
        evaluate(
            predictions=of_split(data.split, rows, model.calibrate(self._logits).double().numpy()),
            prior=counts / counts.sum(),
            image_dir=data.legend.image_dir,
            folder=self.folder / ("test" if stage == "test" else "validate"),
            history=self.folder / "metrics.csv",
            uncalibrated=self._logits.double().softmax(1).numpy(),
            about={
                "subset": SUBSETS[subset],
                "checkpoint": str(trainer.ckpt_path),
                "data": list(data.info.training.names),
                "faces": data.input_spec.faces,
                "class_prior": model.class_prior,
                "image_dir": str(data.legend.image_dir.resolve()),
                "tuned_on_test": data.validates_on_testing,
                "temperature": float(model.temperature),
                "split": data.split.fingerprint,
                "split_options": data.split.options,
                "config": self._info.config if self._info else "",
                "how": how(),
            },
        )
        if stage == "test" and self._info:
            info = replace(self._info, measured=measured_in(self.folder))
            replace_text(self.folder / "model_card.md", model_card(self.folder.name, info))
