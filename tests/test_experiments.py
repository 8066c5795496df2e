"""Experiments, briefly: that they do what the figures in docs/experiments.md rest on."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
import skimage.data
from PIL import Image

from fer_lightning.data.face_crop import find_faces
from tests.conftest import PROJECT

ALIGNMENT = PROJECT / "experiments" / "alignment.py"


@pytest.mark.slow
def test_aligned_faces_are_the_same_wherever_and_however_large_they_were(tmp_path):
    """Landmarks come to their places. (Those of YuNet hardly turn with a face, so faces are not turned upright.)"""
    photograph = Image.fromarray(skimage.data.astronaut())
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "legend.csv").write_text("user.id,image,emotion\n")
    for number, (side, corner) in enumerate([(512, (0, 0)), (512, (60, 40)), (420, (10, 90))]):
        image = Image.new("RGB", (600, 600), "gray")
        image.paste(photograph.resize((side, side), Image.Resampling.LANCZOS), corner)
        image.save(tmp_path / "data" / "images" / f"{number}.png")
    Image.new("RGB", (40, 60)).save(tmp_path / "data" / "images" / "none.png")
    words = [sys.executable, str(ALIGNMENT), str(tmp_path / "data"), str(tmp_path / "copy")]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("3 of 4 images have a face")
    assert (tmp_path / "copy" / "legend.csv").read_text() == "user.id,image,emotion\n"
    places = runpy.run_path(str(ALIGNMENT))["PLACES"]
    for number in range(3):
        with Image.open(tmp_path / "copy" / "images" / f"{number}.png") as image:
            assert image.size == (96, 96)
            found = np.array(find_faces(image)[0].landmarks) / 96
        assert np.abs(found - places).mean() < 0.04, number  # no face is the mean one, and landmarks are whole pixels


def test_the_best_rotation_scale_and_shift_are_found():
    """Points that were turned by 30 degrees, doubled and moved, computed here."""
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    turn = 2 * np.array([[np.cos(np.pi / 6), -0.5], [0.5, np.cos(np.pi / 6)]])
    matrix = runpy.run_path(str(ALIGNMENT))["transform"](places @ turn.T + [3, -1], places)
    assert matrix == pytest.approx(np.column_stack([turn, [3, -1]]))
