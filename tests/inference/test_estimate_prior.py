"""How frequent the classes are in images whose labels nobody knows."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

from fer_lightning.errors import FERError
from fer_lightning.evaluation.predictions import Predictions
from fer_lightning.inference.estimate_prior import _answers, estimate_prior, fit_prior
from fer_lightning.inference.expression import Expression
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.rows import RowWriter
from fer_lightning.inference.sources import Source
from tests.conftest import flat, run_here
from tests.inference.conftest import rows_of


def test_classes_that_never_look_alike_are_counted():
    answers = np.repeat(np.eye(3), [7, 2, 1], axis=0)
    assert fit_prior(answers, np.full(3, 1 / 3)).tolist() == pytest.approx([0.7, 0.2, 0.1])


def test_frequencies_are_found_where_classes_overlap():
    """Two normal distributions, at -1 and 1; the exact posterior for equal frequencies is a logistic function."""
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(-1, 1, 18_000), random.normal(1, 1, 2_000)])
    second = 1 / (1 + np.exp(-2 * values))
    found = fit_prior(np.stack([1 - second, second], 1), np.array([0.5, 0.5]))
    assert found[1] == pytest.approx(0.1, abs=0.01)
    assert second.mean() > 0.2  # what counting the answers would say
    learned = np.array([0.8, 0.2])
    skewed = np.stack([1 - second, second], 1) * learned
    again = fit_prior(skewed / skewed.sum(1, keepdims=True), learned)
    assert again.tolist() == pytest.approx(found.tolist(), abs=1e-3)


def test_what_is_found_in_rows_can_be_given_to_predict(drawn, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predict = [
        "predict",
        "--ckpt_path",
        "pretrained",
        "--input",
        drawn / "images",
        "--faces",
        "whole",
        "--workers",
        "0",
    ]
    run_here(*predict, "--output", "rows.jsonl", cwd=tmp_path)
    run_here(*predict, "--output", "rows.csv", cwd=tmp_path)
    said = []
    for rows in ("rows.csv", "rows.jsonl"):
        capsys.readouterr()
        run_here("estimate_prior", "--rows", rows, cwd=tmp_path)
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "192 faces: too few for a firm estimate" in said[0]
    found = re.search(r"Use --class_prior '(\[.*\])'", said[0]).group(1)
    assert sum(json.loads(found)) == pytest.approx(1, abs=1e-3)
    run_here(*predict, "--output", "moved.csv", "--class_prior", found, cwd=tmp_path)
    for words, message in (
        (["moved.csv", "pretrained"], "made for another class prior already"),
        (["gone.csv", "pretrained"], "Expected a .csv or .jsonl file of rows. Received: gone"),
        (["rows.csv.settings.json", "pretrained"], "Expected a .csv or .jsonl file"),
    ):
        with pytest.raises(FERError, match=message):
            estimate_prior(*words)
    names = (tmp_path / "rows.csv").read_text().splitlines()[0]
    (tmp_path / "words.csv").write_text(f"{names}\n{','.join(['word'] * len(names.split(',')))}\n")
    with pytest.raises(FERError, match=r"'words.csv' cannot be read after row 1: could not convert"):
        estimate_prior("words.csv", "pretrained")
    (tmp_path / "test").mkdir()
    (tmp_path / "test/predictions.csv").write_text((tmp_path / "rows.csv").read_text())
    stated = json.loads((tmp_path / "rows.csv.settings.json").read_text())["effective_prior"]
    (tmp_path / "test/metrics.json").write_text(json.dumps({"effective_prior": stated, "checkpoint": "gone.pt2"}))
    capsys.readouterr()
    estimate_prior("test/predictions.csv")
    assert capsys.readouterr().out == said[0]
    estimate_prior("moved.csv")  # what was made for the found frequencies says them again
    assert f"--class_prior '{found}'" in flat(capsys.readouterr().out)
    (tmp_path / "test/metrics.json").write_text('{"class_prior": "uniform", "checkpoint": "pretrained"}')
    with pytest.raises(FERError, match="made for another class prior already"):
        estimate_prior("test/predictions.csv", "pretrained")
    shutil.copy(tmp_path / "rows.csv", tmp_path / "test/rows.csv")  # not what metrics.json is about
    with pytest.raises(FERError, match=r"Nothing beside 'test/rows.csv' says what made it"):
        estimate_prior("test/rows.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FERError, match=r"Nothing beside 'other.csv' says what made it: name it with --ckpt_path"):
        estimate_prior("other.csv")
    with pytest.raises(FERError, match=r"'other.csv', row 1: expected columns anger, contempt"):
        estimate_prior("other.csv", "pretrained")


@pytest.mark.parametrize(
    "said",
    [
        '{"model": "evil.pt2"}',
        '{"checkpoint": "evil.pt2"}',
        '{"effective_prior": {"a": "0.5", "b": 0.5}}',
        '{"effective_prior": {"a": NaN, "b": 0.5}}',
        '{"effective_prior": {"a": 0.9, "b": 0.9}}',
        '{"effective_prior": {"../a": 0.5, "b": 0.5}}',
        '{"effective_prior": [0.5, 0.5]}',
        '{"effective_prior": "a"}',
        "[" * 100_000,
        "[1, 2]",
        "",
        "\0",
    ],
)
def test_a_file_beside_rows_never_names_a_model_to_open(said, workdir):
    (workdir / "evil.pt2").write_text("whatever it is, it is not opened")
    (workdir / "rows.csv").write_text("a,b\n0.2,0.8\n0.7,0.3\n")
    (workdir / "rows.csv.settings.json").write_text(said)
    with pytest.raises(FERError, match=r"ame (it|the model) with --ckpt_path"):
        estimate_prior("rows.csv")


def test_a_class_that_was_never_shown_is_not_found(workdir, capsys):
    (workdir / "rows.csv").write_text("a,b,c\n0.9,0.1,0\n0.9,0.1,0\n0.1,0.9,0\n")
    (workdir / "rows.csv.settings.json").write_text('{"effective_prior": {"a": 0.5, "b": 0.5, "c": 0.0}}')
    estimate_prior("rows.csv")
    assert json.loads(capsys.readouterr().out.split("'")[1])[2] == 0


@pytest.mark.parametrize("row", ["nan,0.5", "2,-1", "0,0", "inf,0"])
def test_rows_that_are_no_probabilities_are_refused(row, workdir):
    (workdir / "rows.csv").write_text(f"a,b\n{row}\n")
    (workdir / "rows.csv.settings.json").write_text('{"effective_prior": {"a": 0.5, "b": 0.5}}')
    with pytest.raises(FERError, match=r"'rows.csv' cannot be read after row 1"):
        estimate_prior("rows.csv")


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_classes_called_as_columns_are_found_in_their_own(ending, tmp_path):
    names = ("error", "=1+1", "jolly")
    said = Expression("jolly", 0.5, dict(zip(names, (0.2, 0.3, 0.5), strict=True)), None)
    frame = Frame(Source("a.jpg", "image"), faces=[None], numbers=[0])
    with RowWriter(str(tmp_path / f"rows.{ending}"), names, {}) as writer:
        writer.write(rows_of(frame, [said], names))
    assert list(_answers(tmp_path / f"rows.{ending}", names)) == [[0.2, 0.3, 0.5]]


def test_the_rows_of_a_test_have_columns_of_their_own_too(tmp_path):
    names = ("image", "=1+1")
    of = Predictions(["a"], np.array([0]), np.array([[0.25, 0.75]]), names, ["p"], ["u"], np.array([False]))
    of.write_csv(tmp_path / "predictions.csv")
    assert list(_answers(tmp_path / "predictions.csv", names)) == [[0.25, 0.75]]
