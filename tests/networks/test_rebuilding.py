from __future__ import annotations

import copy
import sys

import pytest
import torch
from torch import nn

from fer_lightning.errors import FERError
from fer_lightning.networks import CompactResNet, ExpressionCNN, Rebuildable, TorchvisionModel
from fer_lightning.networks.rebuilding import build, describe

OWN_NETWORKS = """
from pathlib import Path
import torch
from fer_lightning.networks import Rebuildable

Path("imported").touch()

class Plain(torch.nn.Sequential):
    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.LazyLinear(num_classes))

class Wide(torch.nn.Module):
    def __init__(self, num_classes: int, in_channels: int, width: int = 4) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(in_channels, width, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
            torch.nn.Linear(width, num_classes))

    def forward(self, images):
        return self.layers(images)

class Remembered(Rebuildable, Wide):
    pass
"""


@pytest.fixture
def own(workdir, monkeypatch):
    """A module of somebody's own."""
    (workdir / "own_networks.py").write_text(OWN_NETWORKS)
    monkeypatch.syspath_prepend(str(workdir))
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)
    return workdir


@pytest.mark.parametrize(
    "network",
    [
        ExpressionCNN(3, 1, 32, filters=[4, 8], hidden=5),
        CompactResNet(3, 1, 32, 4, (8, 8), blocks=(1, 1), head_norm=True),
        TorchvisionModel("mobilenet_v3_small", num_classes=3, in_channels=1, image_size=32),
    ],
)
def test_our_networks_are_made_again_from_their_description(network):
    for one in (network, copy.deepcopy(network)):
        described = describe(one, 3, 1, 32)
        assert described["class_path"] == f"fer_lightning.networks.{type(network).__name__}"
        twin = build(described, 3, 1, 32)
        twin.load_state_dict(network.state_dict())


@pytest.mark.parametrize(
    "path", ["ExpressionCNN", "fer_lightning.ExpressionCNN", "fer_lightning.networks.ExpressionCNN"]
)
def test_our_networks_may_be_named_in_short(path):
    assert isinstance(build({"class_path": path}, 3, 1, 32), ExpressionCNN)


def test_a_network_of_ones_own_is_described_where_it_can_be_made_again(own):
    from own_networks import Remembered, Wide

    assert describe(Wide(3, 1), 3, 1, 32) == {"class_path": "own_networks.Wide", "init_args": {}}
    assert describe(Wide(3, 1, width=5), 3, 1, 32) is None  # nothing says that the width was 5
    described = describe(Remembered(3, 1, width=5), 3, 1, 32)
    assert described == {"class_path": "own_networks.Remembered", "init_args": {"width": 5}}
    assert build(described, 3, 1, 32, trusted=["own_networks.Remembered"]).layers[0].out_channels == 5
    assert describe(nn.Linear(2, 3), 3, 1, 32) is None

    class Local(Rebuildable, nn.Linear):
        pass

    assert describe(Local(2, 3), 3, 1, 32) is None


def test_a_file_cannot_have_code_imported_that_the_user_did_not_name(own):
    described = {"class_path": "own_networks.Wide", "init_args": {"width": 5}}
    with pytest.raises(FERError, match=r"'x.ckpt' names own_networks.Wide as its network.*--network own_networks.Wide"):
        build(described, 3, 1, 32, source="x.ckpt")
    assert not (own / "imported").exists()
    assert build(described, 3, 1, 32, trusted=["own_networks.Wide"]).layers[0].out_channels == 5
    for path, message in (
        ("fer_lightning.networks.rebuilding.build", "no torch.nn.Module"),
        ("fer_lightning.networks.nowhere.Net", "cannot be imported"),
        ("fer_lightning.networks.NoSuchNet", "cannot be imported"),
    ):
        with pytest.raises(FERError, match=message):
            build({"class_path": path}, 3, 1, 32)
    with pytest.raises(FERError, match="cannot be made"):
        build({"class_path": "ExpressionCNN", "init_args": {"hiden": 3}}, 3, 1, 32)


def test_weights_that_a_network_started_from_are_not_asked_for_again():
    described = {"class_path": "TorchvisionModel", "init_args": {"name": "mobilenet_v3_small", "weights": "DEFAULT"}}
    network = build(described, 3, 1, 32)
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 3)
