"""A run that goes on within an epoch takes each of its images once, whatever the batch size is then."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict

import pytest
import torch

from fer_lightning.data.progress import EpochPosition
from fer_lightning.errors import FERError
from fer_lightning.training.classifier import ExpressionClassifier
from fer_lightning.training.metrics import EpochFigures
from tests.conftest import PROJECT, TINY, flat, run, run_here

FIT = (*TINY, "--trainer.max_epochs", "3", "--checkpoint_last.every_n_steps", "4", "--early_stopping.patience", "9")


@pytest.mark.parametrize(
    "sizes",
    [(16, 8), pytest.param((16, 48, 5), marks=pytest.mark.slow), pytest.param((16, 144), marks=pytest.mark.slow)],
)
def test_each_image_once_with_any_batch_size(drawn, tmp_path, monkeypatch, sizes):
    taken: dict[int, list[int]] = defaultdict(list)
    step, stop_at = ExpressionClassifier.training_step, [0]

    def noted(self, batch, batch_idx):
        if self.trainer.current_epoch == 1 and stop_at[0] and batch_idx == stop_at[0]:
            raise KeyError("stopped")
        taken[self.trainer.current_epoch] += batch.samples.tolist()
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ExpressionClassifier, "training_step", noted)
    first, *others = sizes
    stop_at[0] = 4  # a checkpoint has just been written
    with pytest.raises(KeyError, match="stopped"):
        run_here("fit", "--data.root", drawn, *FIT, "--data.batch_size", str(first), cwd=tmp_path)
    for size in others:
        stop_at[0] = 2 if size == 48 else 0  # 64 images are 1 batch of 48 and a bit: 1 of 3 counts as done
        words = ("--ckpt_path", "last", "--data.batch_size", str(size), "--checkpoint_last.every_n_steps", "1")
        if stop_at[0]:
            with pytest.raises(KeyError, match="stopped"):
                run_here("fit", *words, cwd=tmp_path)
        else:
            run_here("fit", *words, cwd=tmp_path)
    for epoch in range(3):
        assert Counter(taken[epoch]) == Counter(range(144))


def test_what_an_epoch_goes_on_from():
    """Of 100 images 50 are done: with batches of 30 two of four are left."""
    place = EpochPosition(50, 10, 1, seed=0, split="a")
    assert place.go_on(EpochPosition(0, 10, 1, 0, "a"), 100, 1) == (50, 5)
    assert place.go_on(EpochPosition(0, 30, 1, 0, "a"), 100, 1) == (50, 2)
    assert place.go_on(EpochPosition(0, 25, 1, 0, "a"), 100, 2, 1.0) == (50, 2)
    assert place.go_on(EpochPosition(0, 10, 2, 0, "a"), 101, 1) == (50, 2)  # 25 are left of each device's 50
    assert place.go_on(EpochPosition(0, 10, 3, 0, "a"), 101, 2) == (50, 2)  # 17 of 33
    assert place.go_on(EpochPosition(0, 10, 2, 0, "a"), 100, 1, 4) == (50, 2)  # of the first 80 images
    for other, accumulate, limit in (
        (EpochPosition(0, 10, 2, 0, "a"), 4, 1.0),
        (EpochPosition(0, 10, 51, 0, "a"), 1, 1.0),
        (EpochPosition(0, 10, 1, 1, "a"), 1, 1.0),
        (EpochPosition(0, 10, 1, 0, "b"), 1, 1.0),
        (EpochPosition(0, 35, 1, 0, "a"), 2, 1.0),
        (EpochPosition(0, 25, 1, 0, "a"), 1, 2),
    ):
        with pytest.raises(FERError, match="within an epoch, 50 images into it"):
            place.go_on(other, 100, accumulate, limit)


def test_a_place_that_counts_the_images_of_each_device_is_read_as_well():
    old = {"images": 25, "batch_size": 5, "devices": 2, "seed": 0, "split": "a"}
    assert EpochPosition.from_dict(old) == EpochPosition(50, 5, 2, 0, "a")
    with pytest.raises(FERError, match="done is None"):
        EpochPosition.from_dict(old | {"images": "x"})


def test_figures_of_an_epoch_are_those_of_all_its_images_on_another_number_of_devices():
    """Two devices with 20 images each go on as one with 60 more, or as three with 20 more each."""
    rows = [[10.0, 15.0, 20.0], [30.0, 5.0, 20.0]]
    for devices in (1, 3):
        values, weights = [], []
        for rank in range(devices):
            figures = EpochFigures()
            figures.load(rows, rank, devices)
            seen = 60 // devices
            figures.update(torch.tensor(0.5), torch.tensor([[0.0, 1.0]] * seen), torch.ones(seen, dtype=torch.int64))
            values.append(figures.compute())
            weights.append(figures.weight)
        mean = {n: sum(w * float(v[n]) for v, w in zip(values, weights, strict=True)) / sum(weights) for n in values[0]}
        assert mean == pytest.approx({"train_loss": (10 + 30 + 60 * 0.5) / 100, "train_acc": (15 + 5 + 60) / 100})
    same = EpochFigures()
    same.load(rows, 1, 2)
    assert same.state().tolist() == rows[1]
    assert same.weight == 1


NOTED = """
from lightning.pytorch import Callback


