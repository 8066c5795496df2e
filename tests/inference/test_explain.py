from __future__ import annotations

import pytest
import torch
from torch import nn

from fer_lightning import ExpressionClassifier, InputSpec
from fer_lightning.errors import FERError
from fer_lightning.inference.explain import attention, overlay


class Corner(nn.Module):
    """Says `joy` by the brightness of the upper left quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.same.weight)

    def forward(self, images):
        maps = self.same(images)
        joy = maps[:, :, :4, :4].sum((1, 2, 3))
        return torch.stack([-joy, joy], 1)


def test_the_map_shows_the_places_that_speak_for_the_class():
    classifier = ExpressionClassifier(Corner(), ("calm", "joy"), InputSpec(8, "grey"))
    pixels = torch.full((2, 1, 8, 8), 100, dtype=torch.uint8)
    pixels[:, :, :4, :4] = 255
    found = attention(classifier, pixels, torch.tensor([1, 1]))
    assert found.shape == (2, 8, 8)
    assert (found[0, :4, :4] == 1).all()  # weight of the map: 16 / 64, times a brightness above the middle
    assert (found[0, 4:] == 0).all()  # darker than the middle: speaks against
    assert (attention(classifier, pixels, torch.tensor([0, 0]))[0, :4, :4] == 0).all()
    assert overlay(pixels[0], found[0], side=20).size == (48, 20)
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_a_network_without_places_is_refused():
    classifier = ExpressionClassifier(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), ("calm", "joy"), InputSpec(8, "grey")
    )
    with pytest.raises(FERError, match="no layer with places"):
        attention(classifier, torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.tensor([0]))
