"""What a new measure costs: one entry in the table of measures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.evaluation.measures import MEASURES, Measure
from fer_lightning.files import sha256_of
from fer_lightning.reports.compare import compare
from fer_lightning.reports.evaluation import evaluate
from fer_lightning.reports.model_card import measured_in, model_card
from tests.evaluation.conftest import NAMES


def test_one_entry_is_in_every_report(predictions, tmp_path, monkeypatch, capsys):
    doubt = Measure(
        "mean probability of other classes than the answer",
        lambda draw: draw.mean(1 - draw.samples.confidence),
        lower_is_better=True,
    )
    monkeypatch.setitem(MEASURES, "doubt", doubt)
    (tmp_path / "x.ckpt").write_text("weights")
    about = {"checkpoint_sha256": sha256_of(tmp_path / "x.ckpt")}
    evaluate(predictions, np.ones(3) / 3, tmp_path / "data_set" / "images", tmp_path / "runs/one/test", about)
    assert "doubt   " in capsys.readouterr().out

    found = json.loads((tmp_path / "runs/one/test/metrics.json").read_text())["metrics"]["doubt"]
    assert found["value"] == pytest.approx(1 - predictions.probabilities.max(1).mean())
    assert found["low"] < found["value"] < found["high"]
    page = (tmp_path / "runs/one/test/report.html").read_text()
    assert '<th scope="row">doubt</th>' in page
    assert "mean probability of other classes than the answer, lower is better" in page
    measured = measured_in(tmp_path / "runs/one", tmp_path / "x.ckpt")
    card = model_card("one", CheckpointInfo(NAMES, InputSpec(), measured=measured))
    assert f"| doubt | {found['value']:.3f} (" in card

    predictions.write_csv(tmp_path / "runs/two/test/predictions.csv")
    assert compare(["one", "two"], str(tmp_path / "runs"))["runs"]["two"]["differences"]["doubt"]["value"] == 0
    assert "Lower is better for brier, doubt, ece, nll." in capsys.readouterr().out
