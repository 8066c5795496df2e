"""Steps of `gpu.py`: images a second in training, ours against a bare loop."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from gpu_report import OutOfTimeError, Report, Setting
from lightning.pytorch import Callback, Trainer
from torch.nn.functional import cross_entropy

from fer_lightning.data.augmentation import Augmentation
from fer_lightning.data.batches import FaceSamples, ReadDecoded
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.legend import EXPRESSIONS, Legend, ranks_of
from fer_lightning.data.sources import DataSource
from fer_lightning.training.callbacks.per_step_seed import PerStepSeed
from fer_lightning.training.classifier import ExpressionClassifier

PROJECT = Path(__file__).resolve().parents[1]
RECIPES = {"seed": "default", "ferplus": "ferplus"}


class Noise(DataSource):
    """So many rows about random images, which stand in no files."""

    name = "noise"
    class_names = EXPRESSIONS

    def __init__(self, folder: Path, count: int, measured: int = 64) -> None:
        self.folder, self.count, self.measured = folder, count, measured

    def read(self) -> Legend:
        """Make the legend."""
        total = self.count + 2 * self.measured
        votes = np.random.default_rng(0).integers(1, 10, (total, len(EXPRESSIONS))).astype(np.float32)
        labels = votes.argmax(1)
        names = [f"{number}.png" for number in range(total)]
        ranks, rows = ranks_of(labels, len(EXPRESSIONS)), np.bincount(labels, minlength=len(EXPRESSIONS))
        declared = np.repeat(np.arange(3, dtype=np.int8), [self.count, self.measured, self.measured])
        users = [""] * total
        return Legend(
            self.folder, self.folder, names, labels, EXPRESSIONS, users, ranks, rows, declared, None, votes, ()
        )


class CachedNoise(FERDataModule):
    """The project's data module over a cache that is there already: nothing has to be decoded, all else is its own."""

    def __init__(self, setting: Setting, still: bool = False, **options: Any) -> None:
        super().__init__(source=Noise(setting.place, setting.images), split="predefined", **options)
        self.still = still
        self.subsets = setting.subsets.setdefault((self.image_size, self.subsets.soft_labels), self.subsets)
        side = self.image_size
        self.cache_file = setting.place / f"noise_{side}.npy"
        if not self.cache_file.is_file():
            chance = np.random.default_rng(0)
            np.save(self.cache_file, chance.integers(0, 256, (setting.images, 1, side, side), np.uint8))

    def prepare_data(self) -> None:
        """Nothing is left to do."""

    def samples(self, subset: int) -> FaceSamples:
        """A subset; measured ones are a few of the same images. With `still`, every batch is the first one."""
        rows = self.split.rows(subset)
        read = ReadDecoded(self.cache_file, np.arange(len(rows)))
        first = read(list(range(min(self.batch_size, len(rows))))) if self.still else None
        gather = read if first is None else (lambda asked: first[: len(asked)])
        targets = torch.from_numpy(self.split.legend.vote_distribution(rows)) if self.subsets.soft_labels else None
        return FaceSamples(self.split.legend.labels[rows], gather, targets)


