"""Batches of any loader."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, PILToTensor, Resize, ToTensor

from fer_lightning.data.batches import Batch, as_batch
from fer_lightning.errors import FERError


@pytest.fixture
def folders(tmp_path):
    for name in ("fear", "jolly"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 9), "red").save(tmp_path / name / "a.png")
    return tmp_path


def test_a_plain_loader_gives_images_and_labels(folders):
    loader = DataLoader(ImageFolder(folders, Compose([Resize((5, 5)), PILToTensor()])), batch_size=2)
    batch = as_batch(next(iter(loader)))
    assert batch.images.shape == (2, 3, 5, 5)
    assert batch.images[:, 0].unique().tolist() == [255]
    assert batch.labels.tolist() == [0, 1]
    assert batch.samples is batch.targets is None


def test_images_alone_and_our_own_batches(folders):
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    for batch in (images, [images], (images,)):
        assert as_batch(batch) == Batch(images)
    augmented = Batch(images.float(), torch.tensor([0, 1]), torch.tensor([5, 6]))
    assert as_batch(augmented) is augmented
    assert as_batch((images, torch.tensor([1, 0], dtype=torch.int32))).labels.dtype == torch.int64


def test_what_has_another_range_or_shape_is_refused(folders):
    loader = DataLoader(ImageFolder(folders, ToTensor()), batch_size=2)
    with pytest.raises(FERError, match=r"uint8 \(n, channels, h, w\).*PILToTensor.*Received: float32 \(2, 3, 9, 9\)"):
        as_batch(next(iter(loader)))
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(FERError, match=r"Received: uint8 \(1, 4, 4\)"):
        as_batch(images[0])
    with pytest.raises(FERError, match=r"int64 \(2,\). Received: float32 \(2, 3\)"):
        as_batch((images, torch.rand(2, 3)))
    with pytest.raises(FERError, match=r"\(images, labels\) or images alone. Received: dict"):
        as_batch({"image": images})
    with pytest.raises(FERError, match=r"Received: Tensor, Tensor, Tensor"):
        as_batch((images, images, images))
