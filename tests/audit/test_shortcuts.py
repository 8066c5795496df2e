from __future__ import annotations

import numpy as np
import pytest

from fer_lightning.audit.shortcuts import shortcuts
from fer_lightning.data.sources.legend_csv import read_legend


def test_a_shortcut_is_measured_and_noise_is_not_one(make_data):
    rng = np.random.default_rng(0)
    root = make_data([(f"{number}.png", ("anger", "jolly")[number % 2]) for number in range(400)])
    legend = read_legend(root / "legend.csv", root / "images")
    leak = np.where(rng.random(400) < 0.9, legend.labels, 1 - legend.labels)
    found = {s.name: s for s in shortcuts({"leak": leak, "noise": rng.integers(0, 5, 400)}, legend, legend.images)}
    assert found["leak"].accuracy == pytest.approx(0.9, abs=0.03)
    assert found["leak"].cramers_v == pytest.approx(0.8, abs=0.06)
    assert found["noise"].cramers_v < 0.12
    assert abs(found["noise"].accuracy - 0.5) < 0.08
    assert found["all together"].accuracy == pytest.approx(0.9, abs=0.03)
