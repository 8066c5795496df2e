"""Rows of any model become probabilities of classes, beside the right images, or are refused with one message."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_lightning import FERDataModule, FERError
from fer_lightning.data.splits import TESTING
from fer_lightning.evaluation.answered import placed
from fer_lightning.evaluation.answers import answers_of, read_rows

CLASSES = ("anger", "happiness", "sadness")


def table(path: Path, head: str, *rows: str) -> str:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return str(path)


def understood(path: str, classes=CLASSES):
    return answers_of(read_rows(path, "--predictions"), path, classes)


@pytest.mark.parametrize(
    ("head", "row", "expected"),
    [
        ("image,angry,happy,sad", "a.png,0.2,0.7,0.1", [0.2, 0.7, 0.1]),
        ("sad,joy,Anger,file", "0.1,0.7,0.2,a.png", [0.2, 0.7, 0.1]),
        ("source,label,anger,happiness,sadness", "a.png,anger,0.2,0.7,0.1", [0.2, 0.7, 0.1]),
        ("img_path,emotion.angry,emotion.happy,emotion.sad", "a.png,20,70,10", [0.2, 0.7, 0.1]),
        ("image;expressions_angry;expressions_sad", "a.png;0.3;0.7", [0.3, 0, 0.7]),
        ("image,class:anger,prob happy,p_sad", "a.png,0.2,0.7,0.099", [0.2 / 0.999, 0.7 / 0.999, 0.099 / 0.999]),
        ("image,angry,happy,sad,surprised", "a.png,0.1,0.2,0.3,0.4", [0.1, 0.2, 0.3, 0.4]),
        ("image,time,angry,happy", "a.png,12,0.5,0.5", [0.5, 0.5, 0]),
    ],
)
def test_columns_are_known_by_the_usual_words(head, row, expected, tmp_path):
    found = understood(table(tmp_path / "rows.csv", head, row))
    assert found.images == ["a.png"]
    assert found.scored
    np.testing.assert_allclose(found.probabilities[0], expected)
    assert found.class_names[:3] == CLASSES


def test_nested_json_and_missing_answers(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [
        {"image": "a.png", "emotion": {"angry": 20.0, "happy": 80.0}, "dominant_emotion": "happy"},
        {"image": "b.png", "emotion": {"angry": 60.0, "happy": 40.0}, "dominant_emotion": "happy"},
        {"image": "c.png"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = understood(str(path))
    np.testing.assert_allclose(found.probabilities[:2], [[0.2, 0.8, 0], [0.6, 0.4, 0]])
    assert np.isnan(found.probabilities[2]).all()
    assert found.known == (True, True, False)
    assert "in percent" in found.notes[0]
    assert found.notes[1].startswith("In 1 of 3 rows the column 'dominant_emotion' names another class")


def test_labels_alone(tmp_path):
    rows = ("a.png,Happy", "b.png,no_face", "c.png,surprise", "d.png,")
    found = understood(table(tmp_path / "rows.csv", "image,predicted", *rows))
    assert not found.scored
    assert found.class_names == (*CLASSES, "surprise")
    assert found.probabilities[[0, 2]].tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]
    assert np.isnan(found.probabilities[[1, 3]]).all()
    named = understood(table(tmp_path / "rows.csv", "image,label", *rows))
    assert "If these are the labels" in named.notes[0]
    assert "If these are the labels" not in found.notes[0]


@pytest.mark.parametrize(
    ("head", "row", "message"),
    [
        (
            "image,angry,happy",
            "a.png,0.5,0.6",
            r"line 2: the probabilities add up to 1\.1\. Expected 1, as after a soft",
        ),
        ("image,angry,happy,bored", "a.png,0.5,0.1,0.4", r"add up to 0\.6.*taken for no class: bored"),
        ("image,angry,happy", "a.png,50,60", r"line 2: the probabilities add up to 110\. Expected 100"),
        ("image,angry,happy", "a.png,-1.5,2.5", r"line 2: expected a probability in the column 'angry'.*'-1.5'"),
        ("image,angry,happy", "a.png,nan,1", r"column 'angry', 0 to 1 or in percent. Found: 'nan'"),
        ("image,angry,happy", "a.png,,1", r"column 'angry', 0 to 1 or in percent. Found: ''"),
        ("image,angry,happy", "a.png,high,1", r"Found: 'high'"),
        ("image,angry,happy", "a.png,1", r"line 2: expected 3 columns, found 2"),
        ("image,joy,happy", "a.png,0.5,0.5", r"'joy' and 'happy' both mean happiness"),
        ("image,path,happy,sad", ",b.png,0.5,0.5", r"expected the name of an image in the column 'image'"),
        ("file,path,happy,sad", "a.png,b.png,0.5,0.5", r"several columns may be the image: file, path"),
        ("happy,sad", "0.5,0.5", r"no column is known to be the image. Expected one named 'image'. Found: happy, sad"),
        ("image,happy,happy", "a.png,0.5,0.5", r"the column 'happy' stands twice"),
        ("image,foo", "a.png,1", r"no answers that are understood.*'predicted'. Found: image, foo"),
        ("image,predicted", "a.png,hungry", r"line 2: expected a class .* anger, happiness, sadness.*Found: 'hungry'"),
        ("image,predicted", "a.png,", r"No row has an answer in the column 'predicted'"),
        ("image,happy,sad", "a.png,,", r"No row has probabilities in the columns happy, sad"),
    ],
)
def test_what_is_no_answer_is_refused(head, row, message, tmp_path):
    with pytest.raises(FERError, match=message):
        understood(table(tmp_path / "rows.csv", head, row))


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(FERError, match="holds no answers"):
        understood(table(tmp_path / "rows.csv", "image,happy"))
    with pytest.raises(FERError, match="no file"):
        understood(str(tmp_path / "none.csv"))
    with pytest.raises(FERError, match=r"Expected a \.csv or \.jsonl file"):
        understood(table(tmp_path / "rows.xlsx", "image,happy"))
    with pytest.raises(FERError, match="line 1: expected JSON"):
        understood(table(tmp_path / "rows.jsonl", "image,happy"))
    with pytest.raises(FERError, match="line 1: expected an object"):
        understood(table(tmp_path / "rows.jsonl", "[1, 2]"))


@pytest.fixture
def place(make_data: Callable[..., Path], tmp_path: Path):
    """Says what becomes of rows: gives the images that are measured, and a function of a table."""
    rows = [(f"{name}/p{number}.png", name) for number in range(20) for name in CLASSES]
    data = FERDataModule(str(make_data(rows)), prepared_dir=str(tmp_path / "prepared"))
    wanted = data.split.rows(TESTING)
    images = [data.split.legend.images[row] for row in wanted]

    def found(head: str, *lines: str, missing="error"):
        answers = understood(table(tmp_path / "rows.csv", head, *lines))
        return placed(answers, data.split, wanted, np.array([0.2, 0.5, 0.3]), missing)

    return images, found, data.legend.image_dir


@pytest.mark.parametrize("before", ["", "./", "/data/fer/", "IMAGES/"])
def test_images_are_found_by_name_or_path_in_any_order(before, place):
    images, found, folder = place
    start = f"{folder}/" if before == "IMAGES/" else before
    lines = [f"{start}{image},{0.1 * (n % 10)},{1 - 0.1 * (n % 10)}" for n, image in enumerate(images)]
    rows, probabilities, _ = found("image,angry,sad", *reversed(lines), f"{start}other.png,0.5,0.5")
    assert len(rows) == len(images) == len(lines)
    np.testing.assert_allclose(probabilities[:, 0], [0.1 * (n % 10) for n in range(len(images))])


def test_images_without_an_answer_are_refused_dropped_or_answered_with_the_baseline(place):
    images, found, _ = place
    lines = [f"{image},0.1,0.2,0.7" for image in images[2:]] + [f"{images[1]},,,"]
    head = "image,angry,happy,sad"
    with pytest.raises(FERError, match=rf"has no answer for 2 of {len(images)} images: {images[0]}, {images[1]}. Say"):
        found(head, *lines)
    rows, probabilities, notes = found(head, *lines, missing="drop")
    assert len(rows) == len(probabilities) == len(images) - 2
    assert f"2 images of {len(images)} had no answer and were left out." in notes
    rows, probabilities, notes = found(head, *lines, missing="baseline")
    assert len(rows) == len(images)
    np.testing.assert_allclose(probabilities[:2], [[0.2, 0.5, 0.3]] * 2)
    rows, probabilities, _ = found("image,predicted", f"{images[0]},sad", missing="baseline")
    assert probabilities.tolist() == [[0, 0, 1], *([[0, 1, 0]] * (len(images) - 1))]


def test_an_image_that_is_answered_twice(place):
    images, found, _ = place
    lines = [f"{image},sad" for image in images]
    with pytest.raises(FERError, match=rf"'{images[3]}' is answered a second time, after rows.csv, line 5"):
        found("image,predicted", *lines, lines[3])
    faces = [f"{image},sad,10,10" for image in images] + [f"{images[3]},angry,20,5.1", f"{images[3]},happy,9,9"]
    _, probabilities, notes = found("image,predicted,width,height", *faces)
    assert probabilities[3].tolist() == [1, 0, 0]
    assert "In 1 image there are several faces: the largest one counts." in notes


def test_unknown_images_and_classes_are_said(place):
    images, found, _ = place
    with pytest.raises(FERError, match=rf"Expected names such as '{images[0]}'. Found names such as 'x.png'"):
        found("image,predicted", "x.png,sad")
    lines = [f"{image},0.5,0.4,0.1" for image in images]
    _, probabilities, notes = found("image,surprise,sad,happy", *lines, "x.png,1,0,0")
    assert probabilities.shape == (len(images), 4)
    assert any("1 row is about images that the data set does not have, such as 'x.png'" in note for note in notes)
    assert any("The answers know no anger (" in note for note in notes)
    assert any(f"No image shows surprise ({len(images)} times)" in note for note in notes)


def test_csv_and_jsonl_give_the_same(tmp_path):
    rows = [{"image": f"{n}.png", "happy": n / 10, "sad": 1 - n / 10} for n in range(11)]
    with open(tmp_path / "a.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    one, two = understood(str(tmp_path / "a.csv")), understood(str(tmp_path / "b.jsonl"))
    np.testing.assert_allclose(one.probabilities, two.probabilities)
