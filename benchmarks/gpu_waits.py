"""A step of `gpu.py`: what the parts of a batch cost, and where the processor waits for the GPU."""

from __future__ import annotations

import contextlib
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from gpu_report import Report, Setting
from gpu_training import CachedNoise, changes, network_of, ours, recipe
from torch.nn.functional import cross_entropy

from fer_lightning.data.augmentation import Moment, augment
from fer_lightning.data.batches import Batch
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.splits import TRAINING
from fer_lightning.seeding import seed_step


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
        if setting.small:
            without = {"progress_bar": {"bar": False}, "gathering": {"still": True}}
        rates = {f"without_{what}": ours(setting, "ferplus", batch, whole=True, **how) for what, how in without.items()}
        if not setting.small:
            rates["with_2_processes_that_load"] = ours(setting, "ferplus", batch, whole=True, num_workers=2)
        report.add(f"ferplus, whole recipe, batch {batch}, images a second", as_it_is=usual, **rates)
    if setting.on_gpu:
        synchronizing(setting, report)


def parts(setting: Setting, report: Report, batch: int) -> None:
    """Milliseconds of each part of a batch by itself, the medians of some batches."""
    change, side, device = changes("ferplus"), recipe("ferplus")[1]["image_size"], setting.device
    data = CachedNoise(setting, batch_size=batch, image_size=side, soft_labels=True)
    samples, normalize = data.samples(TRAINING), data.input_spec.normalize
    network, optimizer = network_of("ferplus")
    network = network.to(device, memory_format=torch.channels_last).train()
    steps = optimizer(network.parameters())
    order = torch.randperm(len(samples)).split(batch)
    found: dict[str, list[float]] = {}

    def timed(what: str, act: Callable[..., Any], *given: Any) -> Any:
        setting.wait()
        begun = time.perf_counter()
        result = act(*given)
        setting.wait()
        found.setdefault(what, []).append(1000 * (time.perf_counter() - begun))
        return result

    def learn(one: Batch) -> None:
        steps.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=setting.precision == "bf16-mixed"):
            logits = network(normalize(one.images).contiguous(memory_format=torch.channels_last))
        cross_entropy(logits.float(), one.targets).backward()

    for step in range(4 if setting.small else 25):
        gathered = timed("gather", samples.__getitems__, order[step % len(order)].tolist())
        if setting.on_gpu:
            gathered = timed("pin", lambda one: Batch(*(part.pin_memory() for part in one)), gathered)
        there = timed("copy", lambda one: Batch(*(part.to(device, non_blocking=True) for part in one)), gathered)
        there = timed("augmentation", augment, change, there, len(EXPRESSIONS), Moment(0, step))
        timed("forward_and_backward", learn, there)
        timed("optimizer", steps.step)
        timed("seeding", seed_step, "", 0, step, 0, device)
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
