"""How faces should be framed: `python experiments/framing.py DATA [--weights pretrained]`.

Frames and sizes the images of a data set in several ways and measures what a network trained elsewhere makes of them:
its own answers, and those of a new last layer over the values before its old one (logistic regression with logit
adjustment, fitted to the training part of each of five identity-disjoint folds). Figures are those of the folds'
validation parts, mean and standard deviation; no testing part is touched.
"""

from __future__ import annotations

import argparse
import os
import platform
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fer_lightning.checkpoints.reading import load_model
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.decoded_cache import decoded, open_decoded
from fer_lightning.data.splits import TRAINING, VALIDATION
from fer_lightning.evaluation.measures import Measures

FRAMINGS: list[dict[str, Any]] = [
    {"faces": "detect", "margin": 0.02, "image_size": 48},
    {"faces": "detect", "margin": 0.0, "image_size": 48},
    {"faces": "detect", "margin": 0.1, "image_size": 48},
    {"faces": "detect", "margin": 0.25, "image_size": 48},
    {"faces": "whole", "image_size": 48},
    {"faces": "detect", "margin": 0.02, "image_size": 40},
    {"faces": "detect", "margin": 0.02, "image_size": 56},
]
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")
FOLDS = 5


def last_layer(values: Tensor, labels: Tensor, start: nn.Linear, adjustment: float) -> nn.Linear:
    """A last layer fitted to `values`, float `(n, width)`, that stays near the one it starts from."""
    layer = nn.Linear(start.in_features, start.out_features)
    layer.load_state_dict(start.state_dict())
    counts = labels.bincount(minlength=start.out_features).clamp(min=0.5)
    offset = adjustment * (counts / counts.sum()).log()
    before = start.weight.detach()
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        found = cross_entropy(layer(values) + offset, labels) + 0.001 * (layer.weight - before).square().sum()
        found.backward()
        return float(found)

    optimizer.step(loss)
    return layer.requires_grad_(False)


def measured(logits: Tensor, labels: Tensor) -> list[float]:
    """`FIGURES` of logits, float `(n, classes)`."""
    values = Measures(logits.softmax(1).double().numpy(), labels.numpy()).values()
    return [values[name] for name in FIGURES]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data set that the network was not trained on")
    parser.add_argument("--weights", default="pretrained", help="a checkpoint or exported weights of CompactResNet")
    parser.add_argument("--adjustment", type=float, default=0.35, help="strength of the logit adjustment")
    options = parser.parse_args()
    model = load_model(options.weights)
    network: Any = model.network
    first, network.head[-1] = network.head[-1], nn.Identity()
    print(f"{platform.machine()}, {os.cpu_count()} cores; {options.weights} on {options.data}")
    names = [name.replace("_", " ") for name in FIGURES]
    heads = [f"{whose}: {name}" for whose in ("as it is", "new last layer") for name in names]
    rows = [f"| faces | pixels | {' | '.join(heads)} |", "| --- " * 8 + "|"]
    for framing in FRAMINGS:
        spec = {**model.input_spec.settings(), **framing}
        words: dict[str, Any] = {"classes": list(model.class_names), "split": "grouped", **spec}
        data = FERDataModule(options.data, **words)
        everything = np.arange(len(data.legend))
        cache = decoded(data.legend, data.input_spec, data.subsets.folder, "framing", everything)
        pixels = torch.from_numpy(np.array(open_decoded(cache)))
        with torch.inference_mode():
            values = torch.cat([model(some) for some in pixels.split(256)]).clone()
        labels = torch.from_numpy(data.legend.labels).long()
        found = []
        for fold in range(FOLDS):
            split = FERDataModule(options.data, fold=fold, folds=FOLDS, **words).split
            subsets = torch.from_numpy(np.array(split.subsets))
            fitted, held_out = subsets == TRAINING, subsets == VALIDATION
            layer = last_layer(values[fitted], labels[fitted], first, options.adjustment)
            with torch.no_grad():
                answers = [each(values[held_out]) for each in (first, layer)]
            found.append([figure for logits in answers for figure in measured(logits, labels[held_out])])
        table = np.array(found)
        framed = f"{framing['faces']}, margin {framing['margin']:g}" if "margin" in framing else framing["faces"]
        cells = [f"{mean:.3f} ± {std:.3f}" for mean, std in zip(table.mean(0), table.std(0, ddof=1), strict=True)]
        rows.append(f"| {framed} | {framing['image_size']} | {' | '.join(cells)} |")
    print("\n" + "\n".join(rows))


if __name__ == "__main__":
    main()
