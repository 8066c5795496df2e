"""How much a checkpoint suffers from worse pictures: `python experiments/corruptions.py CKPT DATA [--option value]`.

CKPT is a checkpoint, an exported file or `pretrained`, DATA a data set; further options are those of FERDataModule, as
`--split predefined`. The images of the testing part are corrupted as in ImageNet-C (arXiv 1903.12261), with the
corruptions that make sense for faces and strengths that fit the network's input size, in three steps each. Printed are
accuracy and macro-F1 and the ratio of the accuracy to that on clean images.
"""

from __future__ import annotations

import io
import os
import platform
import sys
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as F  # noqa: N812

from fer_lightning.checkpoints.reading import load_model
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.evaluation.measures import Measures


def jpeg(images: Tensor, quality: int) -> Tensor:
    """Images compressed as JPEG and decoded again."""
    found = []
    for image in images:
        stream = io.BytesIO()
        F.to_pil_image(image).save(stream, "JPEG", quality=quality)
        found.append(F.pil_to_tensor(Image.open(stream)))
    return torch.stack(found)


def smaller(images: Tensor, share: float) -> Tensor:
    """Images shrunk and enlarged again."""
    side = images.shape[-1]
    return F.resize(F.resize(images, [round(side * share)] * 2, antialias=True), [side, side], antialias=True)


def noisy(images: Tensor, deviation: float) -> Tensor:
    """Images with normal noise, always the same."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)) * deviation * 255
    return (images + noise).round().clamp(0, 255).to(torch.uint8)


def turned(images: Tensor, angle: float) -> Tensor:
    """Images turned; the corners are filled with the image's mean."""
    fill = images.float().mean((0, 2, 3)).tolist()
    return F.rotate(images, angle, F.InterpolationMode.BILINEAR, fill=fill)


CORRUPTIONS: dict[str, tuple[Callable[[Tensor, float], Tensor], list[float]]] = {
    "darker (factor)": (F.adjust_brightness, [0.7, 0.5, 0.3]),
    "lighter (factor)": (F.adjust_brightness, [1.3, 1.6, 2.0]),
    "less contrast (factor)": (F.adjust_contrast, [0.6, 0.4, 0.25]),
    "Gaussian blur (pixels)": (lambda images, sigma: F.gaussian_blur(images, 9, sigma), [0.7, 1.2, 2.0]),
    "Gaussian noise (deviation)": (noisy, [0.03, 0.07, 0.12]),
    "JPEG (quality)": (lambda images, quality: jpeg(images, int(quality)), [40, 20, 10]),
    "smaller (share of the side)": (smaller, [0.6, 0.4, 0.25]),
    "turned (degrees)": (turned, [5, 10, 20]),
}


def main(path: str, root: str, words: list[str]) -> None:
    """Measure and print."""
    model = load_model(path)
    options = dict(zip([word.removeprefix("--") for word in words[::2]], words[1::2], strict=True))
    data = FERDataModule(root, classes=list(model.class_names), **model.input_spec.settings(), **options)  # type: ignore[arg-type]
    samples = data.samples(2)
    images, labels, *_ = samples.__getitems__(list(range(len(samples))))

    def figures(change: Callable[[Tensor], Tensor]) -> tuple[float, float]:
        with torch.inference_mode():
            answers = [model(change(some)).softmax(1) for some in images.split(256)]
        found = Measures(torch.cat(answers).double().numpy(), labels.numpy())
        values = found.values()
        return float(values["accuracy"]), float(values["macro_f1"])

    clean = figures(lambda some: some)
    print(f"{platform.machine()}, {os.cpu_count()} cores; {path} on {len(labels):,} test images of {root}")
    print(
        f"{'':<30}{'accuracy':>9}{'macro-F1':>10}{'ratio':>7}\n{'clean':<30}{clean[0]:>9.3f}{clean[1]:>10.3f}{1:>7.2f}"
    )
    for name, (change, strengths) in CORRUPTIONS.items():
        for strength in strengths:
            accuracy, f1 = figures(lambda some, by=strength, how=change: how(some, by))
            row = f"{name} {strength:g}"
            print(f"{row:<30}{accuracy:>9.3f}{f1:>10.3f}{accuracy / clean[0]:>7.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
