"""Predictions of an invented network for an invented data set."""

from __future__ import annotations

import numpy as np
import pytest

from fer_lightning.evaluation.predictions import Predictions

NAMES = ("anger", "fear", "jolly")


@pytest.fixture
def predictions(make_data) -> Predictions:
    """Sixty images of twenty people, five of them of jolly; the files are in `tmp_path / "data_set" / "images"`."""
    rng = np.random.default_rng(0)
    labels = np.array([0] * 30 + [1] * 25 + [2] * 5)
    probabilities = rng.dirichlet(np.ones(3), 60)
    probabilities[np.arange(60), labels] += 0.5
    images = [f"p{number // 3}_{number}.png" for number in range(60)]
    make_data([(image, NAMES[label]) for image, label in zip(images, labels, strict=True)])
    probabilities /= probabilities.sum(1, keepdims=True)
    people = [image.split("_")[0] for image in images]
    seen = np.arange(60) % 2 == 0
    return Predictions(images, labels, probabilities, NAMES, people, ["me"] * 20 + ["you"] * 40, seen)
