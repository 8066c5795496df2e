"""What framing does to a network: `python experiments/margins.py FERPLUS FE WEIGHTS [WEIGHTS ...]`.

The faces of the validation subset of FERPLUS (a tenth or, for `pretrained` and `pretrained-large`, a twentieth of its
training subset, as in their trainings), and those of five folds of FE, are cut tighter or wider than the network is
used to, as other detectors do. The images end where the face does, so what lies beyond is their mirror image.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fer_lightning.checkpoints.reading import load_model
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import VALIDATION
from fer_lightning.evaluation.measures import Measures
from fer_lightning.model.expression_model import ExpressionModel

SHARES = (0.85, 0.92, 1.0, 1.1, 1.2)
"""Of the side of a face as it is cut in training."""

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")
FOLDS = 5


def framed(images: Tensor, share: float) -> Tensor:
    """Images, uint8 `(n, channels, side, side)`, cut to this share of their side around the middle, as large again."""
    if share == 1:
        return images
    wanted = torch.tensor([[[share, 0, 0], [0, share, 0]]], dtype=torch.float32).expand(len(images), 2, 3)
    grid = F.affine_grid(wanted, list(images.shape), align_corners=False)
    cut = F.grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)
    return cut.round().clamp(0, 255).to(torch.uint8)


def measured(model: ExpressionModel, images: Tensor, labels: Any) -> list[float]:
    """`FIGURES` and the negative log-likelihood."""
    with torch.inference_mode():
        found = torch.cat([model.probabilities(some) for some in images.split(256)]).double().numpy()
    values = Measures(found, labels.numpy()).values()
    return [*(values[name] for name in FIGURES), float(-np.log(found[np.arange(len(labels)), labels]).mean())]


def main(ferplus: str, elsewhere: str, weights: list[str]) -> None:
    """Measure and print."""
    print(f"| weights | share of the side | FER+: {', '.join(FIGURES)}, log-likelihood | facial_expressions |")
    for path in weights:
        model = load_model(path)

        def images(root: str, model: ExpressionModel = model, **options: Any) -> tuple[Tensor, Any]:
            told: dict[str, Any] = {"classes": list(model.class_names), **model.input_spec.to_dict(), **options}
            samples = FERDataModule(root, **told).samples(VALIDATION)
            batch = samples.__getitems__(list(range(len(samples))))
            return batch.images, batch.labels

        own = images(ferplus, split="predefined", val_fraction=0.05 if path.startswith("pretrained") else 0.1)
        folds = [images(elsewhere, split="grouped", fold=fold, folds=FOLDS) for fold in range(FOLDS)]
        for share in SHARES:
            there = np.mean([measured(model, framed(some, share), labels) for some, labels in folds], 0)
            here = measured(model, framed(own[0], share), own[1])
            cells = [", ".join(f"{value:.3f}" for value in values) for values in (here, there)]
            print(f"| {path} | {share:g} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
