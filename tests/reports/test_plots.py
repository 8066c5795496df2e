"""Charts can be read, in the light and in the dark."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from fer_lightning.evaluation.measures import Measures
from fer_lightning.reports import plots


def drawings():
    measures = Measures(np.random.default_rng(0).dirichlet(np.ones(3), 60), np.arange(60) % 3)
    rows = [
        {"epoch": str(n), "train_loss": "1", "val_loss": "2", "train_acc": "0.5", "val_acc": "0.5"} for n in range(3)
    ]
    yield plots.reliability(measures, measures)
    yield plots.risk_by_coverage(measures)
    yield from plots.learning_curves(rows)


@pytest.mark.parametrize("chart", list(drawings()))
def test_every_chart_has_colors_for_the_dark(chart):
    svg = base64.b64decode(chart.removeprefix("data:image/svg+xml;base64,")).decode()
    style, rest = svg[: svg.index("</style>")], svg[svg.index("</style>") :]
    assert "@media (prefers-color-scheme: dark)" in style
    assert "var(--ink)" in rest
    for color in (plots.INK, plots.BLUE, plots.ORANGE, "#000000", "#ffffff"):
        assert color not in rest
