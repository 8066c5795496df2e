"""`fer predict photo.jpg`: an answer to read, and a place of their own for rows that nobody has named one for."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from fer_lightning.cli.commands import VERBS
from fer_lightning.cli.functions import with_option
from fer_lightning.inference.terminal import bar, clock
from tests.conftest import PROJECT, flat, linked, run_here


def rows(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def place(photograph, tmp_path):
    """A photograph with two faces, one without a face, one that is none."""
    two = Image.new("RGB", (900, 520), "gray")
    two.paste(photograph, (0, 0))
    two.paste(photograph.resize((360, 360)), (530, 100))
    two.save(tmp_path / "two.png")
    Image.new("RGB", (200, 100), "gray").save(tmp_path / "none.png")
    (tmp_path / "broken.jpg").write_text("no image")
    return tmp_path


def test_a_word_and_a_photograph_are_enough(place, capsys):
    before = sorted(place.iterdir())
    run_here("predict", "two.png", cwd=place)
    first, *faces = capsys.readouterr().out.splitlines()
    assert first == "two.png   2 faces"
    assert len(faces) == 2
    for face, (left, right) in zip(faces, [(150, 220), (630, 700)], strict=True):  # the larger one first
        answers, _, where = face.partition("  at ")
        assert answers.split()[:2] == ["happiness", "100%"]
        assert answers.count("%") == 3
        assert left < float(where.split(",")[0]) < right
        assert where.endswith(" px")
    assert sorted(place.iterdir()) == before


def test_no_face_and_no_image_are_answers_too(place, capsys):
    run_here("predict", "none.png", "--faces", "detect", "broken.jpg", "--input", "two.png", cwd=place)
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "none.png   no face",
        "broken.jpg   cannot be read: it is not an image that can be decoded",
        "two.png   2 faces",
    ]
    assert "2 faces in 3 images, 1 without a face, 1 unreadable." in said
    run_here("predict", "--faces", "whole", "none.png", cwd=place)
    assert capsys.readouterr().out.startswith("none.png   taken as one face\n")


def test_a_large_picture_without_a_face_says_how_smaller_ones_are_found(tmp_path, capsys):
    Image.new("RGB", (3000, 2000), "gray").save(tmp_path / "large.png")
    run_here("predict", "large.png", cwd=tmp_path)
    said = capsys.readouterr().out
    assert said == "large.png   no face; smaller ones may be found with --detection_size 3000\n"


def test_bars_are_signs_that_the_terminal_has(monkeypatch):
    assert [bar(value) for value in (0, 0.05, 0.5, 1)] == [" " * 10, "▌" + " " * 9, "█████     ", "█" * 10]
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert bar(0.52) == "#####     "
    assert [clock(value) for value in (None, 61.9, 3661)] == ["0:00", "1:01", "1:01:01"]


def test_words_without_an_option_are_inputs_wherever_they_stand():
    command = VERBS["predict"]
    for words, inputs in {
        "a.jpg b.jpg": "a.jpg b.jpg",
        "--faces whole a.jpg --fps 2 b.jpg": "a.jpg b.jpg",
        "a.jpg --input b.jpg c.jpg --faces=whole d.jpg": "a.jpg b.jpg c.jpg d.jpg",
        "--overwrite a.jpg": "a.jpg",
        "--overwrite true a.jpg": "a.jpg",
        "- -- --odd.jpg -- x": "- --odd.jpg -- x",
    }.items():
        found = with_option(words.split(), command)
        given, inside = [], False
        for word in found:
            if word.startswith("--"):
                inside = word == "--input"
                given += [word.removeprefix("--input=")] if word.startswith("--input=") else []
            elif inside:
                given.append(word)
        assert given == inputs.split(), words


def test_a_verb_that_is_missing_is_said(place, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_here("two.png", cwd=place)
    assert "predict two.png" in capsys.readouterr().err


def test_the_best_of_a_named_run_is_taken_rather_than_what_comes_with_the_package(place, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_here("predict", "two.png", "--name", "mine", cwd=place)
    assert "No checkpoint 'best' of the run 'mine'" in capsys.readouterr().err


def test_many_images_and_films_get_a_folder_of_their_own_each_time(video, drawn, tmp_path, capsys):
    shutil.copy(video, tmp_path / "film.mp4")
    words = ["predict", drawn / "images", "--faces", "whole", "--workers", "0"]
    run_here(*words, cwd=tmp_path)
    said = capsys.readouterr().out
    assert "192 faces in 192 images. Written to runs/predict-1/rows.csv" in flat(said)
    assert len(said.splitlines()) == 3
    run_here("predict", "film.mp4", "--workers", "0", cwd=tmp_path)  # other input: nothing is refused, nothing lost
    film, *seconds = capsys.readouterr().out.splitlines()
    assert film == "film.mp4"
    assert [line[:6] for line in seconds[:3]] == ["  0:00", "  0:01", "  0:02"]
    assert all("%" in line for line in seconds[:3])
    assert "Written to runs/predict-2/rows.csv" in seconds[3]
    run_here(*words, cwd=tmp_path)
    counts = [len(rows(tmp_path / "runs" / f"predict-{number}" / "rows.csv")) for number in (1, 2, 3)]
    assert counts[0] == counts[2] == 192
    assert counts[1] >= 30


@pytest.mark.slow
def test_progress_stands_in_a_log_too(photograph, tmp_path):
    for number in range(40):
        photograph.save(tmp_path / f"{number}.png")
    words = [sys.executable, "-m", "fer_lightning", "predict", ".", "--workers", "0", "--output", "rows.csv"]
    often = os.environ | {"TQDM_MININTERVAL": "0.2", "PYTHONPATH": str(PROJECT)}  # instead of every 30 seconds
    done = subprocess.run(words, cwd=tmp_path, env=often, capture_output=True, text=True, check=True)
    assert re.search(r"Predicting: +\d+%\|.*\| \d+/40 ", done.stderr)
    assert "Predicting" not in done.stdout


def test_a_run_that_comes_to_nothing_leaves_no_folder(video, tmp_path, capsys):
    shutil.copy(video, tmp_path / "film.mp4")
    with pytest.raises(SystemExit, match="2"):
        run_here("predict", "film.mp4", "--timeline", "time.txt", cwd=tmp_path)
    assert "--timeline. Expected a .png" in capsys.readouterr().err
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.slow
def test_an_interrupted_run_says_how_it_goes_on(drawn, tmp_path, capsys):
    linked(drawn, tmp_path, 8)
    command = [sys.executable, "-m", "fer_lightning", "predict", ".", "--faces", "whole", "--batch_size", "8"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    written, deadline = tmp_path / "runs" / "predict-1" / "rows.csv", time.monotonic() + 60
    while time.monotonic() < deadline and not (written.is_file() and written.stat().st_size > 10_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    onward = "The same command with --output runs/predict-1/rows.csv goes on after the rows that are there."
    assert f"Interrupted. {onward}" in flat(said)
    assert 0 < len(rows(written)) < 1536
    run_here(*command[3:], "--output", "runs/predict-1/rows.csv", cwd=tmp_path)
    assert "of 1,536 are in runs/predict-1/rows.csv already" in flat(capsys.readouterr().out)
    names = [row["source"] for row in rows(written)]
    assert len(names) == len(set(names)) == 1536


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_other_input_is_appended_the_same_goes_on_and_other_settings_are_refused(name, place, video, capsys):
    shutil.copy(video, place / "film.mp4")
    words = ["--output", name, "--workers", "0"]
    run_here("predict", "two.png", *words, cwd=place)
    first = (place / name).read_bytes()
    run_here("predict", "none.png", "film.mp4", "two.png", *words, cwd=place)
    said = capsys.readouterr().out
    assert f"Appended to {name}, behind the rows of other input" in flat(said)
    appended = (place / name).read_bytes()
    assert appended.count(b"two.png") == 2  # its two faces, once
    assert appended.count(b"none.png") == 1
    for again in (["two.png"], ["film.mp4", "none.png"], ["none.png", "film.mp4", "two.png"]):  # all of it is there
        run_here("predict", *again, *words, cwd=place)
        assert "Appended" not in capsys.readouterr().out
        assert sorted((place / name).read_bytes().splitlines()) == sorted(appended.splitlines())
    assert set(first.splitlines()) < set(appended.splitlines())
    with pytest.raises(SystemExit, match="2"):
        run_here("predict", "broken.jpg", *words, "--class_prior", "uniform", cwd=place)
    assert "made with other settings (class_prior, effective_prior)" in capsys.readouterr().err
    other = place / "other"
    other.mkdir()
    shutil.copy(place / "two.png", other)
    with pytest.raises(SystemExit, match="2"):  # a file of the same name elsewhere
        run_here("predict", "two.png", "--output", f"../{name}", "--workers", "0", cwd=other)
    assert "made with other settings (folder)" in capsys.readouterr().err
