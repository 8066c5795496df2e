"""How frequent the classes are in pictures whose labels nobody knows."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

from fer_lightning.inference.estimate_prior import estimate_shares
from fer_lightning.inference.model import open_model
from tests.conftest import run_here


def test_shares_of_classes_that_never_look_alike_are_counted():
    answers = np.repeat(np.eye(3), [7, 2, 1], axis=0)
    assert estimate_shares(answers, np.full(3, 1 / 3)).tolist() == pytest.approx([0.7, 0.2, 0.1])


def test_shares_are_found_where_classes_overlap():
    """Two normal distributions, at -1 and 1; the exact posterior for equal shares is a logistic function."""
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(-1, 1, 18_000), random.normal(1, 1, 2_000)])
    second = 1 / (1 + np.exp(-2 * values))
    found = estimate_shares(np.stack([1 - second, second], 1), np.array([0.5, 0.5]))
    assert found[1] == pytest.approx(0.1, abs=0.01)
    assert second.mean() > 0.2  # what counting the answers would say
    learnt = np.array([0.8, 0.2])
    skewed = np.stack([1 - second, second], 1) * learnt
    again = estimate_shares(skewed / skewed.sum(1, keepdims=True), learnt)
    assert again.tolist() == pytest.approx(found.tolist(), abs=1e-3)


def test_shares_of_rows_can_be_given_to_predict(drawn, tmp_path, capsys, monkeypatch):
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
        run_here("shares", "--rows", rows, cwd=tmp_path)
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "192 faces: too few for a firm estimate" in said[0]
    found = re.search(r"--class_prior '(\[.*\])'", said[0]).group(1)
    assert sum(json.loads(found)) == pytest.approx(1, abs=1e-3)
    run_here(*predict, "--output", "moved.csv", "--class_prior", found, cwd=tmp_path)
    for words, message in (
        (["--rows", "moved.csv"], "made for other class shares already"),
        (["--rows", "gone.csv", "--ckpt_path", "pretrained"], "Expected a .csv or .jsonl file of rows. Received: gone"),
        (["--rows", "rows.csv.settings.json", "--ckpt_path", "pretrained"], "Expected a .csv or .jsonl file"),
    ):
        with pytest.raises(SystemExit):
            run_here("shares", *words, cwd=tmp_path)
        assert message in capsys.readouterr().err
    names = (tmp_path / "rows.csv").read_text().splitlines()[0]
    (tmp_path / "words.csv").write_text(f"{names}\n{','.join(['word'] * len(names.split(',')))}\n")
    with pytest.raises(SystemExit):
        run_here("shares", "--rows", "words.csv", "--ckpt_path", "pretrained", cwd=tmp_path)
    assert "'words.csv' cannot be read after row 1: could not convert" in capsys.readouterr().err
    (tmp_path / "test").mkdir()
    (tmp_path / "test/predictions.csv").write_text((tmp_path / "rows.csv").read_text())
    (tmp_path / "test/metrics.json").write_text('{"class_prior": "uniform", "checkpoint": "pretrained"}')
    with pytest.raises(SystemExit):
        run_here("shares", "--rows", "test/predictions.csv", cwd=tmp_path)
    assert "made for other class shares already" in capsys.readouterr().err
    own = open_model("pretrained", device="cpu").class_prior
    (tmp_path / "test/metrics.json").write_text(json.dumps({"class_prior": own, "checkpoint": "pretrained"}))
    capsys.readouterr()
    run_here("shares", "--rows", "test/predictions.csv", cwd=tmp_path)  # of what made it
    assert capsys.readouterr().out == said[0]
    shutil.copy(tmp_path / "rows.csv", tmp_path / "test/rows.csv")  # not what metrics.json is about
    with pytest.raises(SystemExit):
        run_here("shares", "--rows", "test/rows.csv", cwd=tmp_path)
    assert "Nothing beside 'test/rows.csv' says what made it" in capsys.readouterr().err
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit):
        run_here("shares", "--rows", "other.csv", cwd=tmp_path)
    assert "Nothing beside 'other.csv' says what made it: name it with --ckpt_path" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run_here("shares", "--rows", "other.csv", "--ckpt_path", "pretrained", cwd=tmp_path)
    assert "'other.csv', row 1: expected columns anger, contempt" in capsys.readouterr().err
