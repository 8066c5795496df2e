"""EvaluationReport: has the report of what `test` and `validate` predict written."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from fer_lightning.checkpoints.finding import digest_of
from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.splits import TESTING, TRAINING
from fer_lightning.evaluation.predictions import of_split
from fer_lightning.files import replace_text
from fer_lightning.reports.card_metadata import with_metadata
from fer_lightning.reports.evaluation import evaluate
from fer_lightning.reports.model_card import figures_of, model_card
from fer_lightning.reports.provenance import how
from fer_lightning.training.classifier import ExpressionClassifier


class EvaluationReport(Callback):
    """Writes `test/` or `validate/` in a run's folder: report.html, metrics.json and predictions.csv.

    `slices` are the attributes that the images are sliced by; None for all.
    """

    def __init__(self, folder: str | os.PathLike[str], slices: str | Sequence[str] | None = None) -> None:
        self.folder, self.slices = Path(folder), slices
        self._logits = torch.empty(0)
        self._info: CheckpointInfo | None = None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep what the checkpoint says for the report."""
        self._info = CheckpointInfo.from_dict(checkpoint[KEY], "The checkpoint")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the logits of all devices."""
        if isinstance(pl_module, ExpressionClassifier):
            self._logits = pl_module.evaluated()[0].cpu()

    on_validation_epoch_end = on_test_epoch_end

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Measure and write, after the progress bar is gone."""
        data = getattr(trainer, "datamodule", None)
        if stage not in ("test", "validate") or not trainer.is_global_zero or not len(self._logits):
            return
        if not (isinstance(data, FERDataModule) and isinstance(pl_module, ExpressionClassifier)):
            return
        subset = TESTING if stage == "test" else data.subsets.validation
        rows = data.split.rows(subset)[: len(self._logits)]  # fewer with --trainer.limit_test_batches
        model = pl_module.model.cpu()
        counts = data.split.counts[TRAINING]
        adapted = self._logits + (model.adapt(self._logits) - self._logits) / model.temperature
        content = evaluate(
            of_split(data.split, rows, model.calibrate(self._logits).double().numpy()),
            prior=counts / counts.sum(),
            image_dir=data.legend.image_dir,
            folder=self.folder / ("test" if stage == "test" else "validate"),
            history=self.folder / "metrics.csv",
            uncalibrated=adapted.double().softmax(1).numpy(),
            slices=self.slices,
            about={
                "subset": SUBSETS[subset],
                "checkpoint": str(trainer.ckpt_path),
                "checkpoint_sha256": digest_of(str(trainer.ckpt_path)),
                "data": list(data.info.training.names),
                "faces": data.input_spec.framing,
                "class_prior": model.class_prior,
                "effective_prior": dict(zip(model.class_names, model.effective_prior, strict=False)) or None,
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
            info = replace(self._info, measured=figures_of(content))
            name = self.folder.name
            replace_text(self.folder / "model_card.md", with_metadata(model_card(name, info), name, info))
