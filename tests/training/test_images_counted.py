"""A run that goes on within an epoch takes each of its images once, whatever the batch size is then."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict

import pytest

from fer_lightning.data.progress import EpochPosition
from fer_lightning.errors import FERError
from fer_lightning.training.classifier import ExpressionClassifier
from tests.conftest import TINY, run_here

FIT = (*TINY, "--trainer.max_epochs", "3", "--checkpoint_last.every_n_steps", "4", "--early_stopping.patience", "9")


@pytest.mark.parametrize("sizes", [(16, 8), (16, 48, 5), (16, 144)])
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
    for other, accumulate, limit in (
        (EpochPosition(0, 10, 2, 0, "a"), 1, 1.0),
        (EpochPosition(0, 10, 1, 1, "a"), 1, 1.0),
        (EpochPosition(0, 10, 1, 0, "b"), 1, 1.0),
        (EpochPosition(0, 35, 1, 0, "a"), 2, 1.0),
        (EpochPosition(0, 25, 1, 0, "a"), 1, 2),
    ):
        with pytest.raises(FERError, match="within an epoch, 50 images on each device into it"):
            place.go_on(other, 100, accumulate, limit)


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
