from __future__ import annotations

import io

import pytest

from fer_lightning.errors import FERError
from fer_lightning.inference.sources import Source, list_sources


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
