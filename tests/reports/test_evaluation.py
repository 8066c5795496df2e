from __future__ import annotations

import json
import re

import numpy as np
import pytest

from fer_lightning import FERError
from fer_lightning.evaluation.compare import compare, mcnemar
from fer_lightning.evaluation.predictions import Predictions, joined, read_predictions
from fer_lightning.reports.case import Evaluation
from fer_lightning.reports.evaluation import evaluate

NAMES = ("anger", "fear", "joy")


@pytest.fixture
def predictions(make_data):
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


def test_the_report_says_what_was_measured(predictions, tmp_path, capsys):
    evaluation = Evaluation(
        predictions,
        np.array([0.5, 0.4, 0.1]),
        tmp_path / "data_set" / "images",
        {"part": "testing", "how": {"command": "x"}},
    )
    content = evaluate(evaluation, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == content
    accuracy = content["metrics"]["accuracy"]
    assert accuracy["value"] == pytest.approx(float(predictions.measures.right.mean()))
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert accuracy["baseline"] == pytest.approx(0.5)
    assert content["people"] == 20
    assert not content["classes"]["joy"]["measurable"]
    assert np.array(content["confusion"]).sum(1).tolist() == [30, 25, 5]
    facts = {part["fact"] for part in content["slices"]}
    assert {"user.id", "person seen in training"} <= facts
    assert sum(part["images"] for part in content["slices"] if part["fact"] == "user.id") == 60
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
    from dataclasses import replace

    users = ["<script>alert(1)</script>"] * 40 + ["me"] * 20
    evaluation = Evaluation(replace(predictions, users=users), np.ones(3) / 3, tmp_path / "data_set" / "images")
    evaluate(evaluation, tmp_path / "out")
    assert "<script>" not in (tmp_path / "out" / "report.html").read_text()


def test_predictions_survive_the_file(predictions, tmp_path):
    predictions.write_csv(tmp_path / "p.csv")
    again = read_predictions(tmp_path / "p.csv")
    assert again.images == predictions.images
    assert again.class_names == NAMES
    assert again.seen.tolist() == predictions.seen.tolist()
    np.testing.assert_allclose(again.probabilities, predictions.probabilities, rtol=1e-8)
    assert len(joined([again, again]).images) == 120
    with pytest.raises(FERError, match="No predictions at"):
        read_predictions(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FERError, match=r"not a predictions\.csv"):
        read_predictions(tmp_path / "other.csv")


def test_mcnemar_by_hand():
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 0) == pytest.approx(2 / 2**5)
    assert mcnemar(1, 4) == pytest.approx(2 * (1 + 5) / 2**5)


def test_compare_pairs_the_images_and_refuses_other_ones(predictions, tmp_path, capsys):
    from dataclasses import replace

    better = predictions.probabilities.copy()
    better[np.arange(60), predictions.labels] += 1
    shuffled = np.random.default_rng(1).permutation(60)
    runs = {
        "old": predictions,
        "new": replace(
            predictions,
            images=[predictions.images[n] for n in shuffled],
            labels=predictions.labels[shuffled],
            probabilities=(better / better.sum(1, keepdims=True))[shuffled],
            identities=[predictions.identities[n] for n in shuffled],
        ),
        "less": replace(predictions, images=["other.png", *predictions.images[1:]]),
    }
    for name, run in runs.items():
        (tmp_path / "runs" / name / "test").mkdir(parents=True)
        run.write_csv(tmp_path / "runs" / name / "test" / "predictions.csv")
    content = compare(["old", "new"], str(tmp_path / "runs"), str(tmp_path / "c.json"))
    difference = content["runs"]["new"]["differences"]["accuracy"]
    assert difference["value"] == pytest.approx(1 - predictions.measures.right.mean())
    assert difference["low"] > 0
    assert content["runs"]["new"]["only_first_right"] == 0
    assert content["runs"]["new"]["mcnemar_p"] < 0.05
    assert "McNemar" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text()) == content
    with pytest.raises(FERError, match="not tested on the same images: 60 and 60, 59 of them shared"):
        compare(["old", "less"], str(tmp_path / "runs"))
    with pytest.raises(FERError, match="two runs or more"):
        compare(["old"], str(tmp_path / "runs"))
