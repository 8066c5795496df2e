"""What to train on: `python experiments/data_choices.py FE FERPLUS [--suspects suspects.csv]`.

Trains the network and optimiser of configs/ferplus_fast.yaml for a few epochs on small images, from scratch: on each
data set alone, on both at once, on one from the weights learned on the other; on facial_expressions (FE) also in color,
on images taken whole, with a wide margin, with larger images, and without the images whose label is in doubt. Prints
figures of the validation parts, which are the same images in every row of a table (nobody in them is in training; the
testing parts are not touched): mean and standard deviation over the seeds.

`audit --data.root FE --predictions runs/NAME/fold*/test/predictions.csv` writes suspects.csv, after a `crossval`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from trainings import command, fit, spread

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")
FE, FERPLUS = "FE", "FER+"


@dataclass(frozen=True)
class Choice:
    """One row: what is trained on what, and what it is measured on."""

    name: str
    train: tuple[str, ...]
    measure: tuple[str, ...]
    words: list[str] = field(default_factory=list)
    started_from: str | None = None


ALONE = {FE: f"{FE} alone", FERPLUS: f"{FERPLUS} alone"}
CHOICES = [
    Choice(ALONE[FE], (FE,), (FE, FERPLUS)),
    Choice(ALONE[FERPLUS], (FERPLUS,), (FERPLUS, FE)),
    Choice("both at once", (FERPLUS, FE), (FE, FERPLUS)),
    Choice("FE, weights of FER+", (FE,), (FE,), started_from=ALONE[FERPLUS]),
    Choice("FER+, weights of FE", (FERPLUS,), (FERPLUS,), started_from=ALONE[FE]),
    Choice("FE, color", (FE,), (FE,), ["--data.color", "rgb"]),
    Choice("FE, images whole", (FE,), (FE,), ["--data.faces", "whole"]),
    Choice("FE, margin 0.25", (FE,), (FE,), ["--data.margin", "0.25"]),
    Choice("FE, 32 pixels", (FE,), (FE,), ["--data.image_size", "32"]),
    Choice("FE, without suspects", (FE,), (FE,)),
]
SUSPECTS = CHOICES[-1]


def train(choice: Choice, seed: int, options: argparse.Namespace) -> Path:
    """The folder of one training."""
    roots = {FE: str(options.fe), FERPLUS: str(options.ferplus)}
    words = ["--data.root", json.dumps([roots[name] for name in choice.train])]
    words += ["--trainer.max_epochs", str(options.fe_epochs if choice.train == (FE,) else options.epochs)]
    words += ["--data.image_size", str(options.size), "--data.augmentation.progressive_sizes", "[]"]
    if choice.train == (FE,):
        words += ["--data.split", "grouped", "--data.soft_labels", "false"]
    if choice.started_from is not None:
        start = next(other for other in CHOICES if other.name == choice.started_from)
        words += ["--model.fine_tuning.weights", str(train(start, seed, options) / "checkpoints" / "best.ckpt")]
    if choice is SUSPECTS:
        words += ["--data.exclude", options.suspects]
    return fit(_folder(choice, seed, options), [*words, *choice.words], seed, options.runs)


def measure(choice: Choice, seed: int, on: str, options: argparse.Namespace) -> list[float]:
    """The figures of one training on the validation part of one data set."""
    checkpoint = train(choice, seed, options) / "checkpoints" / "best.ckpt"
    name = f"{_folder(choice, seed, options)}_on_{on}"
    report = options.runs / name / "validate" / "metrics.json"
    if not report.is_file():
        root, split = (options.fe, "grouped") if on == FE else (options.ferplus, "predefined")
        words = ["--name", name, "--runs_dir", str(options.runs), "--ckpt_path", str(checkpoint)]
        words += ["--data.root", str(root), "--data.split", split, "--data.exclude", "null"]
        command("validate", words)
    found = json.loads(report.read_text())["metrics"]
    return [found[figure]["value"] for figure in FIGURES]


def _folder(choice: Choice, seed: int, options: argparse.Namespace) -> str:
    epochs = options.fe_epochs if choice.train == (FE,) else options.epochs
    about = f" {hashlib.sha256(Path(options.suspects).read_bytes()).hexdigest()[:6]}" if choice is SUSPECTS else ""
    return f"{choice.name}{about} {epochs}x{options.size} {seed}".replace(",", "").replace(" ", "_")


def main() -> None:
    """Train all and print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fe", type=Path, help="the facial_expressions data set")
    parser.add_argument("ferplus", type=Path, help="the FER+ data set")
    parser.add_argument("--suspects", help="the images whose label is in doubt; without it, that row is left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=3, help="wherever FER+ is trained on")
    parser.add_argument("--fe_epochs", type=int, default=7, help="on FE alone: about as many steps")
    parser.add_argument("--size", type=int, default=24, help="height and width of the images in pixels")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at the same time")
    parser.add_argument("--runs", type=Path, default=Path("runs/data_choices"))
    options = parser.parse_args()
    choices = [choice for choice in CHOICES if options.suspects or choice is not SUSPECTS]
    choices.sort(key=lambda choice: choice.started_from is not None)  # what others start from comes first
    with ThreadPoolExecutor(options.jobs) as pool:
        for group in (False, True):
            jobs = [(c, seed) for c in choices for seed in options.seeds if (c.started_from is not None) == group]
            list(pool.map(lambda job: train(job[0], job[1], options), jobs))
        wanted = [(c, on, seed) for on in (FE, FERPLUS) for c in choices if on in c.measure for seed in options.seeds]
        figures = list(pool.map(lambda job: measure(job[0], job[2], job[1], options), wanted))
    found = {(c.name, on, seed): row for (c, on, seed), row in zip(wanted, figures, strict=True)}
    epochs = f"{options.epochs} epochs ({options.fe_epochs} on FE alone)"
    print(f"{platform.machine()}, {os.cpu_count()} cores; {epochs}, {options.size} pixels; seeds {options.seeds}")
    for on in (FE, FERPLUS):
        print(f"\n| {on}, validation part | {' | '.join(FIGURES)} |\n{'| --- ' * 4}|")
        for choice in CHOICES:
            if (choice.name, on, options.seeds[0]) in found:
                runs = [found[choice.name, on, seed] for seed in options.seeds]
                print(f"| {choice.name} | {' | '.join(spread(list(values)) for values in zip(*runs, strict=True))} |")


if __name__ == "__main__":
    main()
