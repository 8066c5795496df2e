"""One epoch, training and validation, of the seed's network on the seed's data: ours against the alternatives.

    python benchmarks/epoch.py DATA [--batch 64] [--keras PYTHON]

DATA is the facial_expressions folder. Every contender trains on the same 10,941 images of 100 x 100 pixels and
validates on the same 2,742, in a process of its own, for three epochs; the first is stated apart, as it pays for the
cold start (ours: decoding everything, building the folders). The contenders:

ours      `python train.py fit` with the defaults, in gray (the default) and in rgb
tutorial  ImageFolder, DataLoader with two workers and a LightningModule that logs in every step
bare      a torch loop over tensors in memory without any logging or saving: the practical limit. Same network,
          precision, memory layout and optimiser as ours, in gray and in rgb
keras     the original notebook as a script (tensorflow), run by PYTHON; left out without --keras
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import TESTING, TRAINING
from fer_lightning.networks import ExpressionCNN
from fer_lightning.training.precision import fastest_precision

HERE = Path(__file__).resolve()
REFERENCE = HERE.parents[2] / "shared" / "reference" / "keras_notebook.py"
NOTEBOOK = {"split": "sequential", "val_fraction": 0.0, "conflicts": "keep"}
EPOCHS = 3


class Clock(Callback):
    """Prints the seconds of every epoch, from the start of one to the start of the next, saving included."""

    def __init__(self) -> None:
        self.times = [time.perf_counter()]

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """An epoch ends where the next begins; the first begins with the preparation of the data."""
        if trainer.current_epoch:
            self.times.append(time.perf_counter())

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The last one ends here."""
        self.times.append(time.perf_counter())
        print(json.dumps({"seconds": [b - a for a, b in zip(self.times, self.times[1:], strict=False)]}), flush=True)


class Tutorial(LightningModule):
    """What an introduction to Lightning would write."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [(nn.Conv2d(a, b, 3), nn.ReLU(), nn.MaxPool2d(2)) for a, b in ((3, 16), (16, 32), (32, 64))]
        layers = [layer for block in blocks for layer in block]
        self.network = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(64 * 10 * 10, 1024), nn.ReLU(), nn.Linear(1024, 8)
        )

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """The loss, logged with the accuracy in every step."""
        images, labels = batch
        logits = self.network(images)
        loss = cross_entropy(logits, labels)
        self.log("train_loss", loss, prog_bar=True, on_step=True, on_epoch=True)
        self.log("train_acc", (logits.argmax(1) == labels).float().mean(), prog_bar=True, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Loss and accuracy."""
        images, labels = batch
        logits = self.network(images)
        self.log("val_loss", cross_entropy(logits, labels), prog_bar=True)
        self.log("val_acc", (logits.argmax(1) == labels).float().mean(), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=0.001)


def tutorial(data: str, batch: int) -> None:
    """Train as an introduction would."""
    from torchvision import datasets, transforms

    module = FERDataModule(data, **NOTEBOOK, cache=False)
    module.prepare_data()
    tree = module.subsets.tree_path
    ready = transforms.Compose([transforms.Resize((100, 100)), transforms.ToTensor()])
    folders = [datasets.ImageFolder(tree / part, ready) for part in ("training", "testing")]
    loaders = [DataLoader(f, batch, shuffle=f is folders[0], num_workers=2) for f in folders]
    Trainer(max_epochs=EPOCHS, callbacks=[Clock()], accelerator="cpu", num_sanity_val_steps=0).fit(Tutorial(), *loaders)


def bare(data: str, batch: int, color: str) -> None:
    """Train with nothing but torch."""
    parts = FERDataModule(data, **NOTEBOOK, color=color, cache=True)
    sets = [parts.samples(part) for part in (TRAINING, TESTING)]
    (images, labels, *_), (val_images, val_labels, *_) = [one.__getitems__(list(range(len(one)))) for one in sets]
    network = ExpressionCNN(8, images.shape[1]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 0.001, fused=True)
    half = fastest_precision("cpu") == "bf16-mixed"

    def ready(some: torch.Tensor) -> torch.Tensor:
        return ((some - 127.5) / 127.5).contiguous(memory_format=torch.channels_last)

    seconds = []
    for _ in range(EPOCHS):
        begun = time.perf_counter()
        for some in torch.randperm(len(labels)).split(batch):
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = cross_entropy(network(ready(images[some])), labels[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            hits = 0
            for some in torch.arange(len(val_labels)).split(256):
                hits += int((network(ready(val_images[some])).argmax(1) == val_labels[some]).sum())
        seconds.append(time.perf_counter() - begun)
    print(json.dumps({"seconds": seconds}))


def measured(command: list[str], place: Path, name: str) -> list[float]:
    """Run a contender; its seconds an epoch."""
    print(f"{name} ...", end="\r", file=sys.stderr, flush=True)
    path = os.pathsep.join([str(HERE.parent), str(HERE.parents[1])])
    done = subprocess.run(
        command, cwd=place, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
    if "epoch" in lines[0]:
        return [line["seconds"] for line in lines]
    return list(lines[0]["seconds"])


def main() -> None:
    """Measure all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--keras", metavar="PYTHON", help="a Python that has tensorflow")
    parser.add_argument("--only", choices=["tutorial", "bare-gray", "bare-rgb"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    data = str(Path(args.data).resolve())
    if args.only == "tutorial":
        tutorial(data, args.batch)
        return
    if args.only:
        bare(data, args.batch, args.only.removeprefix("bare-"))
        return
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for color in ("gray", "rgb"):
            words = ["fit", "--name", color, "--data.root", data, "--data.color", color]
            words += [word for name, value in NOTEBOOK.items() for word in (f"--data.{name}", str(value))]
            words += ["--data.batch_size", str(args.batch), "--trainer.max_epochs", str(EPOCHS)]
            words += ["--trainer.callbacks", "epoch.Clock", "--early_stopping.patience", "9"]
            found[f"ours, {color}"] = measured([sys.executable, "-m", "fer_lightning", *words], place, "ours")
        for name in ("bare-gray", "bare-rgb", "tutorial"):
            command = [sys.executable, str(HERE), data, "--batch", str(args.batch), "--only", name]
            found[name.replace("-", ", ")] = measured(command, place, name)
        if args.keras:
            command = [args.keras, str(REFERENCE), data, str(place / "keras"), "--batch", str(args.batch)]
            found["keras, rgb"] = measured([*command, "--epochs", "3", "--lr", "0.001"], place, "keras")
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(
        f"batch {args.batch}, precision of ours and bare: {fastest_precision('cpu')}; ratios: time / time of ours, rgb"
    )
    print(f"{'':<12}{'first epoch':>12}{'later':>9}{'ratio first':>13}{'ratio later':>13}")
    first, later = found["ours, rgb"][0], statistics.median(found["ours, rgb"][1:])
    for name, (cold, *warm) in found.items():
        usual = statistics.median(warm)
        print(f"{name:<12}{cold:>10.1f} s{usual:>7.1f} s{cold / first:>13.2f}{usual / later:>13.2f}")


if __name__ == "__main__":
    main()
