"""How weights answer for faces by their box, aligned and both.

    python experiments/by_box_or_aligned.py FERPLUS FE WEIGHTS ... [--tta_flip] [--corrupted]

The faces of the validation subset of FERPLUS, and those of five folds of FE, are cut out by their box, and aligned;
`both` is the mean of the answers to the two. With `--corrupted`, the images of FERPLUS are corrupted before faces are
looked for in them, as they would come from a bad camera, by the second strength of each corruption of
experiments/corruptions.py. With `--tta_flip` every answer is the mean of a face and its mirror image.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from corruptions import CORRUPTIONS
from measuring import FIGURES, Faces, answers, cells, figures, validation_for, validation_of_folds
from PIL import Image
from torchvision.transforms import functional as F  # noqa: N812 (torch's own documentation calls it F)

from fer_lightning.checkpoints.reading import load_model
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.image_files import read_image
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.splits import VALIDATION
from fer_lightning.model.expression_model import ExpressionModel

HELD_OUT = 0.05
"""What the trainings of configs/ferplus.yaml and ferplus_large.yaml validate on, of FERPLUS's training subset."""

LOOKS = ("by the box", "aligned")


def twice(model: ExpressionModel) -> list[InputSpec]:
    """How a model wants its images, for `LOOKS`."""
    return [replace(model.input_spec, faces="detect", align=align) for align in (False, True)]


def rows(model: ExpressionModel, looks: list[list[Faces]]) -> list[np.ndarray]:
    """`FIGURES` for each look and for both, float `(4,)`, means over the subsets that each look has."""
    found = [[answers(model, images) for images, _ in subsets] for subsets in looks]
    both = [(one + other) / 2 for one, other in zip(*found, strict=True)]
    labels = [labels for _, labels in looks[0]]
    return [np.mean([figures(*each) for each in zip(one, labels, strict=True)], 0) for one in (*found, both)]


def plain(model: ExpressionModel, ferplus: str, elsewhere: str) -> list[list[np.ndarray]]:
    """`rows` on the validation subset of FERPLUS and on those of the folds of the other one."""
    here, there, own = [], [], model.input_spec
    for spec in twice(model):
        model.input_spec = spec
        here.append([validation_for(model, ferplus, split="predefined", val_fraction=HELD_OUT)])
        there.append(validation_of_folds(model, elsewhere))
    model.input_spec = own
    return [rows(model, here), rows(model, there)]


def corrupted(specs: list[InputSpec], ferplus: str, name: str, classes: list[str]) -> list[list[Faces]]:
    """The validation subset, corrupted, in each look."""
    change, strengths = CORRUPTIONS[name]
    split = FERDataModule(ferplus, classes=classes, split="predefined", val_fraction=HELD_OUT).split
    chosen = split.rows(VALIDATION)
    found: list[list[torch.Tensor]] = [[] for _ in specs]
    for row in chosen:
        image = read_image(split.legend.image_dir / split.legend.images[row]).convert("RGB")
        worse = cast(Image.Image, F.to_pil_image(change(F.pil_to_tensor(image)[None], strengths[1])[0]))
        faces = find_faces(worse, specs[0].detector)[:1]
        for images, spec in zip(found, specs, strict=True):
            images.append(spec.prepare(worse, faces[0] if faces else None))
    labels = torch.from_numpy(split.legend.labels[chosen]).long()
    return [[(torch.stack(images), labels)] for images in found]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ferplus", help="FER+")
    parser.add_argument("elsewhere", help="facial_expressions")
    parser.add_argument("weights", nargs="+", help="checkpoints, exported files, pretrained or pretrained-large")
    parser.add_argument("--tta_flip", action="store_true", help="average mirror images")
    parser.add_argument("--corrupted", action="store_true", help="corrupt images before faces are found")
    options = parser.parse_args()
    models = {path: load_model(path).eval() for path in options.weights}
    for model in models.values():
        model.tta_flip = options.tta_flip
    if not options.corrupted:
        print(f"| weights | faces | FER+: {', '.join(FIGURES)} | facial_expressions |", flush=True)
        for path, model in models.items():
            here, there = plain(model, options.ferplus, options.elsewhere)
            for look, one, other in zip((*LOOKS, "both"), here, there, strict=True):
                print(f"| {path} | {look} | {cells(one)} | {cells(other)} |", flush=True)
        return
    first = next(iter(models.values()))
    if any(twice(model) != twice(first) for model in models.values()):
        raise SystemExit("With --corrupted, all weights have to take images of one size.")
    heads = [f"{look}: {', '.join(FIGURES)}" for look in LOOKS]
    print(f"| corrupted | weights | {' | '.join(heads)} |", flush=True)
    for name in CORRUPTIONS:
        looks = corrupted(twice(first), options.ferplus, name, list(first.class_names))
        for path, model in models.items():
            values = rows(model, looks)[: len(LOOKS)]
            print(f"| {name} {CORRUPTIONS[name][1][1]:g} | {path} | {' | '.join(map(cells, values))} |", flush=True)


if __name__ == "__main__":
    main()
