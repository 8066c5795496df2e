"""What a report is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Evaluation:
    """What a report is made from.

    Attributes:
        predictions: The network's answers.
        prior: float `(c,)`, class shares in training; the baseline answers with them whatever it sees.
        image_dir: The folder that image names are relative to.
        about: What the report says about its origin, plain values.
        history: The run's table of epochs, if there is one.
        uncalibrated: float `(n, c)`, probabilities at temperature 1, to show what calibration did.
    """

    predictions: Predictions
    prior: np.ndarray
    image_dir: Path
    about: dict[str, Any] = field(default_factory=dict)
    history: Path | None = None
    uncalibrated: np.ndarray | None = None
