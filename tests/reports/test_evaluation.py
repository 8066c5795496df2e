"""The report of a test says what was measured, and what could not be."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from fer_lightning.reports import plots
from fer_lightning.reports.evaluation import evaluate
from fer_lightning.reports.page import json_text, without_nan


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
    assert not content["classes"]["jolly"]["measurable"]
    assert np.array(content["confusion"]).sum(1).tolist() == [30, 25, 5]
    attributes = {one["attribute"] for one in content["slices"]}
    assert {"user.id", "person seen in training"} <= attributes
    assert sum(one["images"] for one in content["slices"] if one["attribute"] == "user.id") == 60
    said = capsys.readouterr().out
    assert f"accuracy                         {accuracy['value']:.4f}" in said
    assert "not measurable: jolly" in said

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
    out = tmp_path / "out"
    evaluate(predictions, np.ones(3) / 3, tmp_path / "data_set" / "images", out)
    (out / "report.html").unlink()
    (out / "report.html").mkdir()  # cannot be replaced by a file
    before = {name: (out / name).read_bytes() for name in ("metrics.json", "predictions.csv")}
    with pytest.raises(OSError, match="report"):
        evaluate(predictions.take(range(50)), np.ones(3) / 3, tmp_path / "data_set" / "images", out)
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "predictions.csv", "report.html"]
    assert {name: (out / name).read_bytes() for name in before} == before


NAMES = ("$x^$", "<b>|`=1", "items")


def test_odd_class_names_are_shown_as_they_are(predictions, tmp_path, capsys):
    odd = replace(predictions, class_names=NAMES, images=["a\x1b[2J.png", *predictions.images[1:]])
    content = evaluate(odd, np.array([0.4, 0.5, 0.1]), tmp_path / "data_set" / "images", tmp_path / "out")
    assert set(content["classes"]) == set(NAMES)
    said = capsys.readouterr().out
    assert "always '<b>|`=1'" in said
    assert "\x1b" not in said
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<b>|" not in page
    assert "&lt;b&gt;|`=1" in page


def test_many_classes_are_drawn_in_seconds():
    names = [f"class {number}" for number in range(300)]
    assert plots.confusion_matrix(np.eye(300, dtype=int).tolist(), names).startswith("data:image/svg+xml")


@pytest.mark.parametrize("history", ["", "epoch\nx\n", "epoch,train_loss\n0\n", "\x00", "epoch,train_loss\n0,abc\n"])
def test_a_damaged_table_of_epochs_leaves_the_curves_out(predictions, tmp_path, history):
    (tmp_path / "metrics.csv").write_text(history)
    where = (tmp_path / "data_set" / "images", tmp_path / "out")
    evaluate(predictions, np.ones(3) / 3, *where, history=tmp_path / "metrics.csv")
    assert (tmp_path / "out" / "report.html").is_file()


def test_what_is_not_finite_is_no_number_in_json():
    assert json_text(without_nan({"a": [np.inf, -np.inf, np.nan, np.float32(1), 2]})) == json_text(
        {"a": [None, None, None, 1.0, 2]}
    )
