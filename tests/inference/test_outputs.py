"""No output of `predict` is an input, and nothing that is there and not ours is replaced."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from tests.conftest import flat, run_here

PREDICT = ["predict", "--ckpt_path", "pretrained", "--workers", "0"]


@pytest.fixture
def place(video, drawn, tmp_path):
    """Two images, a film, and things that somebody else has made."""
    shutil.copy(video, tmp_path / "f.mp4")
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.png"):
        Image.new("RGB", (40, 40), "gray").save(tmp_path / "in" / name)
    (tmp_path / "own").mkdir()
    for name in ("rows.csv", "rows.jsonl", "rows.parquet", "plot.png", "film.mp4", "own/photo.jpg"):
        (tmp_path / name).write_bytes(b"somebody's")
    (tmp_path / "free.csv.settings.json").write_bytes(b"somebody's")
    os.symlink("f.mp4", tmp_path / "linked.mp4")
    os.link(tmp_path / "in" / "a.jpg", tmp_path / "hard.png")
    os.symlink("in", tmp_path / "linked")
    return tmp_path


def listing(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--input . --annotate .", "--annotate. '.' holds what is read"),
        ("--input in --annotate in", "--annotate. 'in' holds what is read"),
        ("--input in --annotate linked", "--annotate. 'linked' holds what is read"),
        ("--input linked/a.jpg --explain in", "--explain. 'in' holds what is read"),
        ("--input in/a.jpg --explain ..", "--explain. '..' holds what is read"),
        ("--input f.mp4 --annotate f.mp4", "--annotate. 'f.mp4' is what is read"),
        ("--input f.mp4 --annotate linked.mp4", "--annotate. 'linked.mp4' is what is read"),
        ("--input linked.mp4 --annotate f.mp4 --overwrite true", "--annotate. 'f.mp4' is what is read"),
        ("--input f.mp4 in --timeline hard.png", "--timeline. 'hard.png' is what is read"),
        ("--input in f.mp4 --timeline in/b.png --overwrite true", "--timeline. 'in/b.png' is what is read"),
        ("--input in --output rows.csv", "rows.csv' is there already, made with other settings"),
        ("--input in --output rows.jsonl", "rows.jsonl' is there already, made with other settings"),
        ("--input in --output rows.parquet", "rows.parquet' is there already, made with other settings"),
        ("--input in --output free.csv", "free.csv.settings.json' is there already"),
        ("--input f.mp4 --timeline plot.png", "--timeline. 'plot.png' is there already"),
        ("--input f.mp4 --annotate film.mp4", "--annotate. 'film.mp4' is there already"),
        ("--input in --annotate own", "--annotate. 'own' has files in it that are not ours"),
        ("--input in --explain own", "--explain. 'own' has files in it that are not ours"),
        ("--input in --annotate plot.png", "--annotate. Expected a folder. 'plot.png' is a file"),
        ("--input in --annotate out --explain out", "'out' is where --annotate writes, too"),
        ("--input in --annotate out/a --explain out", "writes, too"),
        ("--input f.mp4 --output out.csv --timeline in", "--timeline"),
        ("--input in --output in", "--output"),
        ("--input in --output rows.csv --detector rows.csv", "--output. 'rows.csv' is what is read"),
    ],
)
def test_what_would_be_lost_is_refused_and_nothing_has_changed(words, message, place, capsys):
    before = listing(place)
    with pytest.raises(SystemExit, match="2"):
        run_here(*PREDICT, *words.split(), cwd=place)
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert listing(place) == before


def test_a_list_that_comes_in_is_read_as_well(place):
    (place / "list.csv").write_text("in/a.jpg\n")
    command = [sys.executable, "-m", "fer_lightning", *PREDICT, "--input", "-", "--output", "list.csv", "--overwrite"]
    with open(place / "list.csv") as listed:
        done = subprocess.run(command, cwd=place, stdin=listed, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--output. 'list.csv' is what is read ('/dev/stdin')" in done.stderr
    assert (place / "list.csv").read_text() == "in/a.jpg\n"


def test_with_overwrite_it_is_replaced_and_what_is_ours_without(place, capsys):
    words = [
        "--input",
        "f.mp4",
        "--output",
        "rows.csv",
        "--timeline",
        "plot.png",
        "--annotate",
        "film.mp4",
        "--fps",
        "1",
    ]
    run_here(*PREDICT, *words, "--overwrite", "true", cwd=place)
    assert "Written to rows.csv" in flat(capsys.readouterr().out)
    first = listing(place)
    run_here(*PREDICT, *words, cwd=place)  # all of it is ours now
    assert listing(place).keys() == first.keys()
    assert listing(place)["rows.csv"] == first["rows.csv"]
    run_here(*PREDICT, "--input", "in", "--output", "own.csv", "--annotate", "own", "--overwrite", "true", cwd=place)
    run_here(*PREDICT, "--input", "in", "--output", "own.csv", "--annotate", "own", cwd=place)
    assert (place / "own" / "photo.jpg").read_bytes() == b"somebody's"
    assert sorted(path.name for path in (place / "own").iterdir()) == [
        ".fer_lightning",
        "in__a.jpg",
        "in__b.png.jpg",
        "photo.jpg",
    ]


def test_a_picture_that_was_replaced_by_another_one_stays(place, capsys):
    words = [*PREDICT, "--input", "in", "--faces", "whole", "--annotate", "drawn", "--explain", "why", "--output"]
    run_here(*words, "1.csv", cwd=place)
    before = listing(place)
    run_here(*words, "2.csv", cwd=place)  # all of it is ours
    assert {name: content for name, content in listing(place).items() if name in before} == before
    explained = next((place / "why").glob("in__a.jpg*"))
    for path in (place / "drawn" / "in__a.jpg", explained):
        ours = path.read_bytes()
        for changed in (b"somebody's", ours[:300] + b"\0" + ours[301:], b""):
            path.write_bytes(changed)
            with pytest.raises(SystemExit, match="2"):
                run_here(*words, "3.csv", cwd=place)
            assert f"{path.name}' was changed since it was written" in capsys.readouterr().err
            assert path.read_bytes() == changed
        run_here(*words, "3.csv", "--overwrite", cwd=place)
        assert path.read_bytes() == ours
        (place / "3.csv").unlink()


def test_images_of_the_same_name_seen_from_two_folders_have_pictures_of_their_own(place):
    shutil.copytree(place / "in", place / "two" / "in")
    Image.new("RGB", (40, 40), "white").save(place / "two" / "in" / "a.jpg")
    words = [*PREDICT, "--input", "in/a.jpg", "--faces", "whole", "--annotate", place / "drawn"]
    words += ["--explain", place / "why", "--output"]
    for name in ("1.csv", "2.csv"):
        for folder in (place, place / "two"):
            run_here(*words, name, cwd=folder)
        mark, other, first = sorted(path.name for path in (place / "drawn").iterdir())
        assert (mark, first) == (".fer_lightning", "in__a.jpg")
        assert other.endswith("two__in__a.jpg")
        assert len(list((place / "why").glob("*.png"))) == 2
    with Image.open(place / "drawn" / other) as white, Image.open(place / "drawn" / first) as gray:
        assert white.getpixel((180, 10)) > gray.getpixel((180, 10))
