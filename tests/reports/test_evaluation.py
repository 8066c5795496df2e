"""The report of a test says what was measured, and what could not be."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from fer_lightning.reports.evaluation import evaluate


def test_the_report_says_what_was_measured(predictions, tmp_path, capsys):
    about = {"subset": "testing", "how": {"command": "x"}}
    prior = np.array([0.5, 0.4, 0.1])
    content = evaluate(predictions, prior, tmp_path / "data_set" / "images", tmp_path / "out", about)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == content
    accuracy = content["metrics"]["accuracy"]
    assert accuracy["value"] == pytest.approx(float(predictions.measures.right.mean()))
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert accuracy["baseline"] == pytest.approx(0.5)
    assert content["people"] == 20
    assert not content["classes"]["joy"]["measurable"]
    assert np.array(content["confusion"]).sum(1).tolist() == [30, 25, 5]
    attributes = {one["attribute"] for one in content["slices"]}
    assert {"user.id", "person seen in training"} <= attributes
    assert sum(one["images"] for one in content["slices"] if one["attribute"] == "user.id") == 60
    said = capsys.readouterr().out
    assert f"accuracy                         {accuracy['value']:.4f}" in said
    assert "not measurable: joy" in said

    page = (tmp_path / "out" / "report.html").read_text()
    assert f"{accuracy['value']:.3f}" in page
    assert page.count("not measurable with fewer than 10 images") == 1
    assert not re.search(r'(src|href)="(?!data:)', page)  # nothing from elsewhere: it opens offline
    wrong = (~predictions.measures.right).sum()
    assert page.count("<figure>") == min(24, wrong)


def test_text_from_files_cannot_become_markup(predictions, tmp_path):
    users = ["<script>alert(1)</script>"] * 40 + ["me"] * 20
    images = tmp_path / "data_set" / "images"
    evaluate(replace(predictions, users=users), np.ones(3) / 3, images, tmp_path / "out")
    assert "<script>" not in (tmp_path / "out" / "report.html").read_text()


def test_one_person_gives_figures_without_intervals_and_the_reason(predictions, tmp_path, capsys):
    alone = replace(predictions, identities=["ann"] * 60)
    content = evaluate(alone, np.ones(3) / 3, tmp_path / "data_set" / "images", tmp_path / "out")
    reason = "none, as all 60 images are of one person and intervals come from redrawing people"
    assert content["intervals"] == reason
    assert content["metrics"]["accuracy"]["low"] is None
    said, page = capsys.readouterr().out, (tmp_path / "out" / "report.html").read_text()
    assert f"Intervals: {reason}." in said
    assert f"Intervals: {reason}." in page
    for text in (said, re.sub('"data:[^"]*"', "", page)):
        assert not re.search(r"\bnan\b", text, re.IGNORECASE)
        assert "- to -" not in text
        assert "no interval" in text


def test_figures_of_an_earlier_test_do_not_stand_beside_new_predictions(predictions, tmp_path):
    where = (tmp_path / "data_set" / "images", tmp_path / "out")
    evaluate(predictions, np.ones(3) / 3, *where)
    (tmp_path / "out/report.html").unlink()
    (tmp_path / "out/report.html").mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match="report"):
        evaluate(predictions, np.ones(3) / 3, *where)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["predictions.csv", "report.html"]
