"""Images in which no face is found, taken whole on request: an answer for each, and the one that `test` measures."""

import csv

import pytest
from PIL import Image

from fer_lightning import ExpressionRecognizer, FERError
from tests.conftest import flat, run_here


@pytest.fixture(scope="module")
def asked(pretrained):
    return ExpressionRecognizer(pretrained, faces="detect_or_whole", workers=0)


@pytest.mark.slow
def test_every_image_is_answered_as_it_is_measured(make_data, photograph, tmp_path, capsys):
    root = make_data([(f"p{number}.png", ("happiness", "neutral")[number % 2]) for number in range(20)])
    images = sorted((root / "images").iterdir())
    for number, path in enumerate(images):  # the others are noise without a face
        if number % 2 == 0:
            photograph.crop((5 * number, 0, 512, 512)).save(path)
    run_here("test", "--ckpt_path", "pretrained", "--data.root", root, cwd=tmp_path)
    with open(next(tmp_path.rglob("predictions.csv")), newline="") as stream:
        measured = {row["image"]: row for row in csv.DictReader(stream)}
    found = {}
    for faces in ("detect", "detect_or_whole"):
        words = ["predict", "--ckpt_path", "pretrained", *images, "--faces", faces, "--output", f"{faces}.csv"]
        run_here(*words, "--workers", "0", cwd=tmp_path)
        with open(tmp_path / f"{faces}.csv", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["face"] in ("", "0")]  # of several the largest
        found[faces] = {row["source"].rpartition("/")[2]: row for row in rows}
    said = flat(capsys.readouterr().out)
    assert "20 faces in 20 images, 10 without a face and taken whole. Written to detect_or_whole.csv" in said
    faceless = {name for name, row in found["detect"].items() if row["label"] == "no_face"}
    assert faceless & measured.keys()
    assert measured.keys() - faceless
    for name, row in measured.items():
        answer = found["detect_or_whole"][name]
        assert answer["label"] == row["predicted"]
        assert float(answer["confidence"]) == pytest.approx(float(row["confidence"]), abs=2e-4)
        assert (answer["left"] == "") == (name in faceless)
        assert name in faceless or answer["left"] == found["detect"][name]["left"]
    with pytest.raises(SystemExit):
        run_here(*words[:-4], "--faces", "detect", "--output", "detect_or_whole.csv", cwd=tmp_path)
    assert "made with other settings (input_spec)" in flat(capsys.readouterr().err)


def test_only_where_no_face_is_found(asked, pretrained, photograph):
    blank = Image.new("RGB", (60, 80), "white")
    whole = ExpressionRecognizer(pretrained, faces="whole", workers=0)
    (answer,) = asked.predict(blank).faces
    assert answer.face is None
    assert answer.probabilities == whole.predict(blank).faces[0].probabilities
    assert asked.predict(photograph).faces[0].face is not None
    assert not asked.predict(blank, faces=[]).faces  # somebody has looked already


def test_by_processes_and_said_on_the_terminal(photograph, tmp_path, capsys):
    photograph.save(tmp_path / "00.png")
    for number in range(1, 20):  # so many that processes look at them
        Image.new("L", (60, 80), 10 * number).save(tmp_path / f"{number:02}.png")
    words = ["--ckpt_path", "pretrained", "--faces", "detect_or_whole"]
    run_here("predict", tmp_path, *words, "--workers", "2", "--output", "rows.csv", cwd=tmp_path)
    assert "20 faces in 20 images, 19 without a face and taken whole" in flat(capsys.readouterr().out)
    run_here("predict", "00.png", "01.png", *words, cwd=tmp_path)
    said = capsys.readouterr().out
    assert "00.png   1 face" in said
    assert "01.png   no face, taken whole" in said


def test_not_in_films(asked, video):
    *_, (_, last) = asked.film(video)
    assert not last.faces


@pytest.mark.parametrize("faces", ["aligned", "all", [(1, 2, 3, 4)], None])
def test_another_word_is_refused(pretrained, faces):
    known = "auto, whole, detect, align, box, detect_or_whole"
    with pytest.raises(FERError, match=rf"for faces\. Expected one of {known}\."):
        ExpressionRecognizer(pretrained, faces=faces)
