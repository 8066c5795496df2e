from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fer_lightning import ExpressionCNN, FERError


def test_the_original_has_6586408_parameters():
    network = ExpressionCNN()
    assert sum(parameter.numel() for parameter in network.parameters()) == 6_586_408
    assert network(torch.zeros(2, 3, 100, 100)).shape == (2, 8)


@pytest.mark.parametrize(("classes", "channels", "size"), [(3, 1, 48), (8, 3, 22), (100, 4, 131)])
def test_any_classes_channels_and_size(classes, channels, size):
    assert ExpressionCNN(classes, channels, size)(torch.zeros(2, channels, size, size)).shape == (2, classes)


def test_too_small_an_image_is_refused_with_the_smallest_that_fits():
    with pytest.raises(FERError, match="at least 22 pixels"):
        ExpressionCNN(image_size=21)


def test_weights_start_glorot_uniform_and_biases_zero():
    torch.manual_seed(0)
    network = ExpressionCNN()
    fans = {"features.0": (27, 144), "features.3": (144, 288), "features.6": (288, 576), "classifier.1": (6400, 1024)}
    for name, (fan_in, fan_out) in fans.items():
        layer = network.get_submodule(name)
        bound = (6 / (fan_in + fan_out)) ** 0.5
        assert layer.weight.abs().max() <= bound
        assert layer.weight.abs().max() > 0.95 * bound
        torch.testing.assert_close(layer.weight.std(), torch.tensor(bound / 3**0.5), rtol=0.08, atol=0)
        assert not layer.bias.any()


def test_pooling_before_relu_is_the_notebooks_function():
    torch.manual_seed(0)
    network = ExpressionCNN(image_size=30)
    images = torch.randn(4, 3, 30, 30)
    x = images
    for layer in network.features:
        if isinstance(layer, nn.Conv2d):
            x = F.max_pool2d(F.relu(layer(x)), 2)
    torch.testing.assert_close(network(images), network.classifier(x))


def test_same_logits_as_keras_with_the_same_weights():
    os.environ["KERAS_BACKEND"] = "torch"
    keras = pytest.importorskip("keras")
    layers = keras.layers
    model = keras.Sequential([keras.Input((100, 100, 3))])
    for filters in (16, 32, 64):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(1024, activation="relu"))
    model.add(layers.Dense(8))
    assert model.count_params() == 6_586_408

    network = ExpressionCNN().eval()
    kernels = [torch.tensor(np.asarray(value.numpy())) for value in model.weights]
    convolutions = [module for module in network.features if isinstance(module, nn.Conv2d)]
    dense = [module for module in network.classifier if isinstance(module, nn.Linear)]
    with torch.no_grad():
        for layer, kernel, bias in zip(convolutions, kernels[0:6:2], kernels[1:6:2], strict=True):
            layer.weight.copy_(kernel.permute(3, 2, 0, 1))
            layer.bias.copy_(bias)
        # Keras flattens height, width, channel; here it is channel, height, width.
        dense[0].weight.copy_(kernels[6].reshape(10, 10, 64, 1024).permute(3, 2, 0, 1).reshape(1024, 6400))
        dense[0].bias.copy_(kernels[7])
        dense[1].weight.copy_(kernels[8].T)
        dense[1].bias.copy_(kernels[9])
        images = torch.rand(16, 3, 100, 100)
        expected = model(images.permute(0, 2, 3, 1)).detach()
        torch.testing.assert_close(network(images), torch.as_tensor(expected), atol=1e-4, rtol=0)
