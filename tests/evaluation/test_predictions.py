"""Predictions survive their file."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from fer_lightning import FERError
from fer_lightning.evaluation.predictions import Predictions, joined, read_predictions
from tests.evaluation.conftest import NAMES


def same(one: Predictions, other: Predictions) -> bool:
    assert one.labels.tolist() == other.labels.tolist()
    assert one.seen.tolist() == other.seen.tolist()
    np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-8)
    names = ("images", "class_names", "identities", "users", "attributes")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def test_predictions_survive_the_file(predictions, tmp_path):
    predictions.write_csv(tmp_path / "p.csv")
    again = read_predictions(tmp_path / "p.csv")
    assert again.class_names == NAMES
    assert same(again, predictions)
    assert len(joined([again, again]).images) == 120
    assert same(again.take([3, 1]).take([1, 0]), again.take([1, 3]))


@pytest.mark.parametrize(
    "names", [("label", "seen", "image"), ("identity", "user.id", "seen"), ("a", "b", "predicted")]
)
def test_a_class_may_be_called_like_a_column(names, predictions, tmp_path):
    called = replace(predictions, class_names=names)
    called.write_csv(tmp_path / "p.csv")
    assert same(read_predictions(tmp_path / "p.csv"), called)
    row = next(csv.DictReader((tmp_path / "p.csv").open()))
    assert len(row) == 7 + 3  # no column hides another
    own = names[1] if names[1] == "b" else f"class:{names[1]}"
    assert float(row[own]) == pytest.approx(called.probabilities[0, 1])
    assert row["image"] == called.images[0]


@pytest.mark.parametrize("names", [NAMES, ("label", "seen", "image")])
def test_files_of_version_0_1_0_are_read(names, predictions, tmp_path):
    called = replace(predictions, class_names=names)
    called.write_csv(tmp_path / "p.csv")
    rows = list(csv.reader((tmp_path / "p.csv").open()))
    with (tmp_path / "old.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([*row[:4], *row[7:], *row[4:7]] for row in rows)
    assert same(read_predictions(tmp_path / "old.csv"), called)


HEAD = "image,label,predicted,confidence,identity,user.id,seen,jolly,fear\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"not a predictions\.csv: expected columns image, label"),
        ("", r"not a predictions\.csv"),
        (HEAD, "holds no predictions"),
        (HEAD + "a.png,jolly,jolly,0.9,a,me,no,0.9,0.1\na.png,jolly\n", "is damaged: .* up to line 3"),
        (HEAD + "a.png,anger,jolly,0.9,a,me,no,0.9,0.1\n", "is damaged: .*anger"),
        (HEAD + "a.png,jolly,jolly,0.9,a,me,no,0.9,high\n", "is damaged: .*high"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(text, message, tmp_path):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(FERError, match=message):
        read_predictions(tmp_path / "p.csv")
    with pytest.raises(FERError, match="No predictions at"):
        read_predictions(tmp_path / "none.csv")


def test_other_classes_cannot_be_joined(predictions):
    with pytest.raises(FERError, match="different classes cannot be joined"):
        joined([predictions, replace(predictions, class_names=("a", "b", "c"))])


def test_what_a_spreadsheet_takes_for_a_formula_is_written_as_text_and_comes_back(predictions, tmp_path):
    names = ("=1+1", "class:image", "-1")
    odd = ["=cmd|x!A1.png", "@a.png", "-1.5", "'=b.png", "'plain.png", "+x\ty.png", *predictions.images[6:]]
    called = replace(predictions, class_names=names, images=odd, users=["-me"] * 60, identities=["=you"] * 60)
    called.write_csv(tmp_path / "p.csv")
    assert same(read_predictions(tmp_path / "p.csv"), called)
    table = list(csv.reader((tmp_path / "p.csv").open()))
    assert table[0][7:] == ["'=1+1", "class:class:image", "-1"]
    assert [row[0] for row in table[1:6]] == ["'=cmd|x!A1.png", "'@a.png", "-1.5", "''=b.png", "'plain.png"]
    assert not [cell for row in table for cell in row if cell[:1] in tuple("=@+") or cell[:2] == "-m"]


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("a,b", "nan,0.5"),
        ("a,b", "0.9,0.9"),
        ("a,b", "-1,2"),
        ("a,b", "inf,0"),
        ("a,a", "0.5,0.5"),
        ("a,", "0.5,0.5"),
        ("a,../b", "0.5,0.5"),
    ],
)
def test_rows_that_are_no_predictions_are_refused(head, row, tmp_path):
    fixed = "image,label,predicted,confidence,identity,user.id,seen"
    (tmp_path / "x.csv").write_text(f"{fixed},{head}\ni,a,a,0.5,p,u,no,{row}\n")
    with pytest.raises(FERError, match=r"x.csv' is damaged"):
        read_predictions(tmp_path / "x.csv")


ODD = {"": ["=1"] * 60, "seen": ["a,b\n"] * 60, "attribute:x": ["'-x"] * 60, "class:y": [""] * 60, "=a": ["7"] * 60}


@pytest.mark.parametrize("names", [NAMES, ("identity", "user.id", "seen"), ("attribute:x", "attribute:seen", "seen")])
@pytest.mark.parametrize("attributes", [{}, {"gender": ["f"] * 30 + ["m"] * 30}, ODD])
def test_attributes_and_classes_may_be_called_anything(names, attributes, predictions, tmp_path):
    called = replace(predictions, class_names=names, attributes=attributes)
    called.write_csv(tmp_path / "p.csv")
    assert same(read_predictions(tmp_path / "p.csv"), called)
    head, row = list(csv.reader((tmp_path / "p.csv").open()))[:2]
    assert len(set(head)) == len(head) == len(row) == 7 + len(attributes) + 3
    assert not [text for text in row if text.startswith("=")]


def test_attributes_are_taken_along_and_joined(predictions):
    first = replace(predictions, attributes={"gender": ["f", "m"] * 30}).take([1, 2])
    assert first.attributes == {"gender": ["m", "f"]}
    other = replace(predictions, attributes={"age": ["30"] * 60, "gender": ["f"] * 60}).take([0])
    assert joined([first, other, predictions.take([5])]).attributes == {
        "gender": ["m", "f", "f", ""],
        "age": ["", "", "30", ""],
    }


def test_attributes_with_one_name_are_refused(tmp_path):
    head = "image,label,predicted,confidence,identity,user.id,attribute:a,attribute:a,seen,x"
    (tmp_path / "p.csv").write_text(f"{head}\ni,x,x,1,p,u,1,2,no,1\n")
    with pytest.raises(FERError, match="its attributes do not have names of their own"):
        read_predictions(tmp_path / "p.csv")
