"""What the network that finds landmarks is trained on (experiments/face_landmarks.py)."""

from __future__ import annotations

import runpy
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fer_lightning.networks.face_landmarks import FaceLandmarks
from tests.conftest import PROJECT

SCRIPT = PROJECT / "experiments" / "face_landmarks.py"
PLACES = [[15.0, 17], [33, 18], [25, 27], [18, 36], [31, 35]]


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


@pytest.fixture
def dots(script):
    """Black images of 48 x 48 pixels, each with a dot where one of the landmarks is, and which that is."""
    torch.manual_seed(0)
    count = 200
    points = torch.tensor(PLACES).repeat(count, 1, 1) + 4 * torch.rand(count, 5, 2) - 2
    which = torch.arange(count) % 5
    pixels = torch.arange(48) + 0.5
    x, y = points[torch.arange(count), which].unbind(1)
    images = (-((pixels - x[:, None]) ** 2)[:, None] - ((pixels - y[:, None]) ** 2)[:, :, None]).div(4).exp()
    return script["Faces"](images[:, None], torch.tensor([[2.0, 1, 42, 46]]).repeat(count, 1), points), which


def brightest(images):
    """x and y of the brightest pixel, in pixels of 192."""
    place = images.flatten(1).argmax(1)
    return 3 * torch.stack([place % 64, place // 64], 1) + 1.5


def test_without_chance_a_square_is_the_one_that_is_aligned(script, dots):
    faces, _ = dots
    seen = script["looks"](faces, random=0.0, unseen=0.0)
    # the box has its middle at (23, 24), and half of one and a half times its longer side is 34.5
    expected = ((faces.points - torch.tensor([23.0, 24])) / 34.5 + 1) * 96
    torch.testing.assert_close(seen.points, expected)
    assert seen.seen.all()


@pytest.mark.parametrize("unseen", [0.0, 0.5])
def test_landmarks_go_where_the_image_goes(script, dots, unseen):
    faces, which = dots
    seen = script["looks"](faces, unseen=unseen)
    apart = []
    for number in seen.seen.nonzero().flatten().tolist():
        mirrored = script["MIRRORED"][which[number]]
        places = seen.points[number, [which[number], mirrored]]
        if ((places > 6) & (places < 186)).all():  # a mirror image has its left eye where the right one was
            apart.append((places - brightest(seen.images[number][None])).norm(dim=1).min())
    assert len(apart) > 60
    assert torch.stack(apart).median() < 3
    assert torch.stack(apart).quantile(0.9) < 12  # others' faces lie beyond the edge, which may be brighter
    assert abs((~seen.seen).float().mean() - unseen) < 0.1


def test_right_stays_right_in_a_mirror(script, dots):
    faces, _ = dots
    seen = script["looks"](faces, unseen=0.0)
    right_eye, left_eye, _, right_mouth, left_mouth = seen.points.unbind(1)
    down = (right_mouth + left_mouth) / 2 - (right_eye + left_eye) / 2
    across = left_eye - right_eye
    assert (across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0] > 0).all()  # the face as one looks at it
    angle = torch.rad2deg(torch.atan2(across[:, 1], across[:, 0])).abs()
    assert angle.max() < 75
    assert angle.quantile(0.9) > 25


def test_weights_are_written_without_normalization(script, tmp_path, capsys, monkeypatch):
    draws = np.random.default_rng(0)
    np.savez(
        tmp_path / "landmarks.npz",
        images=draws.integers(0, 256, (140, 48, 48), np.uint8),
        boxes=np.tile([2.0, 1, 42, 46], (140, 1)),
        points=np.array(PLACES) + draws.normal(size=(140, 5, 2)),
        validation=np.arange(140) >= 130,
    )
    output = tmp_path / "landmarks.safetensors"
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "landmarks.npz"), str(output), "--epochs", "1"])
    script["main"]()
    assert "177,979 numbers" in capsys.readouterr().out
    network = FaceLandmarks()
    network.load_state_dict(load_file(output))


def test_folded_the_network_answers_the_same(script):
    torch.manual_seed(0)
    network = FaceLandmarks(normed=True)
    images = torch.rand(64, 1, 64, 64)
    for _ in range(3):
        network.of_gray(images)
    network.eval()
    torch.testing.assert_close(script["folded"](network).of_gray(images), network.of_gray(images), rtol=1e-4, atol=1e-3)
    assert script["folded"](network)(torch.ones(2, 3, 192, 192)).shape == (2, 11)
