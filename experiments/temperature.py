"""At which temperature confidence holds for other pictures, too: `python experiments/temperature.py FERPLUS [FE]`.

FERPLUS is the data set that the weights are of, FE another one, of which they have seen nothing. The temperature is
fitted to validation images of FERPLUS that are changed at random, in a share of the strength that the training of the
weights changed its images in: a validation set that is disturbed stands for pictures from elsewhere (Tomani et al.
2021, arXiv 2012.10988). Prints what each share gives: on FERPLUS's validation subset as it is, and over all of FE. No
image of FE is used to fit anything.

With --tta_flip the weights answer with the mean of an image and its mirror image. With --output, writes the weights
with the temperature of the whole strength, the thresholds that go with it, and what `test` measures on FERPLUS's
testing subset.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from fer_lightning.checkpoints.finding import find_checkpoint
from fer_lightning.checkpoints.reading import load_model, read_checkpoint
from fer_lightning.checkpoints.weights import save_weights
from fer_lightning.data.augmentation import Augmentation, Moment
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.decoded_cache import decoded, open_decoded
from fer_lightning.data.splits import TESTING, VALIDATION
from fer_lightning.evaluation.measures import Measures
from fer_lightning.model.calibration import fit_temperature, stored_curve
from fer_lightning.program import run_in_process
from fer_lightning.reports.model_card import measured_in

RECIPE = Path(__file__).resolve().parent.parent / "configs" / "ferplus_large.yaml"
"""How the images of both weights were changed in their training."""

STRONG = {"contrast": 0.4, "blur": 0.04, "noise": 0.1, "erasing": 0.3}
"""What experiments/distilled.sh says otherwise for the small ones."""

SHARES = (0.0, 0.5, 1.0)
DRAWS = 4
FOLDS = 5
FIGURES = ("nll", "ece")


def logits_of(model: Any, images: Tensor) -> Tensor:
    """Logits, float `(n, classes)`, of faces, uint8 `(n, channels, h, w)`."""
    with torch.inference_mode():
        return torch.cat([model(some) for some in images.split(256)]).clone()


def strengths_of(strong: bool) -> dict[str, float]:
    """How much images are changed in the training of the large weights, or of the small ones."""
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["data"]["augmentation"]
    strengths = {name: value for name, value in recipe.items() if name not in ("flip", "cooldown")}
    return strengths | (STRONG if strong else {})


def changed(images: Tensor, strengths: dict[str, float], share: float, draw: int) -> Tensor:
    """The images, uint8, changed at random in a share of the strengths of a training."""
    augmentation = Augmentation(**{name: share * value for name, value in strengths.items()})
    found = augmentation(images, torch.arange(len(images)), Moment(seed=draw, epoch=0))
    return found.round().clamp(0, 255).to(torch.uint8)


def elsewhere(root: str, model: Any, words: dict[str, Any]) -> tuple[Tensor, np.ndarray, list[np.ndarray]]:
    """Logits and labels of all images of a data set, and which are tested in each of its folds."""
    data = FERDataModule(root, split="grouped", **words)
    everything = np.arange(len(data.legend))
    cache = decoded(data.legend, data.input_spec, data.subsets.folder, "temperature", everything)
    logits = logits_of(model, torch.from_numpy(np.array(open_decoded(cache))))
    split = {"split": "grouped", "folds": FOLDS, **words}
    subsets = [np.array(FERDataModule(root, fold=fold, **split).split.subsets) for fold in range(FOLDS)]
    return logits, np.array(data.legend.labels), [np.flatnonzero(one == TESTING) for one in subsets]


def figures(logits: Tensor, labels: np.ndarray, subsets: list[np.ndarray], temperature: float) -> list[float]:
    """`FIGURES`, means over subsets."""
    answers = (logits.double() / temperature).softmax(1).numpy()
    values = [Measures(answers[some], labels[some]).values() for some in subsets]
    return [float(np.mean([one[name] for one in values])) for name in FIGURES]


def main() -> None:
    """Fit, measure and print; write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("own", help="FER+, with the split that its files say")
    parser.add_argument("other", nargs="?", help="another data set")
    parser.add_argument("--weights", default="pretrained", help="a checkpoint, or exported weights")
    parser.add_argument("--strong", action="store_true", help="they were trained with strong augmentation")
    parser.add_argument("--tta_flip", action="store_true", help="average mirror images, and let them say so")
    parser.add_argument("--output", type=Path, help="a file for the weights with that temperature")
    options = parser.parse_args()
    path, strengths = find_checkpoint(options.weights), strengths_of(options.strong)
    model = load_model(path).eval()
    model.tta_flip = model.tta_flip or options.tta_flip
    words: dict[str, Any] = {"classes": list(model.class_names), **model.input_spec.settings()}
    data = FERDataModule(options.own, split="predefined", val_fraction=0.05, **words)
    samples = data.samples(VALIDATION)
    images, targets, *_ = samples.__getitems__(list(range(len(samples))))
    labels, plain = targets.numpy(), logits_of(model, images)

    measured: dict[str, Any] = {"own validation subset": (plain, labels, [np.arange(len(labels))])}
    if options.other:
        logits, truth, folds = elsewhere(options.other, model, words)
        measured["other, all images"] = (logits, truth, [np.arange(len(truth))])
        measured["other, mean of five folds"] = (logits, truth, folds)
    print(f"{platform.machine()}, {os.cpu_count()} cores; {options.weights}, now {float(model.temperature):.3f}\n")
    heads = ["strength of changes", "accuracy on them", "temperature"]
    heads += [f"{name}: {figure}" for name in measured for figure in FIGURES]
    print(f"| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|")
    fitted = {}
    for share in SHARES:
        pool = [logits_of(model, changed(images, strengths, share, draw)) for draw in range(DRAWS if share else 1)]
        several, same = torch.cat(pool), targets.repeat(len(pool))
        fitted[share] = temperature = fit_temperature(several, same)
        accuracy = float((several.argmax(1) == same).float().mean())
        row = [value for one in measured.values() for value in figures(*one, temperature)]
        cells = [f"{value:.3f}" for value in (accuracy, temperature, *row)]
        print(f"| {share:g} | {' | '.join(cells)} |", flush=True)
    if options.output:
        info, state = read_checkpoint(path)
        answers = (plain / fitted[1.0]).softmax(1)
        curve = stored_curve(answers.max(1).values.double().numpy(), answers.argmax(1).numpy() == labels)
        info = replace(info, temperature=fitted[1.0], risk_curve=curve, tta_flip=model.tta_flip)
        save_weights(info, state, options.output)
        with tempfile.TemporaryDirectory() as folder:
            test = ["test", "--name", "x", "--runs_dir", folder, "--ckpt_path", str(options.output)]
            run_in_process([*test, "--data.root", options.own, "--data.split", "predefined"])
            tested = measured_in(Path(folder, "x"), options.output)
        again = (
            f"test --ckpt_path {Path(options.output).stem} --data.root {Path(options.own).name} --data.split predefined"
        )
        tested["how"]["command"] = f"python -m fer_lightning {again}"  # of no folder of this machine
        save_weights(replace(info, measured=tested), state, options.output)
        print(f"Written {options.output}")


if __name__ == "__main__":
    main()
