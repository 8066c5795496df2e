"""What framing does to a network: `python experiments/margins.py FERPLUS FE WEIGHTS [WEIGHTS ...]`.

The faces of the validation subset of FERPLUS (a tenth or, for `pretrained` and `pretrained-large`, a twentieth of its
training subset, as in their trainings), and those of five folds of FE, are cut tighter or wider than the network is
used to, as other detectors do. The images end where the face does, so what lies beyond is their mirror image.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from measuring import FIGURES, cells, measured, validation_for, validation_of_folds
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (torch's own documentation calls it F)

from fer_lightning.checkpoints.reading import load_model

SHARES = (0.85, 0.92, 1.0, 1.1, 1.2)
"""Of the side of a face as it is cut in training."""


def framed(images: Tensor, share: float) -> Tensor:
    """Images, uint8 `(n, channels, side, side)`, cut to this share of their side around the middle, as large again."""
    if share == 1:
        return images
    wanted = torch.tensor([[[share, 0, 0], [0, share, 0]]], dtype=torch.float32).expand(len(images), 2, 3)
    grid = F.affine_grid(wanted, list(images.shape), align_corners=False)
    cut = F.grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)
    return cut.round().clamp(0, 255).to(torch.uint8)


def main(ferplus: str, elsewhere: str, weights: list[str]) -> None:
    """Measure and print."""
    print(f"| weights | share of the side | FER+: {', '.join(FIGURES)} | facial_expressions |")
    for path in weights:
        model = load_model(path)
        held_out = 0.05 if path.startswith("pretrained") else 0.1
        images, labels = validation_for(model, ferplus, split="predefined", val_fraction=held_out)
        folds = validation_of_folds(model, elsewhere)
        for share in SHARES:
            here = measured(model, (framed(images, share), labels))
            there = np.mean([measured(model, (framed(some, share), theirs)) for some, theirs in folds], 0)
            print(f"| {path} | {share:g} | {cells(here)} | {cells(there)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
