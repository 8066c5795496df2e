"""`compare` puts runs side by side, on the same images only."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from fer_lightning import FERError
from fer_lightning.reports.compare import compare
from tests.conftest import flat


@pytest.fixture
def runs(predictions, tmp_path) -> str:
    """Runs: old; new, which is better, with the rows in another order; less, with another image; and alone."""
    better = predictions.probabilities.copy()
    better[np.arange(60), predictions.labels] += 1
    new = replace(predictions, probabilities=better / better.sum(1, keepdims=True))
    alone = replace(predictions, identities=["ann"] * 60)
    found = {
        "old": predictions,
        "new": new.take(np.random.default_rng(1).permutation(60).tolist()),
        "less": replace(predictions, images=["other.png", *predictions.images[1:]]),
        "classes": replace(predictions, class_names=("a", "b", "c")),
        "alone": alone,
        "alone_too": alone,
    }
    for name, run in found.items():
        run.write_csv(tmp_path / "runs" / name / "test" / "predictions.csv")
    return str(tmp_path / "runs")


def test_images_are_paired(predictions, runs, tmp_path, capsys):
    content = compare(["old", "new"], runs, str(tmp_path / "c.json"))
    difference = content["runs"]["new"]["differences"]["accuracy"]
    assert difference["value"] == pytest.approx(1 - predictions.measures.right.mean())
    assert difference["low"] > 0
    assert content["runs"]["new"]["only_first_right"] == 0
    assert content["runs"]["new"]["mcnemar_p"] < 0.05
    assert "McNemar" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text()) == content


def test_what_cannot_be_compared_is_refused(runs):
    with pytest.raises(FERError, match="not tested on the same images: 60 and 60, 59 of them in both"):
        compare(["old", "less"], runs)
    with pytest.raises(FERError, match="have different classes: anger, fear, jolly and a, b, c"):
        compare(["old", "classes"], runs)
    with pytest.raises(FERError, match="two runs or more"):
        compare(["old"], runs)
    with pytest.raises(FERError, match="No predictions at"):
        compare(["old", "none"], runs)


@pytest.mark.parametrize("twin", ["old", "old/", "../runs/old", "new/../old"])
def test_a_run_is_not_compared_with_itself(twin, runs):
    with pytest.raises(FERError, match=rf"needs different runs. Received: 'old' and '{twin}'.* Name each run once"):
        compare(["old", twin], runs)


def test_one_person_gives_differences_without_intervals_and_the_reason(runs, capsys):
    content = compare(["alone", "alone_too"], runs)
    assert content["runs"]["alone_too"]["differences"]["accuracy"] == {"value": 0, "low": None, "high": None}
    said = capsys.readouterr().out
    assert "Intervals: none, as all 60 images are of one person" in flat(said)
    assert "+0.0000 (no interval)" in said
    assert "nan" not in said


def test_groups_and_gaps_stand_side_by_side(predictions, tmp_path, capsys):
    """Women are always right. Men are never right in the first run, and always in the second."""
    sex = ["f"] * 30 + ["m"] * 30
    wrong = (predictions.labels + 1) % 3
    first = replace(predictions, probabilities=np.eye(3)[np.where(np.arange(60) < 30, predictions.labels, wrong)])
    other = replace(predictions, probabilities=np.eye(3)[predictions.labels], attributes={"sex": sex})
    runs = {"old": first, "new": other, "same": replace(first, attributes={"sex": sex})}  # an old file has no columns
    for name, run in runs.items():
        run.write_csv(tmp_path / "runs" / name / "test" / "predictions.csv")
    content = compare(["old", "new", "same"], str(tmp_path / "runs"), slices=["sex"])
    assert content["runs"]["old"]["largest_gap"]["accuracy"]["value"] == 1
    assert content["runs"]["new"]["largest_gap"]["accuracy"]["value"] == 0
    gap = content["runs"]["new"]["gaps"][0]
    change = {"first": 1, "this": 0, "difference": -1, "low": -1, "high": -1}
    assert gap == {"attribute": "sex", "measure": "accuracy"} | change
    women, men = content["runs"]["new"]["groups"]
    assert women["accuracy"] == {"first": 1, "this": 1, "difference": 0, "low": 0, "high": 0}
    assert men["accuracy"] == {"first": 0, "this": 1, "difference": 1, "low": 1, "high": 1}
    assert {gap["difference"] for gap in content["runs"]["same"]["gaps"]} == {0}
    said = capsys.readouterr().out
    assert re.search(r"accuracy, sex +1.0000 +0.0000 +-1.0000 \(-1.0000 to -1.0000\)  \*", said)
    assert re.search(r"sex = m +0.0000 +1.0000 +\+1.0000", said)
    with pytest.raises(FERError, match=r"--slices. Expected some of: sex, user.id, .* Received: 'gender'"):
        compare(["old", "new"], str(tmp_path / "runs"), slices=["gender"])


def test_what_is_undefined_in_both_is_no_nan(predictions, tmp_path, capsys):
    few = predictions.take(range(9))  # of one class
    for name in ("one", "two"):
        few.write_csv(tmp_path / "runs" / name / "test" / "predictions.csv")
    compare(["one", "two"], str(tmp_path / "runs"), str(tmp_path / "c.json"))
    said = capsys.readouterr().out
    assert re.search(r"macro_auroc +- +- +- \(undefined: all images are of one class\)", said)
    assert not re.search(r"\bnan\b", said + (tmp_path / "c.json").read_text(), re.IGNORECASE)


def test_figures_replace_nothing_that_is_there(workdir):
    for run in ("a", "b"):
        (workdir / "runs" / run / "test").mkdir(parents=True)
        (workdir / "runs" / run / "test" / "predictions.csv").write_text("mine")
    (workdir / "mine.json").write_text("mine")
    for output in ("mine.json", "runs/a/test/predictions.csv"):
        with pytest.raises(FERError, match="Invalid value for --output"):
            compare(["a", "b"], output=output)
    assert (workdir / "runs/a/test/predictions.csv").read_text() == (workdir / "mine.json").read_text() == "mine"
    with pytest.raises(FERError, match="is what is read"):
        compare(["a", "b"], output="runs/a/test/predictions.csv", overwrite=True)


@pytest.fixture
def seeds(predictions, tmp_path) -> str:
    """Runs a/seed0..2 and b/seed0..2 of two recipes that are the same, with what else may lie there."""
    for name, start in (("a", 0), ("b", 3)):
        for number in range(3):
            changed = predictions.probabilities + np.random.default_rng(start + number).dirichlet(np.ones(3), 60)
            run = replace(predictions, probabilities=changed / changed.sum(1, keepdims=True))
            run.write_csv(tmp_path / "runs" / name / f"seed{number}" / "test" / "predictions.csv")
        (tmp_path / "runs" / name / "options.json").write_text("[]")
        (tmp_path / "runs" / name / "untested").mkdir()
    predictions.write_csv(tmp_path / "runs" / "alone" / "test" / "predictions.csv")
    return str(tmp_path / "runs")


@pytest.mark.parametrize(
    "names", [pytest.param(("a/*", "b/*"), marks=pytest.mark.slow), ("a/seed[0-2]", "b"), ("a", "b/")]
)
def test_groups_of_runs_are_compared_over_seeds(names, seeds, capsys):
    content = compare(names, seeds)
    first, other = (content["runs"][name] for name in names)
    assert first["seeds"] == other["seeds"] == 3
    assert [run[-5:] for run in first["runs"]] == ["seed0", "seed1", "seed2"]
    change = other["differences"]["accuracy"]
    assert change["value"] == pytest.approx(other["metrics"]["accuracy"] - first["metrics"]["accuracy"])
    assert change["low"] < 0 < change["high"]
    said = flat(capsys.readouterr().out)
    assert f"A is {names[0]}, 3 trainings: means over them." in said
    assert "The intervals are for other people and other seeds." in said
    assert f"Standard deviation over 3 seeds, B: accuracy {other['sd']['accuracy']:.4f}" in said
    assert "McNemar" not in said
    assert "not accounted for" not in said


@pytest.mark.slow
def test_a_pattern_finds_each_run_once_and_no_seed_twice(seeds, tmp_path, monkeypatch):
    once = compare(["a/*", "b/*"], seeds)["runs"]
    whole = compare([f"{seeds}/a/*", f"{seeds}/b/*"], seeds)["runs"]  # absolute, it is the same within --runs_dir
    assert whole[f"{seeds}/b/*"]["differences"] == once["b/*"]["differences"]
    monkeypatch.chdir(seeds)
    assert compare(["a/*", "b/*"], ".")["runs"]["b/*"]["differences"] == once["b/*"]["differences"]
    for name, seed in (("seed0", 0), ("seed1", 1), ("seed2", 0)):
        (tmp_path / "runs" / "a" / name / "config.yaml").write_bytes(b"# \xff\nseed_everything: %d\n" % seed)
    with pytest.raises(FERError, match=r"'a/\*' has two runs of seed 0: '.*seed0' and '.*seed2'"):
        compare(["a/*", "b/*"], seeds)


def test_single_runs_say_that_seeds_are_not_accounted_for(seeds, capsys):
    compare(["a/seed0", "b/seed0"], seeds)
    assert "Seeds are not accounted for" in flat(capsys.readouterr().out)
    content = compare(["a/*", "alone"], seeds)
    assert "seeds" not in content["runs"]["alone"]
    assert "B is one training and is taken as it is" in flat(capsys.readouterr().out)


def test_a_cross_validation_is_compared_as_one_run(predictions, seeds, tmp_path):
    for name in ("", "seed0-fold0", "seed0-fold1"):
        predictions.write_csv(tmp_path / "runs" / "folds" / name / "test" / "predictions.csv")
    content = compare(["alone", "folds"], seeds)
    assert "seeds" not in content["runs"]["folds"]
    assert content["runs"]["folds"]["mcnemar_p"] == 1


def test_groups_that_overlap_or_are_empty_are_refused(seeds):
    with pytest.raises(FERError, match=r"needs different runs. Received: 'a/\*' and 'a/seed1'"):
        compare(["a/*", "a/seed1"], seeds)
    with pytest.raises(FERError, match=r"No predictions at 'c/\*'.*0 files or folders"):
        compare(["a/*", "c/*"], seeds)
    with pytest.raises(FERError, match=r"No predictions at 'a/u\*'.*1 file or folder"):
        compare(["a/u*", "b"], seeds)
    with pytest.raises(FERError, match=r"options.json' is a file.*in quotes, as compare 'a/\*' 'b/\*'"):
        compare(["a/options.json", "a/seed0"], seeds)


def test_classes_in_another_order_or_only_of_one_run_are_put_beside_each_other(predictions, runs, tmp_path):
    """The other model knows no `jolly`, and a class of its own; what both say is the same otherwise."""
    fewer = predictions.probabilities.copy()
    fewer[:, 2] = 0
    ours = replace(predictions, probabilities=fewer / fewer.sum(1, keepdims=True))
    named = ("fear", "anger", "other", "jolly")
    places = [1, 0, 2]
    theirs = replace(
        ours,
        class_names=named,
        labels=np.array([1, 0, 3])[ours.labels],
        probabilities=np.concatenate([ours.probabilities[:, places], np.zeros((60, 1))], 1),
    )
    ours.write_csv(tmp_path / "runs" / "ours" / "test" / "predictions.csv")
    theirs.write_csv(tmp_path / "runs" / "theirs" / "test" / "predictions.csv")
    change = compare(["ours", "theirs"], runs)["runs"]["theirs"]["differences"]
    assert {name: row["value"] for name, row in change.items() if row["value"] is not None} == pytest.approx(
        {name: 0 for name, row in change.items() if row["value"] is not None}, abs=1e-9
    )