class Noted(Callback):
    def __init__(self, name: str, stop_at: int = 0) -> None:
        self.name, self.stop_at = name, stop_at

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.current_epoch == 1 and self.stop_at and batch_idx == self.stop_at:
            raise KeyError("stopped")
        with open(f"{self.name}-{trainer.current_epoch}-{trainer.global_rank}", "a") as stream:
            stream.write(" ".join(map(str, batch.samples.tolist())) + "\\n")
"""


@pytest.mark.slow
def test_each_image_once_with_another_number_of_devices(drawn, tmp_path, monkeypatch, capsys):
    """Of 144 images two devices take 64, then one takes 17, and of the 63 that are left two take 62."""
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT}:{tmp_path}")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "noted.py").write_text(NOTED)

    def words(name: str, devices: int, stop_at: int, every: int) -> list[str]:
        options = ["--trainer.callbacks", "noted.Noted", "--trainer.callbacks.name", name, "--trainer.accelerator"]
        options += ["cpu", "--trainer.callbacks.stop_at", str(stop_at), "--checkpoint_last.every_n_steps", str(every)]
        return [*options, "--trainer.devices", str(devices), "--trainer.strategy", "ddp" if devices > 1 else "auto"]

    assert run("fit", "--data.root", drawn, *FIT, *words("a", 2, 2, every=2), cwd=tmp_path).returncode != 0
    with pytest.raises(KeyError, match="stopped"):  # of its 9 batches 4 count as done
        run_here("fit", "--ckpt_path", "last", "--data.batch_size", "17", *words("b", 1, 5, every=1), cwd=tmp_path)
    said = "on 2 devices, and goes on with 1: a step takes 17 images now instead of 32"
    assert said in flat(capsys.readouterr().out)
    done = run("fit", "--ckpt_path", "last", "--data.batch_size", "8", *words("c", 2, 0, every=0), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    more = ("--ckpt_path", "last", "--trainer.max_epochs", "4", *words("d", 1, 0, every=0))
    run_here("fit", *more, cwd=tmp_path)  # from the end of an epoch
    taken = {path.name: list(map(int, path.read_text().split())) for path in tmp_path.glob("?-?-?")}
    assert {name: len(images) for name, images in taken.items() if "-1-" in name} == {
        "a-1-0": 32,
        "a-1-1": 32,
        "b-1-0": 17,
        "c-1-0": 31,
        "c-1-1": 31,
    }
    for epoch, images in ((0, 144), (1, 143), (2, 144), (3, 144)):
        together = [number for name, part in taken.items() if f"-{epoch}-" in name for number in part]
        assert len(set(together)) == len(together) == images


@pytest.mark.slow
def test_the_cosine_still_ends_at_the_end(drawn, tmp_path):
    cosine = ("--model.lr_scheduler", "fer_lightning.training.schedules.WarmupCosine")
    run_here("fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "4", *cosine, cwd=tmp_path)
    full = [float(row["lr"]) for row in csv.DictReader((tmp_path / "runs/default/metrics.csv").open())]
    words = ["fit", "--data.root", drawn, *TINY, *cosine, "--name", "two", "--trainer.max_epochs"]
    run_here(*words, "2", cwd=tmp_path)
    more = ("--trainer.max_epochs", "4", "--early_stopping.patience", "9", "--data.batch_size", "8")
    run_here("fit", "--name", "two", "--ckpt_path", "last", *more, cwd=tmp_path)
    rates = [float(row["lr"]) for row in csv.DictReader((tmp_path / "runs/two/metrics.csv").open())]
    assert len(full) == len(rates) == 4
    assert 0.0002 < rates[2] < 0.0009
    assert rates[3] == pytest.approx(0, abs=1e-9)
