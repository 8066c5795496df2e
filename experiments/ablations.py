"""What each part of the FER+ recipe is worth: `python experiments/ablations.py FERPLUS [--seeds 0 1] [--only NAME]`.

Trains configs/ferplus_fast.yaml for a few epochs on small images, as it is and with one thing changed at a time, with
several seeds, and prints validation figures (the testing part is not touched): mean and standard deviation over the
seeds, and the difference to the recipe with the same seed. One training a core runs at the same time, each with one
thread. Trainings that came to their end are not repeated, so a stopped run goes on where it was.

A short training favours what learns fast: an augmentation that pays in an hour may cost here.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean

from trainings import fit, spread

RECIPE = "recipe"
OPTIMIZER, NETWORK, AUGMENTATION = "--model.optimizer", "--model.network.init_args", "--data.augmentation"
VARIANTS: dict[str, list[str]] = {
    RECIPE: [],
    "AdamW 0.002": [OPTIMIZER, "torch.optim.AdamW", f"{OPTIMIZER}.lr", "0.002", f"{OPTIMIZER}.weight_decay", "0.05"],
    "SGD 0.05": [
        *(OPTIMIZER, "torch.optim.SGD", f"{OPTIMIZER}.lr", "0.05", f"{OPTIMIZER}.momentum", "0.9"),
        *(f"{OPTIMIZER}.nesterov", "true", f"{OPTIMIZER}.weight_decay", "0.0005"),
    ],
    "images not standardised": [f"{NETWORK}.standardize", "false"],
    "last layer normalised": [f"{NETWORK}.head_norm", "true"],
    "labels, not votes": ["--data.soft_labels", "false"],
    "weights not averaged": ["--model.ema_decay", "0"],
    "batches of 64": ["--data.batch_size", "64"],
    "images whole": ["--data.faces", "whole"],
    "no augmentation but mirror images": [
        word
        for name in ("rotation", "scale", "shift", "brightness", "contrast")
        for word in (f"{AUGMENTATION}.{name}", "0")
    ],
    "logit adjustment 0.5": ["--model.loss.logit_adjustment", "0.5"],
    "logit adjustment 1": ["--model.loss.logit_adjustment", "1"],
    "balanced draws 0.5": ["--data.sampling.strength", "0.5"],
    "balanced draws 1": ["--data.sampling.strength", "1"],
    "class weights, effective number": ["--model.loss", "WeightedCrossEntropy", "--model.loss.weighting", "effective"],
    "focal loss, gamma 1": ["--model.loss", "FocalLoss", "--model.loss.gamma", "1"],
    "label smoothing 0.1": ["--model.loss.label_smoothing", "0.1"],
    "mixup 0.2": ["--data.augmentation.mixup", "0.2"],
    "CutMix 1": ["--data.augmentation.cutmix", "1"],
    "random erasing 0.3": [f"{AUGMENTATION}.erasing", "0.3"],
    "blur 0.04, noise 0.1": [f"{AUGMENTATION}.blur", "0.04", f"{AUGMENTATION}.noise", "0.1"],
}
FIGURES = {"accuracy": "val_acc", "balanced accuracy": "val_balanced_acc", "macro-F1": "val_macro_f1"}


def train(name: str, words: list[str], seed: int, options: argparse.Namespace) -> dict[str, float]:
    """The last epoch's figures of one training, and its minutes; trains unless that was done before."""
    run = f"{name} {options.epochs}x{options.size} {seed}".replace(",", "").replace(" ", "_")
    size = ["--data.image_size", str(options.size), f"{AUGMENTATION}.sizes", "[]"]
    words = ["--data.root", options.data, "--trainer.max_epochs", str(options.epochs), *size, *words]
    with open(fit(run, words, seed, options.runs) / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = {figure: float(rows[-1][column]) for figure, column in FIGURES.items()}
    return found | {"minutes": sum(float(row["seconds"]) for row in rows) / 60}


def main() -> None:
    """Train all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the FER+ data set")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--size", type=int, default=32, help="height and width of the images in pixels")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at the same time")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"))
    options = parser.parse_args()
    names = [RECIPE, *(name for name in options.only if name != RECIPE)]
    found: dict[tuple[str, int], dict[str, float]] = {
        (RECIPE, options.seeds[0]): train(RECIPE, [], options.seeds[0], options)
    }
    jobs = [(name, seed) for name in names for seed in options.seeds]
    with ThreadPoolExecutor(options.jobs) as pool:  # the first has filled the cache that all share
        results = pool.map(lambda job: train(job[0], VARIANTS[job[0]], job[1], options), jobs)
        found |= dict(zip(jobs, results, strict=True))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; {options.epochs} epochs, {options.size} pixels; {options.seeds}"
    )
    print(f"\n| changed | {' | '.join(FIGURES)} | accuracy, difference | macro-F1, difference | minutes |")
    print("| --- " * 7 + "|")
    for name in names:
        runs = [found[name, seed] for seed in options.seeds]
        cells = [spread([run[figure] for run in runs]) for figure in FIGURES]
        for figure in ("accuracy", "macro-F1"):
            changes = [run[figure] - found[RECIPE, seed][figure] for run, seed in zip(runs, options.seeds, strict=True)]
            cells.append("" if name == RECIPE else spread(changes, "+"))
        print(f"| {name} | {' | '.join(cells)} | {mean(run['minutes'] for run in runs):.1f} |")


if __name__ == "__main__":
    main()
