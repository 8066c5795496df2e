"""Classes that are drawn more often: what is seen changes, what is answered does not."""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from torch import nn

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.sampling import BalancedSampling
from fer_lightning.training.classifier import ExpressionClassifier
from tests.conftest import TINY, run_here
from tests.data.test_votes import voted


def test_balanced_draws_change_what_is_seen(make_data, tmp_path):
    words = {"classes": ["fear", "jolly"], "prepared_dir": str(tmp_path), "image_size": 8, "split": "stratified"}
    root = str(voted(make_data, *((f"q{number}.png", "fear") for number in range(20))))
    plain = FERDataModule(root, **words).info.training
    counts = torch.tensor(plain.class_counts, dtype=torch.float32)
    assert plain.draws == ()
    assert counts[0] != counts[1]
    data = FERDataModule(root, sampling=BalancedSampling(1.0), batch_size=1000, **words)
    assert data.info.training.class_counts == plain.class_counts
    assert data.info.training.target_prior == pytest.approx((counts / counts.sum()).tolist())
    drawn = torch.tensor(data.info.training.draws) * counts
    assert drawn.tolist() == pytest.approx([counts.sum().item() / 2] * 2)
    (batch,) = data.train_dataloader()
    assert len(batch.labels) == counts.sum()
    assert (batch.labels.bincount() - counts.sum() / 2).abs().max() <= 1
    soft = FERDataModule(root, sampling=BalancedSampling(1.0), soft_labels=True, **words)
    votes = torch.tensor([[0.9, 0.1], [0.25, 0.75]])
    assert soft.info.training.target_prior == pytest.approx(((counts @ votes) / counts.sum()).tolist())


def test_a_run_with_balanced_draws_resumes_exactly(make_data, tmp_path):
    jolly = [(f"p{number}.png", "jolly") for number in range(30)]
    root = make_data(
        [*jolly, *((f"q{number}.png", "cool") for number in range(4)), ("r.png", "fear"), ("s.png", "fear")]
    )
    words = ["fit", "--data.root", root, *TINY, "--data.split", "stratified", "--data.sampling.strength", "1"]
    words += ["--data.val_fraction", "0", "--data.train_fraction", "0.5", "--data.augmentation.rotation", "20"]
    run_here(*words, "--name", "whole", "--trainer.max_epochs", "3", cwd=tmp_path)
    run_here(*words, "--name", "cut", "--trainer.max_epochs", "1", cwd=tmp_path)
    run_here("fit", "--name", "cut", "--ckpt_path", "last", "--trainer.max_epochs", "3", cwd=tmp_path)
    whole, cut = (
        torch.load(tmp_path / f"runs/{name}/checkpoints/last.ckpt", weights_only=True) for name in ("whole", "cut")
    )
    torch.testing.assert_close(cut["state_dict"], whole["state_dict"], rtol=0, atol=0)
    assert whole["fer_lightning"]["learned_prior"] == pytest.approx([2 / 18, 1 / 18, 15 / 18])


def test_answers_are_for_the_class_frequencies_as_they_are_however_often_classes_are_drawn(make_data, tmp_path):
    same = np.full((8, 8, 3), 120, np.uint8)  # one image under two labels: only their frequency can be learned
    root = make_data([(f"a{n}.png", "cool") for n in range(90)] + [(f"b{n}.png", "jolly") for n in range(10)])
    for path in (root / "images").iterdir():
        Image.fromarray(same).save(path)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    for strength in (0.0, 0.5, 1.0):
        words = {"prepared_dir": str(tmp_path / "tree"), "image_size": 8, "split": "stratified", "val_fraction": 0.0}
        data = FERDataModule(str(root), sampling=BalancedSampling(strength), batch_size=80, num_workers=0, **words)
        classifier = ExpressionClassifier(
            deepcopy(network), data.info, optimizer=partial(torch.optim.LBFGS, max_iter=50)
        )
        options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        Trainer(max_epochs=3, enable_model_summary=False, limit_val_batches=0, accelerator="cpu", **options).fit(
            classifier, data
        )
        found = classifier.model.probabilities(torch.full((1, 1, 8, 8), 120, dtype=torch.uint8))
        assert found[0].tolist() == pytest.approx([0.9, 0.1], abs=0.01), strength
        assert classifier.model.learned_prior == pytest.approx([0.9, 0.1])
