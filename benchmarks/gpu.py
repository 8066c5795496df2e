"""What only a machine with a GPU can show, in less than four minutes: `python benchmarks/gpu.py --output FOLDER`.

The steps, in the order of their importance; after --minutes those that are left are skipped, and one that fails does
not take the others with it. What is found is printed as it comes, and written to FOLDER as results.json and results.md.

tour        the command line: fit, stop and resume compared with two uninterrupted runs, test, validate, predict, export
numbers     the same weights on the same images: CPU against GPU, in single precision and in bfloat16
throughput  images a second in training, ours against a bare torch loop with its tensors on the device. Ours is the
            Trainer with the data module, without validation and saving; the images are noise
waits       what a batch costs: each part by itself; the whole without a part; where the processor waits for the GPU
evaluation  images a second of ExpressionRecognizer, GPU against CPU
layouts     throughput without channels-last
compile     throughput with torch.compile

`--device cpu --small` tries the same on an ordinary machine. Without a GPU there are no results.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import faulthandler
import io
import json
import logging
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning.pytorch import Callback, Trainer
from torch.nn.functional import cross_entropy

from fer_lightning.cores import available_cpus
from fer_lightning.data.augmentation import Augmentation, Moment, augment, uniform
from fer_lightning.data.batches import FaceSamples, ReadDecoded
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.legend import EXPRESSIONS, Legend, ranks_of
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.synthetic import synthetic_faces
from fer_lightning.data.splits import TRAINING
from fer_lightning.inference.model import answers_of, open_model
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.seeding import seed_step
from fer_lightning.training.callbacks.per_step_seed import PerStepSeed
from fer_lightning.training.classifier import ExpressionClassifier
from fer_lightning.training.precision import fastest_precision

PROJECT = Path(__file__).resolve().parents[1]
PATH = os.pathsep.join([str(PROJECT), str(PROJECT / "benchmarks")])
RECIPES = {"seed": "default", "ferplus": "ferplus"}
MEMORY = 20e9
"""Bytes of the GPU's memory that may be used."""
BOUNDS = {"single": 1e-4, "single, TF32 convolutions": 5e-3, "bfloat16": 5e-2}
"""Largest difference of a probability from the CPU's that is taken for the same."""


class OutOfTimeError(Exception):
    """The minutes are over, or a part of them that a step may take."""


class Report:
    """What was found, printed and written as it comes; and how much time is left."""

    def __init__(self, folder: Path | None, minutes: float) -> None:
        self.folder, self.end = folder, time.monotonic() + minutes * 60
        self.about: dict[str, str] = {}
        self.rows: list[dict[str, Any]] = []
        self.step = ""

    def add(self, what: str, **figures: Any) -> None:
        """A row of the current step."""
        self.rows.append({"step": self.step, "what": what, **figures})
        print(f"| {self.step} | {what} | {self._said(figures)} |", flush=True)

    def left(self, needed: float = 0.0) -> float:
        """The seconds that are left; an OutOfTimeError if they are fewer than needed."""
        left = self.end - time.monotonic()
        if left < needed:
            raise OutOfTimeError(f"{left:.0f} seconds are left, {needed:.0f} are needed")
        return left

    def write(self) -> None:
        """Write both files."""
        if self.folder:
            lines = [f"- {name}: {value}" for name, value in self.about.items()] + ["", "| step | what | found |"]
            lines.append("| --- | --- | --- |")
            for row in self.rows:
                figures = {name: value for name, value in row.items() if name not in ("step", "what")}
                lines.append(f"| {row['step']} | {row['what']} | {self._said(figures)} |")
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "results.md").write_text("\n".join(lines) + "\n")
            (self.folder / "results.json").write_text(json.dumps({"about": self.about, "rows": self.rows}, indent=1))

    @staticmethod
    def _said(figures: dict[str, Any]) -> str:
        def one(value: Any) -> str:
            whole = isinstance(value, float) and abs(value) >= 100
            text = f"{value:,.0f}" if whole else f"{value:.4g}" if isinstance(value, float) else str(value)
            return text.replace("|", "/").replace("\n", " ")

        return "; ".join(f"{name.replace('_', ' ')} {one(value)}" for name, value in figures.items())


