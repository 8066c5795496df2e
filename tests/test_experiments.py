"""Experiments, briefly: that they do what the figures in docs/experiments.md rest on."""

from __future__ import annotations

import csv
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from fer_lightning.data.face_crop import find_faces
from tests.conftest import PROJECT, run_here

ALIGNMENT = PROJECT / "experiments" / "alignment.py"
TARGETS = PROJECT / "experiments" / "landmark_targets.py"


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
    found = runpy.run_path(str(ALIGNMENT))
    assert found["transform"](places @ turn.T + [3, -1], places) == pytest.approx(np.column_stack([turn, [3, -1]]))
    unturned = found["unturned"](places @ turn.T + [3, -1], places)  # the size is found, and the middle stays
    assert unturned[:, :2] == pytest.approx(2 * np.eye(2))
    assert unturned[:, :2] @ places.mean(0) + unturned[:, 2] == pytest.approx(turn @ places.mean(0) + [3, -1])


@pytest.fixture
def shapes(monkeypatch):
    """Functions that make targets of a face's points."""
    monkeypatch.syspath_prepend(str(PROJECT / "experiments"))
    pytest.importorskip("timm")
    return runpy.run_path(str(TARGETS))


def faces_and_mirror_images(count):
    """Points of `count` faces and of their mirror images, `(count, 478, 3)` each, somehow turned, large and placed."""
    draws = np.random.default_rng(0)
    middle = [10, 152, 1, 4]
    left = [33, *(number for number in range(478) if number not in (33, 263, *middle))][:237]
    right = [263, *(number for number in range(478) if number not in (263, *left, *middle))]
    partner = np.arange(478)
    partner[left], partner[right] = right, left
    mean, flip = draws.normal(size=(478, 3)), np.array([-1, 1, 1])
    mean[right] = mean[left] * flip
    mean[middle, 0] = 0
    mean[10], mean[152], mean[33, 0], mean[263, 0] = [0, -2, 0], [0, 2, 0], -1, 1
    faces = mean + 0.1 * draws.normal(size=(count, 478, 3))
    turns = np.linalg.qr(draws.normal(size=(2, count, 3, 3)))[0]
    turns *= np.linalg.det(turns)[..., None, None]  # none that mirrors
    both = [faces, faces[:, partner] * flip]
    places = zip(both, turns, draws.uniform(0.5, 2, (2, count, 1, 1)), draws.normal(size=(2, count, 1, 3)), strict=True)
    return [shape @ turn * size + place for shape, turn, size, place in places]


def test_a_shape_is_the_same_however_the_head_is_turned(shapes):
    """All faces are one face that was turned in three dimensions, enlarged and moved: brought back, they are equal."""
    face = np.random.default_rng(1).normal(size=(478, 3))
    turned = faces_and_mirror_images(4)[0]
    turns = np.linalg.qr(turned[:, :3])[0]
    turns *= np.linalg.det(turns)[:, None, None]
    found = shapes["aligned"](face @ turns * 1.7 + [3, -1, 0.5], face)
    assert found == pytest.approx(np.stack([face - face.mean(0)] * 4))


def test_a_mirrored_image_has_the_mirrored_shape_as_its_target(shapes):
    """What a face's second target says is what the first says of its mirror image."""
    targets = shapes["shape_targets"](np.concatenate(faces_and_mirror_images(200)))
    assert targets.shape == (400, 2, shapes["COMPONENTS"])
    assert targets[:200, 1] == pytest.approx(targets[200:, 0], abs=0.02)
    assert np.abs(targets[:200, 0] - targets[200:, 0]).mean() > 0.5


@pytest.mark.slow
def test_weights_by_the_box_and_aligned_are_measured_as_validate_does(scored, tmp_path, capsys):
    words = ["--data.root", scored, "--data.split", "predefined", "--data.val_fraction", "0.05"]
    for faces in ("detect", "align"):
        words_of_it = [*words, "--data.faces", faces, "--name", faces, "--model.tta_flip", "false"]
        run_here("validate", "--ckpt_path", "pretrained", *words_of_it, cwd=tmp_path)
    capsys.readouterr()
    experiment = [sys.executable, str(PROJECT / "experiments" / "by_box_or_aligned.py"), scored, scored, "pretrained"]

    def said(*more: str) -> list[str]:
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        command = [*experiment, *more]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    rows = [line.split(" | ") for line in said() if line.startswith("| pretrained ")]
    assert [row[1] for row in rows] == ["by the box", "aligned", "both"]
    for faces, row in zip(("detect", "align"), rows, strict=False):
        (path,) = (tmp_path / "runs" / faces).rglob("metrics.json")
        found = json.loads(path.read_text())["metrics"]
        names = ("accuracy", "balanced_accuracy", "macro_f1", "nll")
        assert row[2] == ", ".join(f"{found[name]['value']:.3f}" for name in names)
    assert rows[0][2] != rows[1][2]
    assert len([line for line in said("--corrupted") if " | pretrained | " in line]) == 8


@pytest.fixture
def scored(drawn, tmp_path) -> Path:
    """A data set whose list says what is tested."""
    folder = Path(shutil.copytree(drawn, tmp_path / "scored"))
    rows = list(csv.DictReader((drawn / "legend.csv").open()))
    with open(folder / "legend.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "split"])
        writer.writeheader()
        writer.writerows(row | {"split": "testing" if n % 5 == 0 else "training"} for n, row in enumerate(rows))
    return folder
