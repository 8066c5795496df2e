from __future__ import annotations

import pytest
import torch
import torchvision

from fer_lightning.errors import FERError
from fer_lightning.networks import CompactResNet, TimmModel, TorchvisionModel


@pytest.mark.parametrize(("size", "channels"), [(40, 1), (48, 3), (79, 1), (112, 1)])
def test_compact_resnet_takes_faces_of_any_size(size, channels):
    network = CompactResNet(5, channels, size).eval()
    assert network(torch.randn(2, channels, size, size)).shape == (2, 5)


def test_compact_resnet_is_compact_and_starts_with_identity_blocks():
    network = CompactResNet().eval()
    assert sum(value.numel() for value in network.parameters()) < 1_500_000
    values = torch.rand(1, 64, 12, 12)
    assert torch.equal(network.stages[1](values), values)


def test_compact_resnet_refuses_what_does_not_fit():
    with pytest.raises(FERError, match=r"at least 8 pixels for 3 stages of CompactResNet. Received: 6"):
        CompactResNet(image_size=6)
    with pytest.raises(FERError, match="as many widths as blocks"):
        CompactResNet(widths=(8, 8), blocks=(1,))


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 64), ("mobilenet_v3_small", 64), ("squeezenet1_1", 64), ("vit_b_32", 64), ("googlenet", 64)],
)
def test_torchvision_models_get_another_head_and_input(name, size):
    network = TorchvisionModel(name, num_classes=5, in_channels=1, image_size=size)
    for training in (True, False):
        assert network.train(training)(torch.randn(2, 1, size, size)).shape == (2, 5)


def test_a_model_that_does_not_come_in_a_size_is_refused():
    with pytest.raises(FERError, match=r"torchvision's vit_b_32 cannot be made for 48 pixels: Input"):
        TorchvisionModel("vit_b_32", in_channels=1, image_size=48)


def test_gray_input_gives_what_three_equal_channels_gave(monkeypatch):
    given = torchvision.models.resnet18(num_classes=5).eval()
    monkeypatch.setattr(torchvision.models, "get_model", lambda *_, **__: given)
    color = torch.randn(1, 1, 64, 64)
    expected = given.layer1(given.maxpool(given.bn1(given.conv1(color.expand(1, 3, 64, 64)))))
    model = TorchvisionModel("resnet18", num_classes=5, in_channels=1).model
    found = model.layer1(model.maxpool(model.bn1(model.conv1(color))))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_an_unknown_model_is_refused_with_the_list():
    with pytest.raises(FERError, match=r"no classification model 'resnet19'. Expected one of .*resnet18"):
        TorchvisionModel("resnet19")


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224"])
def test_timm_models_get_another_head_and_input(name):
    network = TimmModel(name, num_classes=5, in_channels=1, image_size=64).eval()
    assert network(torch.randn(2, 1, 64, 64)).shape == (2, 5)


def test_an_unknown_timm_model_is_refused(monkeypatch):
    with pytest.raises(FERError, match=r"timm has no model 'resnet11'. There are .*resnet10t"):
        TimmModel("resnet11")
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(FERError, match=r"pip install timm"):
        TimmModel("resnet10t")


def test_a_standardised_network_does_not_mind_light_and_contrast():
    torch.manual_seed(0)
    network = CompactResNet(standardize=True, head_norm=True).eval()
    images = torch.randn(2, 1, 48, 48)
    expected = network(images)
    assert torch.allclose(network(images * 0.3 + 0.4), expected, atol=1e-4)
    assert torch.isfinite(network(torch.zeros(1, 1, 48, 48))).all()
    assert torch.equal(network.head(values := torch.randn(1, 192, 6, 6)), network.head.train()(values))
    assert not torch.allclose(CompactResNet().eval()(images * 0.3), CompactResNet().eval()(images), atol=1e-4)
