"""Face images in, one row an image out."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch.utils.data import Dataset

from fer_lightning.data.preprocessing import IMAGE_SUFFIXES, Preprocessing, UnreadableImageError
from fer_lightning.errors import FERError
from fer_lightning.evaluation.calibration import threshold_for_risk


def list_images(inputs: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The image files among files and folders, in order.

    Folders are searched with all that is in them, sorted by name, for the endings in `IMAGE_SUFFIXES`; a file named by
    itself is taken whatever its ending.

    Raises:
        FERError: If a folder or file does not exist, or nothing was found.
    """
    found: list[Path] = []
    for given in map(Path, inputs):
        if given.is_dir():
            inside = (Path(folder) / name for folder, _, names in os.walk(given) for name in names)
            found += sorted(path for path in inside if path.suffix.lower() in IMAGE_SUFFIXES)
        elif given.exists():
            found.append(given)
        else:
            raise FERError(f"Invalid value for --input. Expected image files or folders, found nothing at '{given}'.")
    if not found:
        raise FERError(
            f"No image in {', '.join(map(str, inputs))}. Expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return found


class FaceImages(Dataset[dict[str, Any]]):
    """Items `{"image", "path", "face", "error"}`; an unreadable file is a black image with the reason beside it.

    `face` is false where faces were looked for and none was found.
    """

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing) -> None:
        self.paths, self.preprocessing = list(paths), preprocessing

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path, face, error = self.paths[index], False, ""
        try:
            image, face = self.preprocessing.look(path)
        except UnreadableImageError as problem:
            size, error = self.preprocessing.image_size, str(problem)
            image = torch.zeros(self.preprocessing.channels, size, size, dtype=torch.uint8)
        return {"image": image, "path": str(path), "face": face, "error": error}


class PredictionRows(BasePredictionWriter):
    """Writes a CSV as the batches come: path, label, confidence, one probability a class, error.

    The label is a class, or `uncertain`, `no_face` or `error`.

    Args:
        output: The file to write.
        class_names: Names of the probabilities.
        target_risk: Share of wrong answers that is accepted, 0..1: answers below the confidence that kept to it on the
            validation images become `uncertain`. None answers always.
    """

    def __init__(
        self, output: str | os.PathLike[str], class_names: Sequence[str], target_risk: float | None = None
    ) -> None:
        super().__init__("batch")
        if target_risk is not None and not 0 <= target_risk <= 1:
            raise FERError(f"Invalid value for --target_risk. Expected a number from 0 to 1. Received: {target_risk}.")
        self.output, self.class_names, self.target_risk = Path(output), list(class_names), target_risk
        self.written = self.failed = self.faceless = self.uncertain = 0
        self.threshold = 0.0

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the file and write its header."""
        if trainer.world_size > 1:
            raise FERError("predict runs in one process: leave --trainer.devices at 1.")
        if self.target_risk is not None:
            curve = getattr(pl_module, "risk_curve", [])
            if not curve:
                raise FERError("--target_risk needs a checkpoint that was trained with a validation part of its own.")
            self.threshold = threshold_for_risk(curve, self.target_risk)
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self._stream = open(self.output, "w", newline="", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 (closed on_predict_end)
        self._rows = csv.writer(self._stream)
        self._rows.writerow(["path", "label", "confidence", *self.class_names, "error"])

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: torch.Tensor,
        batch_indices: Sequence[int] | None,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the rows of one batch."""
        columns = (batch["path"], batch["face"].tolist(), batch["error"], prediction.tolist())
        for path, face, error, shares in zip(*columns, strict=True):
            self.written += 1
            if error:
                self.failed += 1
                self._rows.writerow([path, "error", "", *[""] * len(self.class_names), error])
                continue
            if not face:
                self.faceless += 1
                self._rows.writerow([path, "no_face", "", *[""] * len(self.class_names), ""])
                continue
            best = max(range(len(shares)), key=shares.__getitem__)
            row = [f"{share:.6f}" for share in shares]
            sure = shares[best] >= self.threshold
            self.uncertain += not sure
            self._rows.writerow([path, self.class_names[best] if sure else "uncertain", row[best], *row, ""])
        self._stream.flush()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the file and say what is in it."""
        self._stream.close()
        unread = f", {self.failed} of them unreadable" if self.failed else ""
        faceless = f", {self.faceless} without a face" if self.faceless else ""
        print(f"\n{self.written} rows{unread}{faceless}. Written to {self.output}", flush=True)
        if self.target_risk is not None:
            reach = (
                f"below a confidence of {self.threshold:.3f}" if self.threshold <= 1 else "as no confidence reaches it"
            )
            print(f"{self.uncertain} are uncertain, {reach} (target risk {self.target_risk}, on validation images)")
