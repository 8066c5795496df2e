"""What a model makes of the validation images of data sets, for the experiments beside this file."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import VALIDATION
from fer_lightning.evaluation.measures import Measures
from fer_lightning.model.expression_model import ExpressionModel

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "negative log-likelihood")
FOLDS = 5

Faces = tuple[Tensor, Tensor]
"""Images, uint8 `(n, channels, side, side)`, and labels, int64 `(n,)`."""


def validation(data: FERDataModule) -> Faces:
    """The validation subset, whole."""
    samples = data.samples(VALIDATION)
    batch: Any = samples.__getitems__(list(range(len(samples))))
    return batch.images, batch.labels


def validation_for(model: ExpressionModel, root: str, **options: Any) -> Faces:
    """The validation subset of a data set, as a model wants its images; `options` are those of `FERDataModule`."""
    told: dict[str, Any] = {"classes": list(model.class_names), **model.input_spec.settings(), **options}
    return validation(FERDataModule(root, **told))


def validation_of_folds(model: ExpressionModel, root: str) -> list[Faces]:
    """The validation subsets of five folds of people."""
    return [validation_for(model, root, split="grouped", fold=fold, folds=FOLDS) for fold in range(FOLDS)]


def answers(model: ExpressionModel, images: Tensor) -> np.ndarray:
    """Calibrated probabilities, float64 `(n, classes)`."""
    with torch.inference_mode():
        return torch.cat([model.probabilities(some) for some in images.split(256)]).double().numpy()


def figures(found: np.ndarray, labels: Tensor) -> np.ndarray:
    """`FIGURES`, float `(4,)`, of probabilities, float64 `(n, classes)`."""
    truth = labels.numpy()
    values = Measures(found, truth).values()
    likelihood = float(np.log(found[np.arange(len(truth)), truth]).mean())
    return np.array([*(values[name] for name in FIGURES[:3]), -likelihood])


def measured(model: ExpressionModel, faces: Faces) -> np.ndarray:
    """`FIGURES`, float `(4,)`, of calibrated answers."""
    return figures(answers(model, faces[0]), faces[1])


def cells(values: np.ndarray) -> str:
    """Figures in a cell of a table."""
    return ", ".join(f"{value:.3f}" for value in values)
