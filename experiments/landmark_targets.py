"""Extra targets from landmarks: `python experiments/landmark_targets.py FERPLUS POINTS [--elsewhere FE]`.

POINTS are the points of FERPLUS's faces (experiments/face_mesh.py). They are brought to the same place, size and
direction (in three dimensions, as a head may be turned), so that the face's own shape and its expression are left; its
first principal components are what the network is to tell as well, by a linear layer over the pooled values that is
not kept (multi-task learning, Caruana 1997, https://doi.org/10.1023/A:1007379606734). The recipe is that of
configs/ferplus_fast.yaml; `--weights 0` is that alone. Measured are the validation subset of FERPLUS and, with nothing
adapted, those of five folds of FE. One row for each weight and seed.
"""

from __future__ import annotations

import argparse
import copy
import logging
import time
import warnings
from typing import Any

import numpy as np
import torch
import yaml
from lightning.pytorch import Trainer, seed_everything
from measuring import FIGURES, cells, measured, validation, validation_of_folds
from timm.optim import Muon
from torch import Tensor, nn
from trainings import PROJECT

from fer_lightning.data.augmentation import Augmentation, uniform
from fer_lightning.data.batches import Batch
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import TRAINING
from fer_lightning.networks import CompactResNet
from fer_lightning.training.classifier import ExpressionClassifier
from fer_lightning.training.schedules import WarmupCosine

COMPONENTS = 64
OUTER_EYES, BROW_AND_CHIN = (33, 263), (10, 152)


def aligned(points: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Points `(n, 478, 3)` by the rotation, scale and shift that bring each face closest to `mean` (Umeyama 1991)."""
    faces, mean = points - points.mean(1, keepdims=True), mean - mean.mean(0)
    left, sizes, right = np.linalg.svd(np.einsum("nki,kj->nij", faces, mean))
    signs = np.ones((len(faces), 3))
    signs[:, 2] = np.sign(np.linalg.det(left @ right))
    scale = (sizes * signs).sum(1) / np.square(faces).sum((1, 2))
    return np.einsum("nki,nij->nkj", faces, (left * signs[:, None]) @ right) * scale[:, None, None]


def shape_targets(points: np.ndarray) -> np.ndarray:
    """Standardised components of the shapes, float32 `(n, 2, COMPONENTS)`: as it is, and mirrored."""
    mean = points[0] - points[0].mean(0)
    for _ in range(5):
        mean /= np.sqrt(np.square(mean).sum())
        shapes = aligned(points, mean)
        mean = shapes.mean(0)
    across = mean[OUTER_EYES[1]] - mean[OUTER_EYES[0]]
    down = mean[BROW_AND_CHIN[1]] - mean[BROW_AND_CHIN[0]]
    across /= np.linalg.norm(across)
    down -= across * (across @ down)
    down /= np.linalg.norm(down)
    axes = np.stack([across, down, np.cross(across, down)], 1)
    shapes, mean, flip = shapes @ axes, mean @ axes, np.array([-1, 1, 1])
    mean -= (mean[OUTER_EYES[0]] + mean[OUTER_EYES[1]]) / 2
    partner = np.square(mean[:, None] * flip - mean).sum(2).argmin(1)  # of each point in a face that is mirrored
    both = np.stack([shapes, shapes[:, partner] * flip], 1).reshape(len(shapes), 2, -1)
    both -= both.mean((0, 1))
    _, _, directions = np.linalg.svd(both[::5].reshape(-1, both.shape[2]), full_matrices=False)
    found = both @ directions[:COMPONENTS].T
    return (found / found.std((0, 1))).astype(np.float32)


class WithShape(CompactResNet):
    """A network that keeps its pooled values, with a layer that tells the shape from them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        last: Any = self.head[-1]
        self.shape = nn.Linear(last.in_features, COMPONENTS)
        self.pooled = torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        # A hook that stayed would be copied with the averaged network, and keep the values in the one it was made for.
        hook = self.head[-1].register_forward_pre_hook(lambda _, given: setattr(self, "pooled", given[0]))
        logits = super().forward(images)
        hook.remove()
        return logits


class Taught(ExpressionClassifier):
    """Learns shapes as well: `shapes`, float `(faces, 2, COMPONENTS)`, NaN where there is none."""

    def __init__(self, shapes: Tensor, weight: float, data_seed: int, **options: Any) -> None:
        super().__init__(**options)
        self.shapes, self.weight, self.data_seed = shapes, weight, data_seed

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of the expressions and that of the shapes."""
        loss = super().training_step(batch, batch_idx)
        if not self.weight:
            return loss
        network: Any = self.trained_network
        samples: Any = batch.samples
        turned = uniform(self.data_seed, self.trainer.current_epoch, samples, 1)[:, 0] < 0.5  # as the images were
        targets = self.shapes[samples % len(self.shapes), turned.long()]
        known = targets.isfinite().all(1)
        missed = (network.shape(network.pooled).float() - targets)[known].square().mean()
        total: Tensor = loss + self.weight * missed
        return total


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("points")
    parser.add_argument("--elsewhere", help="a data set that is not trained on")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.5], help="of the extra targets in the loss")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    recipe = yaml.safe_load((PROJECT / "configs" / "ferplus_fast.yaml").read_text())
    kept = np.load(options.points)
    print(f"| weight | seed | set | {', '.join(FIGURES)} | minutes |", flush=True)
    for seed in options.seeds:
        words = copy.deepcopy(recipe["data"])
        augmentation = Augmentation(**words.pop("augmentation"))
        data = FERDataModule(options.data, augmentation=augmentation, seed=seed, **words)
        rows = data.split.rows(TRAINING)
        names = [str(data.split.legend.images[row]).rpartition("/")[2] for row in rows]
        place = {name: number for number, name in enumerate(kept["names"])}
        points = kept["points"][[place[name] for name in names]].astype(np.float64)
        found = np.isfinite(points[:, 0, 0])
        shapes = np.full((len(points), 2, COMPONENTS), np.nan, np.float32)
        shapes[found] = shape_targets(points[found])
        for weight in options.weights:
            started = time.monotonic()
            seed_everything(seed, verbose=False)
            settings = recipe["model"]["optimizer"]["init_args"]
            taught = Taught(
                torch.from_numpy(shapes),
                weight,
                data.seed,
                network=WithShape(**recipe["model"]["network"]["init_args"]),
                data=data.info,
                optimizer=lambda parameters, settings=settings: Muon(parameters, **settings),
                lr_scheduler=lambda optimizer: WarmupCosine(optimizer, warmup=0.05),
                ema_decay=recipe["model"]["ema_decay"],
            )
            trainer = Trainer(
                max_epochs=options.epochs,
                accelerator="cpu",
                precision="bf16-mixed",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(taught, data)
            minutes = (time.monotonic() - started) / 60
            model = taught.model.eval()
            figures = {"own": measured(model, validation(data))}
            if options.elsewhere:
                folds = validation_of_folds(model, options.elsewhere)
                figures["elsewhere"] = np.mean([measured(model, fold) for fold in folds], 0)
            for where, values in figures.items():
                print(f"| {weight:g} | {seed} | {where} | {cells(values)} | {minutes:.1f} |", flush=True)


if __name__ == "__main__":
    main()