class Setting:
    """The device, how large everything is, and a place for files."""

    def __init__(self, device: str, small: bool, place: Path) -> None:
        self.device, self.small, self.place = torch.device(device), small, place
        self.on_gpu = self.device.type == "cuda"
        self.precision = fastest_precision(self.device.type)
        self.images = 512 if small else 7 * 4096  # all batches are full
        self.batches = [64] if small else [64, 256, 1024, 4096]
        self.middle = 64 if small else 1024
        self.subsets: dict[Any, Any] = {}  # of the noise, read once
        self.seconds, self.warm, self.least = (0.3, 2, 3) if small else (1.2, 10, 10)

    def wait(self) -> None:
        """Until the device is done."""
        if self.on_gpu:
            torch.cuda.synchronize()


# ---------------------------------------------------------------------------------------------------------- the tour


class Watch(Callback):
    """Says how much of the GPU's memory a training took; stops it at a step as Ctrl-C does."""

    def __init__(self, stop_at: int = 0) -> None:
        self.stop_at = stop_at

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Stop if it is time."""
        if self.stop_at and trainer.global_step == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    def on_train_end(self, trainer: Any, *_: Any) -> None:
        """Say it."""
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        print(f"\nPEAK {peak}", flush=True)


def command(setting: Setting, words: list[str], limit: float) -> tuple[int, float, str]:
    """Run train.py: its status, seconds and output; -1 if it took longer than the limit."""
    environment = os.environ | {"PYTHONPATH": PATH, "FER_LIGHTNING_CACHE": str(setting.place)}
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(PROJECT / "train.py"), *words],
        cwd=setting.place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said = process.communicate(timeout=limit)[0].decode(errors="replace")
        return process.returncode, time.monotonic() - begun, said
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said = process.communicate()[0].decode(errors="replace")
        return -1, time.monotonic() - begun, f"{said} took longer than {limit:.0f} s"


def tour(setting: Setting, report: Report) -> None:
    """The command line, as a user has it."""
    small, place = setting.small, setting.place
    accelerator = ["--trainer.accelerator", "cuda" if setting.on_gpu else "cpu"]
    root = synthetic_faces(place, people=4 if small else 40)
    fit = ["fit", *accelerator, "--data.root", str(root), "--trainer.max_epochs", "2"]
    random = ["--model.network.init_args.dropout", "0.3", "--data.augmentation.mixup", "0.2"]
    random += ["--data.augmentation.rotation", "10", "--data.augmentation.noise", "0.1", "--model.ema_decay", "0.9"]
    random += ["--model.lr_scheduler", "WarmupCosine"]
    random += ["--data.image_size", "32", "--data.batch_size", "8"] if small else []
    watch, stop = ("--trainer.callbacks", "gpu.Watch"), 5 if small else 11
    stopping = ("--trainer.callbacks", json.dumps([{"class_path": "gpu.Watch", "init_args": {"stop_at": stop}}]))
    ferplus = [*fit, *watch, "--name", "ferplus", "--config", "configs/ferplus.yaml", "--data.split", "grouped"]
    ferplus += ["--data.soft_labels", "false", "--data.faces", "whole"]
    first = {
        "fit": [*fit, *random, *watch, "--name", "whole"],
        "fit, stopped": [*fit, *random, *stopping, "--name", "cut"],
        "fit, again": [*fit, *random, *watch, "--name", "again"],
        "fit, ferplus.yaml": ferplus,
    }
    best, elsewhere = "runs/whole/checkpoints/best.ckpt", ["--name", "elsewhere", "--trainer.accelerator", "cpu"]
    device = ["--device", str(setting.device)]
    second = {
        "resume": ["fit", *accelerator, "--name", "cut", "--ckpt_path", "last", *watch],
        "test": ["test", *accelerator, "--name", "whole", "--ckpt_path", "best"],
        "validate": ["validate", *accelerator, "--name", "whole", "--ckpt_path", "best"],
        "test on the CPU": ["test", *elsewhere, "--ckpt_path", best],
        "predict": ["predict", str(root / "images"), *device, "--output", "rows.csv"],
        "export onnx": ["export", "--ckpt_path", best, "--output", "out.onnx"],
        "export safetensors": ["export", "--ckpt_path", best, "--output", "out.safetensors"],
    }
    if small:
        first = {name: words for name, words in first.items() if name in ("fit", "fit, stopped")}
        second = {name: words for name, words in second.items() if name in ("resume", "test", "predict")}
    with ThreadPoolExecutor(max(2, available_cpus(keep=0) // 2)) as pool:
        for wave in (first, second):
            limit = min(100.0, report.left(10))
            running = {name: pool.submit(command, setting, words, limit) for name, words in wave.items()}
            for name, one in running.items():
                status, seconds, said = one.result()
                missing = name == "export onnx" and re.search(r"ONNX files need (\w+)", said)
                right = status == (130 if name == "fit, stopped" else 0)
                word = "right" if right else f"skipped, {missing[1]} is missing" if missing else f"FAILED, {status}"
                figures: dict[str, Any] = {"outcome": word, "seconds": seconds}
                if found := re.search(r"Compute (.*)", said):
                    figures["compute"] = found[1].partition(" (")[0]
                if found := re.search(r"PEAK (\d+)", said):
                    figures["peak_MB"] = int(found[1]) / 1e6
                if not right and not missing:
                    figures["said"] = said.strip()[-600:]
                report.add(name, **figures)
    weights = {name: state for name in ("whole", "again", "cut") if (state := final_state(place / "runs" / name))}
    for name, pair in (("resumed", ("whole", "cut")), ("run again", ("whole", "again"))):
        if not set(pair) - set(weights):
            one, other = (weights[run] for run in pair)
            apart = max((value - other[key]).abs().max().item() for key, value in one.items())
            equal = all(torch.equal(value, other[key]) for key, value in one.items())
            told = "bit by bit" if equal else "not bit by bit"
            report.add(f"uninterrupted against {name}", equal=told, largest_difference_of_a_weight=apart)
    said = [place / "runs" / name / "test" / "metrics.json" for name in ("whole", "elsewhere")]
    if all(path.is_file() for path in said):
        here, there = (json.loads(path.read_text())["metrics"] for path in said)
        pairs = [(value["value"], there[name]["value"]) for name, value in here.items()]
        apart = max(abs(one - other) for one, other in pairs if None not in (one, other))
        report.add("test, GPU against CPU", largest_difference_of_a_figure=apart)
    if (place / "rows.csv").is_file():
        report.add("predict, rows", rows=len((place / "rows.csv").read_text().splitlines()) - 1)


def final_state(run: Path) -> dict[str, torch.Tensor]:
    """The weights and the optimizer's memory at the end of a run; empty if it did not come to one."""
    last = run / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return {}
    checkpoint = torch.load(last, map_location="cpu", weights_only=True)
    states = checkpoint["optimizer_states"][0]["state"].items()
    memory = {f"{number}.{name}": value for number, state in states for name, value in state.items()}
    known = (checkpoint["state_dict"] | memory).items()
    return {name: value.double() for name, value in known if isinstance(value, torch.Tensor)}


