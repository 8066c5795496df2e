from __future__ import annotations

import pytest
from PIL import Image

from fer_lightning import FERError, Preprocessing
from fer_lightning.inference.images import FaceImages, list_images


def test_folders_are_searched_and_files_taken_as_named(tmp_path):
    for name in ("b.JPG", "a.png", "deep/c.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = list_images([tmp_path, tmp_path / "notes.txt"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.png", "b.JPG", "deep/c.webp", "notes.txt"]


def test_nothing_to_do_is_said(tmp_path):
    with pytest.raises(FERError, match="No image in"):
        list_images([tmp_path])
    with pytest.raises(FERError, match="found nothing at"):
        list_images([tmp_path / "none"])


def test_a_bad_file_is_an_item_with_its_reason(tmp_path):
    Image.new("RGB", (5, 5), "red").save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"broken")
    items = [FaceImages([tmp_path / name], Preprocessing(4))[0] for name in ("good.png", "bad.png")]
    assert items[0]["error"] == ""
    assert items[0]["image"][:, 0, 0].tolist() == [255, 0, 0]
    assert "Cannot read" in items[1]["error"]
    assert items[1]["image"].shape == (3, 4, 4)


def test_where_faces_are_looked_for_an_image_without_one_says_so(tmp_path):
    Image.new("RGB", (60, 60), "red").save(tmp_path / "red.png")
    item = FaceImages([tmp_path / "red.png"], Preprocessing(4, faces="detect"))[0]
    assert (item["face"], item["error"]) == (False, "")
    assert FaceImages([tmp_path / "red.png"], Preprocessing(4))[0]["face"]
