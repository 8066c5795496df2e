"""The report of a test says what was measured, and what could not be."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from fer_lightning import FERError
from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.evaluation.predictions import read_predictions
from fer_lightning.reports.evaluation import evaluate
from fer_lightning.reports.groups import leading
from fer_lightning.reports.model_card import figures_of, model_card
from fer_lightning.reports.page import json_text, without_nan
from tests.conftest import flat


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
    assert f"accuracy                 {accuracy['value']:.4f}" in said
    assert "not measurable: jolly" in flat(said)

    page = (tmp_path / "out" / "report.html").read_text()
    assert f"{accuracy['value']:.3f}" in page
    assert page.count("not measurable with fewer than 10 images") == 1
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # nothing from elsewhere: it opens offline
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
    assert f"Intervals: {reason}." in flat(said)
    assert f"({reason})" in page
    for text in (said, re.sub('"data:[^"]*"', "", page)):
        assert not re.search(r"\bnan\b", text, re.IGNORECASE)
        assert "- to -" not in text
        assert "no interval" in text
    assert "no interval: all 60 images are of one person" in page


def test_a_measure_that_is_undefined_says_why(predictions, tmp_path, capsys):
    """Nine images of one class: no class has ten images, and there is nothing to rank."""
    few = predictions.take(range(9))
    images = tmp_path / "data_set" / "images"
    content = evaluate(few, np.array([0.5, 0.4, 0.1]), images, tmp_path / "out", {"checkpoint_sha256": "x"})
    assert content["metrics"]["macro_auroc"]["value"] is None
    assert content["metrics"]["macro_auroc"]["why"] == "all images are of one class"
    assert content["metrics"]["macro_f1_measurable"]["why"] == "no class has 10 images"
    assert "why" not in content["metrics"]["accuracy"]
    said, page = capsys.readouterr().out, (tmp_path / "out" / "report.html").read_text()
    assert re.search(r"macro_auroc +- +no interval: all images are of one class", said)
    assert re.search(r"macro_f1_measurable +- +no interval: no class has 10 images", said)
    assert '<td class="n">no interval: all images are of one class</td>' in page
    card = model_card("mine", CheckpointInfo(predictions.class_names, InputSpec(), measured=figures_of(content)))
    assert "| macro_auroc | - (no interval: all images are of one class) |" in card
    shown = re.sub('"data:[^"]*"', "", page.partition("</style>")[2])
    for text in (said, shown, card, json_text(content)):
        assert not re.search(r"\bnan\b|\binf\b|None", text, re.IGNORECASE)


def divided(predictions):
    """Women are always right; of ten men with three images each, each is right once. A boy is alone."""
    right = np.array([True] * 27 + [False] * 3 + [True, False, False] * 10)
    answers = np.where(right, predictions.labels, (predictions.labels + 1) % 3)
    columns = {"sex": ["<f>"] * 30 + ["m"] * 30, "age": ["7"] + [str(20 + n // 3) for n in range(59)]}
    return replace(predictions, probabilities=np.eye(3)[answers] * 0.7 + 0.1, attributes=columns)


def test_groups_are_measured_and_held_against_each_other(predictions, tmp_path, capsys):
    content = evaluate(divided(predictions), np.ones(3) / 3, tmp_path / "data_set" / "images", tmp_path / "out")
    women, men = (one for one in content["slices"] if one["attribute"] == "sex")
    assert (women["value"], women["images"], women["people"], women["accuracy"]) == ("<f>", 30, 10, 0.9)
    assert men["accuracy"] == pytest.approx(1 / 3)
    assert men["intervals"]["accuracy"] == pytest.approx([1 / 3, 1 / 3])  # of each man one image in three is right
    ages = [one for one in content["slices"] if one["attribute"] == "age"]
    assert sum(one["images"] for one in ages) == 60
    assert {(one["measurable"], one["why"]) for one in ages} == {(False, "fewer than 30 images")}
    gap = content["largest_gap"]["accuracy"]
    assert (gap["attribute"], gap["best"]["value"], gap["worst"]["value"]) == ("sex", "<f>", "m")
    assert gap["value"] == pytest.approx(0.9 - 1 / 3)
    assert gap["larger_than_chance"]
    assert content["gaps"][0] == gap
    assert content["worst_slice"]["value"] == "m"
    said = capsys.readouterr().out
    assert "Largest gap: accuracy 0.5667 (" in flat(said)
    assert "sex: <f> with 0.9000 and m with 0.3333; by chance up to " in flat(said)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Largest gap in accuracy: 0.567 (95 % " in page
    assert "&lt;f&gt; with 0.900 (30 images of 10 people) and m with 0.333 (30 images of 10 people)" in page
    assert page.count("not measurable: fewer than 30 images") >= 4
    assert '<i style="--low:0.333;--high:0.333"></i><b style="--at:0.333"></b><u style="--at:0.617"></u>' in page
    assert "<f>" not in page
    again = read_predictions(tmp_path / "out" / "predictions.csv")
    assert again.attributes == divided(predictions).attributes

    card = model_card("mine", CheckpointInfo(predictions.class_names, InputSpec(), measured=figures_of(content)))
    assert "| sex: m | 0.333 (0.333 to 0.333) | " in card
    assert "by sex: \\<f\\> with 0.900 (30 images of 10 people) and m with 0.333" in card


def test_the_gap_that_is_named_first_is_one_that_chance_does_not_make():
    gaps = {name: {"larger_than_chance": name == "macro_f1"} for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    assert leading(gaps) is gaps["macro_f1"]
    gaps["macro_f1"] = gaps["accuracy"]
    assert leading(gaps) is gaps["accuracy"]
    assert leading({}) is None


def test_slices_are_those_that_were_asked_for(predictions, tmp_path):
    where = (np.ones(3) / 3, tmp_path / "data_set" / "images", tmp_path / "out")
    content = evaluate(divided(predictions), *where, slices="sex")
    assert {one["attribute"] for one in content["slices"]} == {"sex"}
    content = evaluate(divided(predictions), *where, slices=["age", "user.id"])
    assert {one["attribute"] for one in content["slices"]} == {"age", "user.id"}
    content = evaluate(divided(predictions), *where, slices=[])
    assert (content["slices"], content["gaps"], content["largest_gap"]) == ([], [], {})
    assert "not divided by anything" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(FERError, match="Expected some of: sex, age, color"):
        evaluate(divided(predictions), *where, slices=["gender"])


def test_without_two_groups_to_compare_that_is_said(predictions, tmp_path, capsys):
    some = predictions.take(range(40))
    content = evaluate(some, np.ones(3) / 3, tmp_path / "data_set" / "images", tmp_path / "out")
    assert content["largest_gap"] == {}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No attribute has two groups of 30 images and 10 people or more" in page
    assert "Largest gap" not in capsys.readouterr().out


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


def test_of_many_classes_the_page_says_which_are_confused(predictions, tmp_path):
    many = replace(
        predictions,
        class_names=tuple(f"class {number}" for number in range(50)),
        probabilities=np.eye(50)[[7] * 30 + [5] * 10 + list(range(20))],
        labels=np.array([7] * 20 + [8] * 10 + [5] * 5 + [6] * 5 + list(range(20))),
    )
    evaluate(many, np.ones(50) / 50, tmp_path / "data_set" / "images", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Confusion matrix" not in page
    said = re.sub("<[^>]*>", "", page.partition("Most often confused:")[2].partition("</p>")[0])
    assert (
        said
        == " class 8 taken for class 7 10 times, 90.9% of class 8; class 6 taken for class 5 5 times, 83.3% of class 6."
    )


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