# ------------------------------------------------------------------------------------------------------- the numbers


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
    change = recipe("ferplus")[1]["augmentation"]
    change = Augmentation(**{name: value for name, value in change.items() if name != "progressive_sizes"})
    pixels, moment = torch.from_numpy(images), Moment(3, 5)
    moved = [change(pixels.to(place), samples.to(place), moment).cpu() for place in ("cpu", setting.device)]
    apart = (moved[0] - moved[1]).abs()
    report.add("augmented images, 0..255", largest_difference=apart.max().item(), mean=apart.mean().item())


def faces(setting: Setting, model: ExpressionModel, count: int) -> np.ndarray:
    """Drawn faces as a model's input, uint8 `(n, channels, size, size)`, repeated where there are too few."""
    files = sorted((synthetic_faces(setting.place, people=4 if setting.small else 40) / "images").iterdir())
    spec = ExpressionRecognizer(model, faces="whole").input_spec
    few = [spec.load(path).numpy() for path in files[: min(count, 640)]]
    return np.stack([few[number % len(few)] for number in range(count)])


# ---------------------------------------------------------------------------------------------------- the throughput


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
        gather: Callable[[list[int]], torch.Tensor] = ReadDecoded(self.cache_file, np.arange(len(rows)))
        if self.still:
            first = gather(list(range(min(self.batch_size, len(rows)))))
            gather = lambda asked: first[: len(asked)]  # noqa: E731
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
        change = said["augmentation"].get("init_args", said["augmentation"])
        change = {key: value for key, value in change.items() if key not in ("class_path", "progressive_sizes")}
        data_options |= {"augmentation": Augmentation(**change), "soft_labels": said.get("soft_labels", False)}
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
    """With torch.compile."""
    for name in RECIPES:
        report.left(25)
        beside(setting, report, name, setting.middle, ", compiled", compiled=True)


