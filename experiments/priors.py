"""What mirror images and class priors do to a network's answers: `python experiments/priors.py DATA [DATA ...]`.

DATA are data sets; those that say what each image is for are divided so, with a twentieth of the training subset for
validation as in configs/ferplus.yaml, others by people. Only images of the validation subsets are measured: this is for
choosing defaults. Each set is measured as it is, and with every class the same number of times (images of rare classes
drawn again), as posed collections are. Priors: `training`, powers of the learned frequencies, `uniform`, and what
`estimate_prior` makes of the unlabelled images in batches of N, which are then answered for it; `+ M` holds it back
with M images that are as in training (the mean of a Dirichlet posterior in each step of the estimate). Figures of
batches are means over several deals of the images, each measured as a whole.
"""

from __future__ import annotations

import argparse
import os
import platform
from typing import Any

import numpy as np
import torch

from fer_lightning.checkpoints.reading import load_model
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import VALIDATION
from fer_lightning.evaluation.measures import Measures
from fer_lightning.inference.estimate_prior import fit_prior

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "nll", "ece")
BATCHES = (50, 200, 1000)
HELD_BACK = (0, 50, 200)
DEALS = 10


def answers_for(prior: np.ndarray, learned: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Answers for a prior, float `(n, c)`, of those for the learned one (Saerens et al. 2002, equation 2.4)."""
    moved: np.ndarray = probabilities * (prior / learned)
    return moved / moved.sum(1, keepdims=True)


def estimated(probabilities: np.ndarray, learned: np.ndarray, images: int) -> np.ndarray:
    """What `fit_prior` finds for the answers, float `(n, c)`, and for so many images more that are as in training."""
    if not images:
        return fit_prior(probabilities, learned).clip(1e-6)
    prior, count = learned, len(probabilities)
    for _ in range(1000):
        found = (answers_for(prior, learned, probabilities).sum(0) + images * learned) / (count + images)
        if np.abs(found - prior).max() < 1e-6:
            break
        prior = found
    return prior


def by_batches(probabilities: np.ndarray, learned: np.ndarray, size: int, images: int, seed: int) -> np.ndarray:
    """Answers in which each batch of about `size` images, dealt at random, is answered for its own estimate."""
    deal = np.random.default_rng(seed).permutation(len(probabilities))
    found = np.empty_like(probabilities)
    for batch in np.array_split(deal, max(round(len(deal) / size), 1)):
        prior = estimated(probabilities[batch], learned, images)
        found[batch] = answers_for(prior, learned, probabilities[batch])
    return found


def row(name: str, several: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """A row of a table: mean figures of several pairs of answers and labels."""
    values = [Measures(answers, labels).values() for answers, labels in several]
    means = [np.mean([one[figure] for one in values]) for figure in FIGURES]
    return f"| {name} | {' | '.join(f'{value:.3f}' for value in means)} |"


def balanced(labels: np.ndarray, seed: int) -> np.ndarray:
    """As many images as there are, every class as often, drawn with replacement."""
    rng, classes = np.random.default_rng(seed), np.unique(labels)
    per_class = len(labels) // len(classes)
    return np.concatenate([rng.choice(np.flatnonzero(labels == label), per_class) for label in classes])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="data sets")
    parser.add_argument("--weights", default="pretrained", help="a checkpoint or exported weights")
    options = parser.parse_args()
    model = load_model(options.weights).eval()
    learned = np.array(model.learned_prior, float)
    print(f"{platform.machine()}, {os.cpu_count()} cores; {options.weights}")
    for root in options.data:
        words: dict[str, Any] = {"classes": list(model.class_names), **model.input_spec.settings()}
        data = FERDataModule(root, **words)
        if data.split.options["rule"] == "predefined":
            data = FERDataModule(root, val_fraction=0.05, **words)
        samples = data.samples(VALIDATION)
        images, targets, *_ = samples.__getitems__(list(range(len(samples))))
        labels = targets.numpy()
        looks = {}
        for name, flip in (("one look", False), ("with the mirror image", True)):
            model.tta_flip = flip
            with torch.inference_mode():
                looks[name] = torch.cat([model.probabilities(some) for some in images.split(256)]).double().numpy()
        counts = ", ".join(f"{name} {(labels == place).sum()}" for place, name in enumerate(model.class_names))
        drawn = [balanced(labels, seed) for seed in range(DEALS)]
        for form, rows in (("as it is", [np.arange(len(labels))]), ("every class as often", drawn)):
            print(f"\n{root}, {len(labels):,} validation images, {form} ({counts})\n")
            print(f"| | {' | '.join(name.replace('_', ' ') for name in FIGURES)} |\n{'| --- ' * 6}|")
            for name, answers in looks.items():
                print(row(f"{name}, training", [(answers[some], labels[some]) for some in rows]))
            plain = looks["one look"]
            powers = {f"learned to the power of {power:g}": learned**power for power in (0.75, 0.5, 0.25)}
            for name, prior in (powers | {"uniform": np.ones_like(learned)}).items():
                moved = answers_for(prior / prior.sum(), learned, plain)
                print(row(name, [(moved[some], labels[some]) for some in rows]))
            for size in BATCHES:
                for held_back in HELD_BACK:
                    several = []
                    for deal in range(DEALS):
                        some = rows[deal % len(rows)]
                        several.append((by_batches(plain[some], learned, size, held_back, deal), labels[some]))
                    name = f"estimated from {size}" + (f" + {held_back}" if held_back else "")
                    print(row(name, several), flush=True)


if __name__ == "__main__":
    main()