def recipe(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a recipe says about its model and data."""
    said = yaml.safe_load((PROJECT / "configs" / f"{RECIPES[name]}.yaml").read_text())
    return said["model"], said["data"]


def made(said: dict[str, Any], *given: Any, **more: Any) -> Any:
    """The object that a class path and its arguments stand for."""
    module, _, name = said["class_path"].rpartition(".")
    return getattr(import_module(module), name)(*given, **said.get("init_args", {}) | more)


def changes(name: str) -> Augmentation:
    """A recipe's augmentation, at the full size of its images."""
    said = recipe(name)[1]["augmentation"]
    said = said.get("init_args", {}) if "class_path" in said else said
    return Augmentation(**{key: value for key, value in said.items() if key != "progressive_sizes"})


def network_of(name: str) -> tuple[torch.nn.Module, Callable[..., torch.optim.Optimizer]]:
    """A recipe's network for its images, and what makes its optimizer."""
    torch.manual_seed(0)
    model, data = recipe(name)
    network = made(model["network"], num_classes=len(EXPRESSIONS), in_channels=1, image_size=data["image_size"])
    return network, partial(made, model["optimizer"])


class Clock(Callback):
    """Measures images a second after some batches to warm up, then ends the training."""

    def __init__(self, setting: Setting, seconds: float | None = None) -> None:
        self.setting, self.seconds = setting, seconds or setting.seconds
        self.steps = self.images = 0
        self.begun = self.rate = 0.0

    def count(self, images: int) -> bool:
        """Count a batch; whether that is enough."""
        self.steps += 1
        self.images += images
        if self.steps == self.setting.warm:
            self.setting.wait()
            self.begun, self.images = time.perf_counter(), 0
        over = self.begun and time.perf_counter() - self.begun > self.seconds
        if over and self.steps >= self.setting.warm + self.setting.least and not self.rate:
            self.setting.wait()
            self.rate = self.images / (time.perf_counter() - self.begun)
        return bool(self.rate)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count."""
        trainer.should_stop = self.count(len(batch.labels))


def ours(
    setting: Setting,
    name: str,
    batch: int,
    whole: bool = False,
    bar: bool = True,
    seed: bool = True,
    figures: bool = True,
    layout: bool = True,
    compiled: bool = False,
    **data_options: Any,
) -> float:
    """Images a second of the Trainer with the data module; `whole` adds what else the recipe has to its network."""
    model, said = recipe(name)
    network, optimizer = network_of(name)
    options: dict[str, Any] = {}
    if whole:
        data_options |= {"augmentation": changes(name), "soft_labels": said.get("soft_labels", False)}
        options = {"ema_decay": model.get("ema_decay", 0.0)}
        if "lr_scheduler" in model:
            options["lr_scheduler"] = partial(made, model["lr_scheduler"])
    data = CachedNoise(setting, batch_size=batch, image_size=said["image_size"], **data_options)
    classifier = ExpressionClassifier(network, data.info, optimizer=optimizer, **options)
    if not layout:
        network.to(memory_format=torch.contiguous_format)
        classifier.model.normalize = data.input_spec.normalize
    if not figures:
        classifier._so_far.update = lambda *_: None
        classifier.log = classifier.log_dict = lambda *_, **__: None
    if compiled:
        network.compile()
    clock = Clock(setting)
    trainer = Trainer(
        accelerator="cuda" if setting.on_gpu else "cpu",
        devices=1,
        precision=setting.precision,
        callbacks=[clock, *([PerStepSeed(0)] if seed else [])],
        max_epochs=100_000,
        min_epochs=0,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=bar,
        use_distributed_sampler=False,
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        trainer.fit(classifier, data)
    return clock.rate


def bare(setting: Setting, name: str, batch: int, layout: bool = True, compiled: bool = False) -> float:
    """Images a second of a loop of plain torch over tensors that are on the device."""
    network, optimizer = network_of(name)
    device, kind = setting.device, torch.channels_last if layout else torch.contiguous_format
    network = network.to(device, memory_format=kind).train()
    steps = optimizer(network.parameters())
    if compiled:
        network.compile()
    side = recipe(name)[1]["image_size"]
    images = torch.randint(0, 256, (setting.images, 1, side, side), dtype=torch.uint8, device=device)
    labels = torch.randint(0, len(EXPRESSIONS), (setting.images,), device=device)
    clock = Clock(setting)
    while not clock.rate:
        for some in torch.randperm(setting.images, device=device).split(batch):
            inputs = ((images[some] - 127.5) / 127.5).contiguous(memory_format=kind)
            with torch.autocast(device.type, torch.bfloat16, enabled=setting.precision == "bf16-mixed"):
                logits = network(inputs)
            loss = cross_entropy(logits.float(), labels[some])
            steps.zero_grad()
            loss.backward()
            steps.step()
            if clock.count(len(some)):
                break
    return clock.rate


def beside(setting: Setting, report: Report, name: str, batch: int, told: str = "", **how: Any) -> None:
    """Ours and the bare loop, one after the other."""
    if setting.on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    least = bare(setting, name, batch, **how)
    rate = ours(setting, name, batch, **how)
    figures = {"ours": rate, "bare": least, "ratio": rate / least}
    if name == "ferplus" and not how:
        figures["ours_with_augmentation_and_averaging"] = ours(setting, name, batch, whole=True)
    if setting.on_gpu:
        figures["peak_MB"] = torch.cuda.max_memory_allocated() / 1e6
    report.add(f"{name}, batch {batch}{told}, images a second", **figures)


def throughput(setting: Setting, report: Report) -> None:
    """Both recipes at all batch sizes."""
    for name in reversed(RECIPES):
        for batch in setting.batches:
            report.left(8)
            beside(setting, report, name, batch)


def layouts(setting: Setting, report: Report) -> None:
    """Without channels-last."""
    for name in RECIPES:
        report.left(6)
        beside(setting, report, name, setting.middle, ", contiguous", layout=False)


def compiled(setting: Setting, report: Report) -> None:
    """With torch.compile; on a processor it takes minutes to begin."""
    if not setting.on_gpu:
        raise OutOfTimeError("it takes too long to begin on a processor")
    for name in RECIPES:
        report.left(25)
        beside(setting, report, name, setting.middle, ", compiled", compiled=True)