# --------------------------------------------------------------------------------------------------------- the waits


def waits(setting: Setting, report: Report) -> None:
    """What the parts of a batch cost."""
    for batch in setting.batches[::2]:
        report.left(15)
        parts(setting, report, batch)
        usual = ours(setting, "ferplus", batch, whole=True)
        without = {
            "progress_bar": {"bar": False},
            "figures_and_logging": {"figures": False},
            "seeding": {"seed": False},
            "gathering": {"still": True},
            "all_of_these": {"bar": False, "figures": False, "seed": False, "still": True},
        }
        rates = {f"without_{what}": ours(setting, "ferplus", batch, whole=True, **how) for what, how in without.items()}
        if not setting.small:
            rates["with_2_processes_that_load"] = ours(setting, "ferplus", batch, whole=True, num_workers=2)
        report.add(f"ferplus, whole recipe, batch {batch}, images a second", as_it_is=usual, **rates)
    if setting.on_gpu:
        synchronizing(setting, report)


def parts(setting: Setting, report: Report, batch: int) -> None:
    """Milliseconds of each part of a batch by itself, the medians of some batches."""
    said = recipe("ferplus")[1]
    change = {key: value for key, value in said["augmentation"].items() if key != "progressive_sizes"}
    data = CachedNoise(setting, batch_size=batch, image_size=said["image_size"], soft_labels=True)
    samples, change = data.samples(TRAINING), Augmentation(**change)
    order = torch.randperm(len(samples)).split(batch)
    found: dict[str, list[float]] = {}

    def timed(what: str, act: Callable[[], Any]) -> Any:
        setting.wait()
        begun = time.perf_counter()
        result = act()
        setting.wait()
        found.setdefault(what, []).append(1000 * (time.perf_counter() - begun))
        return result

    for step in range(4 if setting.small else 25):
        numbers = order[step % len(order)].tolist()
        gathered = timed("gather", lambda numbers=numbers: samples.__getitems__(numbers))
        if setting.on_gpu:
            gathered = timed("pin", lambda gathered=gathered: type(gathered)(*(one.pin_memory() for one in gathered)))
        there = timed(
            "copy",
            lambda gathered=gathered: type(gathered)(*(one.to(setting.device, non_blocking=True) for one in gathered)),
        )
        moment = Moment(0, step)
        timed("augmentation", lambda there=there, moment=moment: augment(change, there, len(EXPRESSIONS), moment))
        timed("seeding", lambda step=step: seed_step("", 0, step, 0, setting.device))
    medians = {f"{what}_ms": statistics.median(values) for what, values in found.items()}
    report.add(f"parts of a batch of {batch}", **medians)


