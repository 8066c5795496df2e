"""Labels that networks contradict are listed, and the lists go back into training."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fer_lightning import FERDataModule, FERError
from fer_lightning.audit.audit import DataOptions, audit
from fer_lightning.audit.confident_learning import confident_learning
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.evaluation.predictions import Predictions


@pytest.fixture
def faces(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / "faces")


@pytest.fixture
def predictions(faces) -> Predictions:
    """Of a network that is right, but sees happiness in the first forty images; its classes are in another order."""
    legend = read_legend(faces / "legend.csv", faces / "images")
    names = legend.class_names
    probabilities = np.full((len(legend), 8), 0.02)
    probabilities[np.arange(len(legend)), legend.labels] = 0.86
    probabilities[:40] = 0.02
    probabilities[:40, 4] = 0.86  # a network that sees happiness in the first forty images
    people = [image[:10] for image in legend.images]
    people = [image[:10] for image in legend.images]
    seen = np.zeros(len(legend), bool)
    given = Predictions(legend.images, legend.labels, probabilities, names, people, legend.users, seen)
    return replace(given, class_names=names[::-1], labels=7 - given.labels, probabilities=probabilities[:, ::-1])


def test_label_issues_go_back_into_fit_and_never_into_the_test(faces, predictions, tmp_path, workdir):
    predictions.write_csv("predictions.csv")
    audit(DataOptions(str(faces)), "out", ["predictions.csv"])
    findings = json.loads((tmp_path / "out/findings.json").read_text())["findings"]
    found = next(one for one in findings if one["name"] == "label_issues")
    rows = list(csv.DictReader((tmp_path / "out/label_issues.csv").open()))
    assert list(rows[0]) == ["image", "label", "suggested", "issue_score"]
    assert found["figures"]["issues"] == len(rows) == 35  # five of the forty are labelled happiness
    assert found["figures"]["examined"] == 192
    assert {row["suggested"] for row in rows} == {"happiness"}
    assert {row["issue_score"] for row in rows} == {"0.8400"}
    assert f"looks like happiness (0.84)<br>{rows[0]['image']}" in (tmp_path / "out/report.html").read_text()

    (tmp_path / "suspects.csv").write_text(  # as version 0.1.0 called it
        (tmp_path / "out/label_issues.csv").read_text().replace("issue_score", "suspicion")
    )
    plain = FERDataModule(str(faces))
    for option in ("exclude", "relabel"):
        data = FERDataModule(str(faces), **{option: str(tmp_path / "out/label_issues.csv")})
        older = FERDataModule(str(faces), **{option: str(tmp_path / "suspects.csv")})
        assert older.split.fingerprint == data.split.fingerprint
        assert data.split.counts[2].tolist() == plain.split.counts[2].tolist()
        assert data.split.fingerprint != plain.split.fingerprint
        held = {row["image"] for row in rows} & {
            image for image, part in zip(plain.split.legend.images, plain.split.subsets, strict=True) if part != 2
        }
        change = data.split.counts.sum() - plain.split.counts.sum()
        assert change == (-len(held) if option == "exclude" else 0)
        if option == "relabel":
            assert data.split.counts[:2, 4].sum() - plain.split.counts[:2, 4].sum() == len(held)


def test_predictions_of_other_data_are_refused_before_images_are_read(faces, predictions, tmp_path):
    for changed, message in (
        ({"images": [f"x{image}" for image in predictions.images]}, "none of them matches"),
        ({"class_names": tuple("abcdefgh")}, "of other classes than the legend. Expected anger, contempt"),
    ):
        replace(predictions, **changed).write_csv(tmp_path / "other.csv")
        with pytest.raises(FERError, match=message):
            audit(DataOptions(str(faces)), str(tmp_path / "out"), [str(tmp_path / "other.csv")])
        assert not (tmp_path / "out").exists()


def test_confident_learning_finds_planted_label_errors():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 2000)
    given = true.copy()
    wrong = rng.choice(2000, 200, replace=False)
    given[wrong] = (true[wrong] + rng.integers(1, 4, 200)) % 4
    probabilities = np.full((2000, 4), 0.08)
    probabilities[np.arange(2000), true] = 0.76
    probabilities = probabilities + rng.dirichlet(np.ones(4), 2000) * 0.1
    found = confident_learning(given, probabilities / probabilities.sum(1, keepdims=True))
    issues = set(found.rows.tolist())
    assert len(issues & set(wrong.tolist())) > 190
    assert len(issues - set(wrong.tolist())) < 10
    assert 1 - found.joint.trace() == pytest.approx(0.1, abs=0.01)
    assert (found.suggested[wrong] == true[wrong]).mean() > 0.95
    assert (np.diff(found.issue_score[found.rows]) <= 0).all()
