"""EvaluationReport: gathers what `test` and `validate` predict, from every device, and has the report written."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.legend import PARTS
from fer_lightning.data.sampling import IGNORE_INDEX
from fer_lightning.data.splits import TESTING, TRAINING, VALIDATION
from fer_lightning.evaluation.predictions import of_split
from fer_lightning.reports.case import Evaluation
from fer_lightning.reports.evaluation import evaluate
from fer_lightning.reports.model_card import measured_in, model_card
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
        self._about: dict[str, Any] = {}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the configuration for the report."""
        self._about = checkpoint.get("fer_lightning", {})

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
        testing = stage == "test" or data.validates_on_testing
        folder = data.folder(TESTING if testing else VALIDATION)
        places = [(image, label) for image, (_, label) in zip(folder.images(), folder.samples, strict=True)]
        places = places[: len(self._labels)]  # fewer with --trainer.limit_test_batches
        predictions = of_split(data.split, places, pl_module.probabilities(self._logits).double().numpy())
        counts = data.split.counts[TRAINING]
        evaluation = Evaluation(
            predictions=predictions,
            prior=counts / counts.sum(),
            image_dir=data.legend.image_dir,
            history=self.folder / "metrics.csv",
            uncalibrated=self._logits.double().softmax(1).numpy(),
            about={
                "part": PARTS[TESTING if testing else VALIDATION],
                "checkpoint": str(trainer.ckpt_path),
                "data": data.facts()["names"],
                "faces": data.preprocessing.faces,
                "class_prior": pl_module.class_prior,
                "image_dir": str(data.legend.image_dir.resolve()),
                "tuned_on_test": data.validates_on_testing,
                "temperature": float(pl_module.temperature),
                "split": data.split.fingerprint,
                "split_options": data.split.options,
                "config": self._about.get("config", ""),
                "how": how(),
            },
        )
        evaluate(evaluation, self.folder / ("test" if stage == "test" else "validate"))
        if stage == "test" and self._about:
            card = model_card(self.folder.name, self._about | {"measured": measured_in(self.folder)})
            (self.folder / "model_card.md").write_text(card, encoding="utf-8")


def how() -> dict[str, str]:
    """How a result was obtained: command, versions, hardware, git commit."""
    import lightning
    import torchvision

    from fer_lightning import __version__

    facts = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "fer_lightning": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "lightning": lightning.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "accelerator": str(torch.accelerator.current_accelerator(check_available=True) or "none"),
    }
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],  # noqa: S607 (whatever git the user has)
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        facts["commit"] = commit.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return facts