def synchronizing(setting: Setting, report: Report) -> None:
    """Where a training makes the processor wait for the GPU, by the line; and how often a batch."""
    batch = setting.batches[0]
    with warnings.catch_warnings(record=True) as caught, short(setting):
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        steps = setting.warm + setting.least
        try:
            ours(setting, "ferplus", batch, whole=True)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    places = Counter(
        f"{'/'.join(Path(one.filename).parts[-3:])}:{one.lineno}"
        for one in caught
        if "synchronizing" in str(one.message)
    )
    for place, times in places.most_common(12):
        report.add(f"waits for the GPU, about {steps} batches of {batch}", where=place, times=times)
    report.add("waits for the GPU, a batch", times=places.total() / steps)


@contextlib.contextmanager
def short(setting: Setting) -> Iterator[None]:
    """Measure as few batches as possible."""
    before = setting.seconds, setting.least
    setting.seconds, setting.least = 1e-3, 90
    try:
        yield
    finally:
        setting.seconds, setting.least = before


# ---------------------------------------------------------------------------------------------------- the evaluation


def evaluation(setting: Setting, report: Report) -> None:
    """Images a second of the network alone, and of ExpressionRecognizer with arrays and files of whole faces."""
    model = open_model("pretrained", "cpu")
    count = 256 if setting.small else 8192
    pixels = faces(setting, model, count)
    files = sorted((synthetic_faces(setting.place, people=4 if setting.small else 40) / "images").iterdir())
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


# ------------------------------------------------------------------------------------------------------------ all of it

STEPS: dict[str, tuple[float, Callable[[Setting, Report], None]]] = {
    "tour": (20, tour),
    "numbers": (5, numbers),
    "throughput": (10, throughput),
    "waits": (15, waits),
    "evaluation": (10, evaluation),
    "layouts": (6, layouts),
    "compile": (25, compiled),
}
"""Each step, and the seconds that it needs at the least."""


def out_of_time(number: int, frame: Any) -> None:
    """What the alarm does."""
    raise OutOfTimeError("it took longer than there was time")


def main() -> None:
    """Take all steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="folder for results.json and results.md")
    parser.add_argument("--minutes", type=float, default=3.5)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="a little of everything, to see whether it runs")
    parser.add_argument("--only", nargs="+", choices=list(STEPS), default=list(STEPS), help="these steps")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "torch finds no GPU here: nothing is measured, nothing is claimed. (--device cpu tries the CPU.)"
        )
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    report = Report(options.output, options.minutes)
    faulthandler.dump_traceback_later(options.minutes * 60 + 60, exit=True)  # whatever hangs where no alarm is heard
    signal.signal(signal.SIGALRM, out_of_time)
    place = Path(tempfile.mkdtemp())
    try:
        setting = Setting(options.device, options.small, place)
        report.about = about(setting)
        print("\n".join(f"{name}: {value}" for name, value in report.about.items()), flush=True)
        for name, (least, step) in STEPS.items():
            report.step, begun = name, time.monotonic()
            if name not in options.only:
                continue
            try:
                left = report.left(least)
                signal.setitimer(signal.ITIMER_REAL, left + 15)
                step(setting, report)
                report.add("done", seconds=time.monotonic() - begun)
            except OutOfTimeError as error:
                report.add("SKIPPED, or what is left of it", why=str(error))
            except Exception as error:
                report.add("FAILED", why=f"{type(error).__name__}: {str(error)[:600]}")
                traceback.print_exc()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                report.write()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def about(setting: Setting) -> dict[str, str]:
    """The machine and the versions."""
    import lightning
    import torchvision

    found = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"}
    found |= {"torch": torch.__version__, "lightning": lightning.__version__, "torchvision": torchvision.__version__}
    found["precision of fit"] = setting.precision
    if setting.on_gpu:
        card = torch.cuda.get_device_properties(0)
        found |= {"card": f"{card.name}, {card.total_memory / 1e9:.0f} GB", "CUDA": str(torch.version.cuda)}
        found["cuDNN"] = str(torch.backends.cudnn.version())
        torch.cuda.set_per_process_memory_fraction(min(1.0, MEMORY / card.total_memory))
    else:
        found["device"] = f"CPU, {torch.get_num_threads()} threads: this says nothing about a GPU"
    return found


if __name__ == "__main__":
    main()
