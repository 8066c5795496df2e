from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.inference.explain import Explanations, grad_cam, overlay
from fer_lightning.inference.expression import Expression
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.sources import Source
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.networks import CompactResNet, ExpressionCNN, TimmModel, TorchvisionModel


class Corner(nn.Module):
    """Says `jolly` by the brightness of the upper left quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.same.weight)

    def forward(self, images):
        maps = self.same(images)
        jolly = maps[:, :, :4, :4].sum((1, 2, 3))
        return torch.stack([-jolly, jolly], 1)


def model_of(network, size=8):
    return ExpressionModel(network, ("calm", "jolly"), InputSpec(size, "gray")).eval()


def test_the_map_shows_the_places_that_speak_for_the_class():
    model = model_of(Corner())
    images = torch.full((2, 1, 8, 8), 100, dtype=torch.uint8)
    images[:, :, :4, :4] = 255
    found = grad_cam(model, images, torch.tensor([1, 1]))
    assert found.shape == (2, 8, 8)
    assert (found[0, :4, :4] == 1).all()  # weight of the map: 16 / 64, times a brightness above the middle
    assert (found[0, 4:] == 0).all()  # darker than the middle: speaks against
    assert (grad_cam(model, images, torch.tensor([0, 0]))[0, :4, :4] == 0).all()
    assert overlay(images[0], found[0], side=20).size == (48, 20)
    assert all(parameter.grad is None for parameter in model.parameters())


class ChannelsLast(nn.Module):
    """`Corner` with its map as Swin transformers have it, `(n, h, w, c)`."""

    def __init__(self) -> None:
        super().__init__()
        self.corner, self.norm = Corner(), nn.Identity()

    def forward(self, images):
        maps = self.norm(torch.cat([self.corner.same(images)] * 3, 1).permute(0, 2, 3, 1))
        jolly = maps[:, :4, :4].sum((1, 2, 3))
        return torch.stack([-jolly, jolly], 1)


def test_a_map_with_channels_last_is_read_as_such():
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([1, 0])
    expected = grad_cam(model_of(Corner()), images, classes)
    torch.testing.assert_close(grad_cam(model_of(ChannelsLast()), images, classes), expected)


def test_a_network_without_places_is_refused():
    model = model_of(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)))
    with pytest.raises(FERError, match="no layer with places"):
        grad_cam(model, torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.tensor([0]))


class TinyTransformer(nn.Module):
    """Patches, one layer of attention, the mean of all places."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, 4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, images):
        places = self.patches(images).flatten(2).transpose(1, 2)
        return self.head(self.attention(places, places, places)[0].mean(1))


@pytest.mark.parametrize(
    "network",
    [
        lambda: TorchvisionModel("vit_b_16", num_classes=2, in_channels=1, image_size=32),
        lambda: TimmModel("vit_tiny_patch16_224", num_classes=2, in_channels=1, image_size=32),
        lambda: TimmModel("mixer_s16_224", num_classes=2, in_channels=1, image_size=32),
        TinyTransformer,
    ],
)
def test_a_network_that_mixes_places_after_its_last_map_is_refused(network):
    with pytest.raises(FERError, match=r"cannot be explained: \w+ works on a sequence of places"):
        grad_cam(model_of(network(), 32), torch.zeros(1, 1, 32, 32, dtype=torch.uint8), torch.tensor([0]))


@pytest.mark.parametrize(
    "network",
    [
        lambda: CompactResNet(in_channels=1, image_size=48),
        lambda: ExpressionCNN(8, 1, 48, hidden=8),
        lambda: TorchvisionModel("resnet18", in_channels=1, image_size=48),
        lambda: TimmModel("convnext_atto", in_channels=1, image_size=48),
    ],
)
def test_convolutional_networks_are_explained(network):
    images = torch.randint(0, 256, (2, 1, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = ExpressionModel(network(), input_spec=InputSpec(48, "gray")).eval()
    found = torch.stack([grad_cam(model, images, torch.full((2,), label)) for label in range(8)])
    assert found.shape == (8, 2, 48, 48)
    assert found.isfinite().all()
    assert found.amax() == 1


def test_class_names_do_not_lead_out_of_the_folder(tmp_path):
    names = ("x/../../y", "..", "jolly")
    network = CompactResNet(widths=[8], blocks=[1], in_channels=1, image_size=16, num_classes=3)
    explained = Explanations(str(tmp_path / "why"), ExpressionModel(network, names, InputSpec(16, "gray")).eval())
    for place, name in enumerate(names):
        said = Expression(name, 0.9, {other: 0.9 if other == name else 0.05 for other in names}, None)
        pixels = np.full((1, 1, 16, 16), 40 * place, np.uint8)
        explained.add(Frame(Source("../a.jpg", "image"), faces=[None], pixels=pixels, numbers=[0]), [said])
    assert [path.name for path in tmp_path.iterdir()] == ["why"]
    assert len(list((tmp_path / "why").iterdir())) == 3
