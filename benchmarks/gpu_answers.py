"""Steps of `gpu.py`: whether answers are those of the CPU, and how fast they come."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from gpu_report import Report, Setting
from gpu_training import changes

from fer_lightning.data.augmentation import Moment, uniform
from fer_lightning.inference.model import answers_of, open_model
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.model.expression_model import ExpressionModel

BOUNDS = {"single": 1e-4, "single, TF32 convolutions": 5e-3, "bfloat16": 5e-2}
"""Largest difference of a probability from the CPU's that is taken for the same."""


def numbers(setting: Setting, report: Report) -> None:
    """The same weights on the same images, here and on the CPU."""
    model = open_model("pretrained", "cpu")
    images = faces(setting, model, 64 if setting.small else 1024)
    expected = torch.from_numpy(answers_of(model, images, 256))
    there = copy.deepcopy(model).to(setting.device)
    kinds: list[tuple[str, bool, bool]] = [("single", False, False), ("bfloat16", True, True)]
    if setting.on_gpu:
        kinds.insert(1, ("single, TF32 convolutions", True, False))
    usual = torch.backends.cudnn.allow_tf32
    for name, rough, half in kinds:
        torch.backends.cudnn.allow_tf32 = rough
        with torch.autocast(setting.device.type, torch.bfloat16, enabled=half):
            found = torch.from_numpy(answers_of(there, images, 256))
        apart = (found - expected).abs().max().item()
        same = (found.argmax(1) == expected.argmax(1)).float().mean().item()
        figures = {"largest_difference": apart, "bound": BOUNDS[name], "equal_labels": same}
        report.add(f"probabilities, {name}", **figures, within=apart <= BOUNDS[name])
    torch.backends.cudnn.allow_tf32 = usual
    samples = torch.arange(len(images))
    here, device = (uniform(3, 5, one, 14).cpu() for one in (samples, samples.to(setting.device)))
    report.add("random numbers of (seed, epoch, sample)", equal_bit_by_bit=torch.equal(here, device))
    change, pixels, moment = changes("ferplus"), torch.from_numpy(images), Moment(3, 5)
    moved = [change(pixels.to(place), samples.to(place), moment).cpu() for place in ("cpu", setting.device)]
    apart = (moved[0] - moved[1]).abs()
    report.add("augmented images, 0..255", largest_difference=apart.max().item(), mean=apart.mean().item())


def faces(setting: Setting, model: ExpressionModel, count: int) -> np.ndarray:
    """Drawn faces as a model's input, uint8 `(n, channels, size, size)`, repeated where there are too few."""
    files = sorted((setting.drawn() / "images").iterdir())
    spec = ExpressionRecognizer(model, faces="whole").input_spec
    few = [spec.load(path).numpy() for path in files[: min(count, 640)]]
    return np.stack([few[number % len(few)] for number in range(count)])


def evaluation(setting: Setting, report: Report) -> None:
    """Images a second of the network alone, and of ExpressionRecognizer with arrays and files of whole faces."""
    model = open_model("pretrained", "cpu")
    count = 256 if setting.small else 8192
    pixels = faces(setting, model, count)
    files = sorted((setting.drawn() / "images").iterdir())
    for device in dict.fromkeys(["cpu", str(setting.device)]):
        report.left(10)
        some = pixels if device != "cpu" else pixels[: count // 4]
        rates: dict[str, float] = {}
        there = copy.deepcopy(model).to(device)
        for batch in (64, 1024):
            answers_of(there, some[:batch], batch)
            rates[f"network_alone_batch_{batch}"] = rate_of(len(some), partial(answers_of, there, some, batch))
        recognizer = ExpressionRecognizer(model, faces="whole", device=device)
        arrays = list(some[: count // 4, 0])
        recognizer.predict(arrays[:8])
        rates["arrays"] = rate_of(len(arrays), partial(recognizer.predict, arrays))
        given = [str(path) for path in files] * (1 if setting.small else 4)
        rates["files"] = rate_of(len(given), partial(recognizer.predict, given))
        report.add(f"{device}, images a second", **rates)


def rate_of(count: int, act: Callable[[], Any]) -> float:
    """How many a second."""
    begun = time.perf_counter()
    act()
    return count / (time.perf_counter() - begun)
