from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fer_lightning.errors import FERError
from fer_lightning.inference.sources import Source, list_sources
from tests.conftest import PROJECT, flat


@pytest.fixture
def folder(tmp_path):
    for name in ("b.JPG", "a.png", "deep/c.webp", "deep/film.MP4", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def found(inputs, folder):
    return [(source.name.removeprefix(f"{folder}/"), source.kind) for source in list_sources(inputs)]


def test_folders_are_searched_and_files_taken_as_named(folder):
    inside = [("a.png", "image"), ("b.JPG", "image"), ("deep/c.webp", "image"), ("deep/film.MP4", "video")]
    assert found([folder], folder) == inside
    assert found([folder / "notes.txt", folder, folder], folder) == [("notes.txt", "image"), *inside]


def test_patterns_lists_and_cameras(folder, monkeypatch):
    assert found([f"{folder}/*.*"], folder) == [("a.png", "image"), ("b.JPG", "image"), ("notes.txt", "image")]
    assert found([f"{folder}/**/*.webp"], folder) == [("deep/c.webp", "image")]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{folder}/a.png\n\n{folder}/gone.jpg\r\n"))
    assert found(["-"], folder) == [("a.png", "image"), ("gone.jpg", "image")]
    assert list_sources(["0"]) == [Source("0", "camera")]


def test_nothing_to_do_is_said(tmp_path):
    with pytest.raises(FERError, match="No image or video in"):
        list_sources([tmp_path])
    with pytest.raises(FERError, match=r"--input.*Found nothing at '.*none.jpg'"):
        list_sources([tmp_path / "none.jpg"])


def test_odd_names_and_places(folder, monkeypatch, capsys):
    (folder / "x[1]").mkdir()
    (folder / "x[1]" / "y[2].jpg").touch()
    assert found([f"{folder}/x[1]/y[2].jpg"], folder) == [("x[1]/y[2].jpg", "image")]
    assert found([f"{folder}/x[1]/*.jpg"], folder) == [("x[1]/y[2].jpg", "image")]
    monkeypatch.setenv("HOME", str(folder))
    assert found(["~/a.png"], folder) == [("a.png", "image")]
    monkeypatch.chdir(folder)
    (folder / "=1+1.jpg").touch()
    assert [source.name for source in list_sources(["=1+1.jpg", "*1.jpg"])] == ["./=1+1.jpg"]
    for given in ("", "\u00b2", "99999999999999999999", "a\0b", "\udcff", "n" * 5000, "[", "**/none"):
        with pytest.raises(FERError, match=r"--input.*Found nothing at"):
            list_sources([given])
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(FERError, match="standard input"):
        list_sources(["-"])


def test_a_list_may_have_names_of_any_bytes(tmp_path, monkeypatch):
    (tmp_path / "list").write_bytes(b"\xef\xbb\xbfa.jpg\n\xff.jpg\r\n\n  \n-b.jpg\na.jpg\nfilm.MP4")
    with open(tmp_path / "list") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        listed = list_sources(["-"])
    assert [source.name for source in listed] == ["a.jpg", "\udcff.jpg", "./-b.jpg", "film.MP4"]


def test_links_in_circles_end_and_are_said(folder, capsys):
    for name in ("one", "two", "three"):
        os.symlink("..", folder / "deep" / name)
    inside = found([folder], folder)
    assert inside == [("a.png", "image"), ("b.JPG", "image"), ("deep/c.webp", "image"), ("deep/film.MP4", "video")]
    assert "Not searched, as it is a link" in flat(capsys.readouterr().err)
    assert found([f"{folder}/**/*.webp"], folder) == [("deep/c.webp", "image")]
    assert found([f"{folder}/**"], folder)[:2] == [("a.png", "image"), ("b.JPG", "image")]
    assert [name for name, _ in found([folder / "deep" / "one"], folder)][-1] == "deep/one/deep/film.MP4"


def test_folders_below_folders_below_folders(tmp_path):
    place = tmp_path
    for _ in range(1_200):
        place = place / "d"
        place.mkdir()
    (tmp_path / "a.jpg").touch()
    listed = list_sources([tmp_path])
    while place != tmp_path:  # pytest could not
        place.rmdir()
        place = place.parent
    assert [source.name for source in listed] == [str(tmp_path / "a.jpg")]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs users")
def test_a_folder_that_may_not_be_read_is_a_row():
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        Path(place, "closed").mkdir(mode=0)
        Path(place, "a.jpg").touch()
        code = "import os, sys\nfrom fer_lightning.inference.sources import list_sources\n"
        code += "os.geteuid() or os.setuid(65534)\n"  # as root, one may read everything
        code += "for source in list_sources(sys.argv[1:]): print(source.name, source.error, sep='|')"
        done = subprocess.run(
            [sys.executable, "-c", code, place], capture_output=True, text=True, check=False, cwd=PROJECT
        )
        assert done.stderr == ""
        good, closed = done.stdout.splitlines()
        assert good == f"{place}/a.jpg|"
        assert closed == f"{place}/closed|The folder '{place}/closed' cannot be read: Permission denied."
