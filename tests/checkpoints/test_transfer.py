"""Networks that start from weights that were trained for something else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fer_lightning import ExpressionCNN, FERError, InputSpec
from fer_lightning.checkpoints.info import KEY
from fer_lightning.checkpoints.reading import info_of
from fer_lightning.checkpoints.transfer import load_into
from fer_lightning.checkpoints.weights import save_weights
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.networks import TorchvisionModel
from tests.conftest import flat


@pytest.fixture
def saved(tmp_path):
    """Weights of a small network for the eight expressions, and that network."""
    model = ExpressionModel(ExpressionCNN(8, 1, 32, hidden=16), input_spec=InputSpec(32, "gray"))
    save_weights(info_of(model), model.network.state_dict(), tmp_path / "small.safetensors", half=False)
    return tmp_path / "small.safetensors", model.network


def test_a_plain_state_dict_is_loaded_by_name_and_shape(tmp_path):
    source, target = ExpressionCNN(8, 1, 32, hidden=16), ExpressionCNN(3, 1, 32, hidden=16)
    torch.save(source.state_dict(), tmp_path / "plain.pth")
    untouched = target.classifier[3].weight.clone()
    assert load_into(target, tmp_path / "plain.pth").startswith("8 of 10 tensors")
    assert torch.equal(target.features[0].weight, source.features[0].weight)
    assert torch.equal(target.classifier[3].weight, untouched)


def test_the_last_layer_is_taken_class_by_class(saved):
    file, theirs = saved
    network = ExpressionCNN(3, 1, 32, hidden=16)
    start = network.classifier[3].weight.clone()
    said = load_into(network, file, ["surprise", "boredom", "anger"])
    assert said.startswith("10 of 10 tensors")
    assert said.endswith("of its last layer the classes surprise, anger")
    rows = [theirs.classifier[3].weight[EXPRESSIONS.index(name)] for name in ("surprise", "anger")]
    torch.testing.assert_close(network.classifier[3].weight, torch.stack([rows[0], start[1], rows[1]]))
    network = ExpressionCNN(8, 1, 32, hidden=16)
    assert load_into(network, file, list("abcdefgh")).startswith("8 of 10 tensors")


def test_classes_in_another_order_are_told_apart_by_a_last_convolution_too(tmp_path):
    theirs, ours = nn.Sequential(nn.Conv2d(1, 3, 1)), nn.Sequential(nn.Conv2d(1, 3, 1, bias=False))
    state = {f"model.network.{name}": value for name, value in theirs.state_dict().items()}
    about = {"format": 2, "class_names": ["a", "b", "c"], "input_spec": {"image_size": 8}}
    torch.save({"state_dict": state, KEY: about}, tmp_path / "x.ckpt")
    load_into(ours, tmp_path / "x.ckpt", ["c", "a", "b"])
    assert torch.equal(ours[0].weight, theirs[0].weight[[2, 0, 1]])


def test_a_first_layer_for_three_channels_answers_gray_images_as_before_and_the_other_way_round(saved):
    file, gray = saved
    images = torch.rand(4, 1, 32, 32)
    color = ExpressionCNN(8, 3, 32, hidden=16)
    said = load_into(color, file)
    assert said.startswith("10 of 10 tensors")
    assert "its first layer changed to 3 channels" in flat(said)
    torch.testing.assert_close(color(images.expand(-1, 3, -1, -1)), gray(images), atol=1e-5, rtol=1e-4)


def test_torchvisions_first_layer_is_summed_for_gray_images(tmp_path):
    rgb, gray = (TorchvisionModel("mobilenet_v3_small", num_classes=8, in_channels=n, image_size=32) for n in (3, 1))
    torch.save(rgb.model.state_dict(), tmp_path / "mobilenet.pth")  # as torchvision publishes it, without our wrapper
    assert "its first layer changed to 1 channels" in load_into(gray, tmp_path / "mobilenet.pth")
    images = torch.rand(4, 1, 32, 32)
    torch.testing.assert_close(gray.eval()(images), rgb.eval()(images.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


def test_files_that_do_not_fit_are_refused(tmp_path):
    network = ExpressionCNN(8, 1, 32, hidden=16)
    expected = (
        r"--model.fine_tuning.weights. Expected pretrained, pretrained-large or a file, found nothing at 'gone.pth'"
    )
    with pytest.raises(FERError, match=expected):
        load_into(network, "gone.pth")
    torch.save({"other": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(FERError, match=r"Nothing in .* fits the network ExpressionCNN"):
        load_into(network, tmp_path / "other.pth")
    for name in ("bad.safetensors", "bad.pth"):
        (tmp_path / name).write_bytes(b"nonsense")
        with pytest.raises(FERError, match="Cannot read the weights"):
            load_into(network, tmp_path / name)
