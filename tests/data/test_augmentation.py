from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.transforms import v2
from torchvision.transforms.functional import resize

from fer_lightning.data.augmentation import Augmentation, Moment, augment, uniform
from fer_lightning.data.batches import Batch
from fer_lightning.errors import FERError

ALL = Augmentation(True, 20.0, 0.2, 0.1, 0.2, 0.2, 0.1, 0.1, 0.5)


def noise_images(count: int = 16, channels: int = 1, side: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8, generator=generator)


def test_uniform_is_splitmix64():
    """The first outputs of the reference implementation for seed 0 are e220a8397b1dcdaf and 6e789e6aa1b965f4."""
    found = uniform(0, 0, torch.tensor([0]), 2)
    assert found.tolist() == [[(0xE220A8397B1DCDAF >> 40) / 2**24, (0x6E789E6AA1B965F4 >> 40) / 2**24]]


def test_uniform_is_even_and_independent():
    draws = uniform(3, 1, torch.arange(20_000), 4)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert draws.mean(0).tolist() == pytest.approx([0.5] * 4, abs=0.01)
    assert draws.std(0).tolist() == pytest.approx([(1 / 12) ** 0.5] * 4, abs=0.01)
    others = [uniform(4, 1, torch.arange(20_000), 4), uniform(3, 2, torch.arange(20_000), 4)]
    for other in (*others, draws.roll(1, 0), draws.roll(1, 1)):
        both = torch.stack([draws.flatten(), other.flatten()])
        assert torch.corrcoef(both)[0, 1].abs() < 0.01


def test_what_happens_to_an_image_depends_on_seed_epoch_and_sample_only():
    images, samples = noise_images(), torch.arange(100, 116)
    whole = ALL(images, samples, Moment(1, 2))
    order = torch.randperm(16)[:5]
    assert torch.equal(ALL(images[order], samples[order], Moment(1, 2)), whole[order])
    for seed, epoch, numbers in ((2, 2, samples), (1, 3, samples), (1, 2, samples + 16)):
        assert not torch.equal(ALL(images, numbers, Moment(seed, epoch)), whole)
    assert whole.dtype == torch.float32
    assert whole.min() >= 0
    assert whole.max() <= 255


def test_off_changes_nothing():
    images = noise_images()
    assert not Augmentation().active
    assert torch.equal(Augmentation()(images, torch.arange(16), Moment(0, 0)), images.float())


@pytest.mark.parametrize("way", [Augmentation(flip=True), Augmentation(flip=True, rotation=1e-6)])
def test_flip_mirrors_about_half(way):
    images = noise_images(200, channels=3)
    found = way(images, torch.arange(200), Moment(0, 0))
    mirrored = torch.tensor(
        [torch.allclose(a, b, atol=0.1) for a, b in zip(found, images.flip(-1).float(), strict=True)]
    )
    same = torch.tensor([torch.allclose(a, b, atol=0.1) for a, b in zip(found, images.float(), strict=True)])
    assert (mirrored ^ same).all()
    assert 70 < mirrored.sum() < 130


def spot_after(augmentation: Augmentation) -> tuple[torch.Tensor, torch.Tensor]:
    """Where a bright spot at (across 0.75, down 0.5) of 200 images goes, in pixels from the middle."""
    images = torch.zeros(200, 1, 41, 41)
    images[:, :, 19:22, 29:32] = 255
    found = augmentation(images, torch.arange(200), Moment(0, 0))[:, 0]
    weights = found / found.sum((1, 2), keepdim=True)
    places = torch.arange(41.0) - 20
    return (weights.sum(1) * places).sum(1), (weights.sum(2) * places).sum(1)


def test_geometry_stays_within_its_ranges_and_uses_them():
    across, down = spot_after(Augmentation(shift=0.1))
    for moved in (across - 10, down):
        assert 3.8 < moved.max() < 4.2
        assert -4.2 < moved.min() < -3.8
    across, down = spot_after(Augmentation(rotation=30))
    angles = torch.rad2deg(torch.atan2(down, across))
    assert torch.hypot(across, down).sub(10).abs().max() < 0.1
    assert 28 < angles.max() < 30.5
    assert -30.5 < angles.min() < -28
    across, down = spot_after(Augmentation(scale=0.2))
    assert 11.8 < across.max() < 12.2
    assert 7.8 < across.min() < 8.2
    assert down.abs().max() < 0.1
    across, down = spot_after(Augmentation(aspect=0.3))
    assert float(across.max()) == pytest.approx(10 / 0.7**0.5, abs=0.2)
    assert float(across.min()) == pytest.approx(10 / 1.3**0.5, abs=0.2)
    assert down.abs().max() < 0.1


def test_a_stretched_image_keeps_its_area():
    images = torch.zeros(200, 1, 41, 41)
    images[:, :, 13:28, 13:28] = 255
    found = Augmentation(aspect=0.3)(images, torch.arange(200), Moment(0, 0))
    assert found.sum((1, 2, 3)).sub(255 * 15**2).abs().max() < 255 * 5
    wide, high = (found[:, 0].amax(axis).gt(127).sum(1) for axis in (1, 2))
    assert (wide.max(), wide.min()) == (high.max(), high.min()) == (17, 13)


def test_brightness_moves_the_mean_and_contrast_keeps_it():
    images = torch.full((200, 1, 4, 4), 100.0)
    images[:, :, :2] += 20
    brighter = Augmentation(brightness=0.1)(images, torch.arange(200), Moment(0, 0)) - images
    assert brighter.std((1, 2, 3)).max() < 1e-3
    assert 24 < brighter.max() <= 25.5
    assert -25.5 <= brighter.min() < -24
    stretched = Augmentation(contrast=0.5)(images, torch.arange(200), Moment(0, 0))
    assert stretched.mean((1, 2, 3)).sub(110).abs().max() < 1e-3
    ranges = (stretched.amax((1, 2, 3)) - stretched.amin((1, 2, 3))) / 20
    assert 1.45 < ranges.max() <= 1.5
    assert 0.5 <= ranges.min() < 0.55


def test_erasing_fills_one_rectangle_with_the_mean():
    images = noise_images(400, side=40).float()
    changed = (Augmentation(erasing=0.25)(images, torch.arange(400), Moment(0, 0)) != images)[:, 0]
    touched = changed.any(2).any(1)
    assert 70 < touched.sum() < 130
    for hole in changed[touched]:
        rows, columns = hole.any(1).nonzero(), hole.any(0).nonzero()
        box = hole[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.float().mean() > 0.95  # a pixel that has the mean's value already may not change
        assert box.numel() < 0.25 * 1600


def test_a_value_out_of_range_is_refused():
    with pytest.raises(FERError, match=r"--data.augmentation.rotation. Expected 0 to 180. Received: 200"):
        Augmentation(rotation=200)


def test_blur_is_normal_and_reaches_its_deviation():
    images = torch.zeros(200, 2, 41, 41)
    images[:, :, 20, 20] = 255
    blurred = Augmentation(blur=0.05)(images, torch.arange(200), Moment(0, 0))
    assert blurred.sum((2, 3)).sub(255).abs().max() < 0.01
    places = torch.arange(41.0) - 20
    for dimension in (2, 3):
        deviation = ((blurred.sum(dimension) * places**2).sum(-1) / 255).sqrt()
        assert 1.85 < deviation.max() < 2.05  # 0.05 of 41 pixels, and a normal curve cut off at 2.5 deviations
        assert (deviation < 0.6).float().mean() == pytest.approx(0.5, abs=0.12)


def test_noise_is_normal_and_reaches_its_deviation():
    images = torch.full((300, 1, 40, 40), 128.0)
    added = Augmentation(noise=0.1)(images, torch.arange(300), Moment(0, 0)) - images
    deviations = added.std((1, 2, 3))
    assert 24.5 < deviations.max() < 26.5
    assert added.mean().abs() < 0.1
    scaled = (added / deviations.view(-1, 1, 1, 1)).flatten()[:100_000]
    assert (scaled.abs() < 1).float().mean() == pytest.approx(0.6827, abs=0.005)
    assert torch.corrcoef(added[:2].flatten(1))[0, 1].abs() < 0.1


def test_augmentation_cools_down_at_the_end_but_for_mirror_images():
    whole = Augmentation(flip=True, rotation=20, erasing=0.4, cooldown=0.25)
    steady = Augmentation(flip=True, rotation=20, erasing=0.4)
    images, samples = noise_images(), torch.arange(16)

    def after(augmentation: Augmentation, progress: float) -> torch.Tensor:
        return augmentation(images, samples, Moment(0, 0, progress))

    assert torch.equal(after(whole, 0.0), after(steady, 0.0))
    assert torch.equal(after(whole, 0.75), after(steady, 0.0))
    half = Augmentation(flip=True, rotation=10, erasing=0.2)
    assert torch.equal(after(whole, 0.875), after(half, 0.0))
    for image, found in zip(images.float(), after(whole, 1.0), strict=True):
        assert torch.equal(found, image) or torch.equal(found, image.flip(-1))


def test_images_are_small_at_first():
    growing = Augmentation(flip=True, cooldown=0.25, rotation=10, progressive_sizes=[8, 12, 16])
    found = [growing(noise_images(), torch.arange(16), Moment(0, 0, epoch / 7)) for epoch in range(7)]
    assert [images.shape[-1] for images in found] == [8, 8, 8, 12, 12, 16, 16]
    small = Augmentation(progressive_sizes=[8])(noise_images(), torch.arange(16), Moment(0, 0))
    assert torch.allclose(small, resize(noise_images().float(), [8, 8], antialias=True), atol=1e-3)
    with pytest.raises(FERError, match=r"progressive_sizes. Expected 1 to 4,096 pixels. Received: \[32, 0\]"):
        Augmentation(progressive_sizes=[32, 0])


def batch_of(images: torch.Tensor) -> Batch:
    return Batch(images, torch.arange(len(images)) % 4, torch.arange(len(images)))


@pytest.mark.parametrize("options", [{"mixup": 0.4}, {"cutmix": 1.0}])
def test_images_and_targets_are_mixed_in_the_same_proportion(options):
    torch.manual_seed(0)
    images = (torch.arange(16.0) % 4 * 10).view(16, 1, 1, 1).expand(16, 1, 20, 20)
    mixed = augment(Augmentation(**options), batch_of(images), 4, Moment(0, 0))
    means = mixed.targets @ torch.tensor([0.0, 10, 20, 30])
    assert mixed.targets.sum(1).tolist() == pytest.approx([1.0] * 16)
    assert mixed.images.mean((1, 2, 3)).tolist() == pytest.approx(means.tolist(), abs=1e-4)
    assert (mixed.targets.amax(1) < 1).all()
    assert torch.equal(mixed.labels, torch.arange(16) % 4)


def test_each_batch_gets_one_of_both_mixtures():
    torch.manual_seed(0)
    either = Augmentation(mixup=1.0, cutmix=1.0)
    images = torch.rand(4, 1, 8, 8) * 255
    kinds = set()
    for _ in range(20):
        mixed = augment(either, batch_of(images), 4, Moment(0, 0)).images
        kinds.add(bool(torch.isin(mixed, images).all()))  # CutMix moves values, MixUp makes new ones
    assert kinds == {True, False}


class Invert(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 255 - images


def test_any_module_on_images_or_on_images_and_targets_is_an_augmentation():
    batch = batch_of(noise_images(8))
    assert torch.equal(augment(Invert(), batch, 4, Moment(0, 0)).images, 255 - batch.images)
    assert augment(Invert(), batch, 4, Moment(0, 0)).targets is None
    mirrored = augment(v2.RandomHorizontalFlip(p=1.0), batch, 4, Moment(0, 0))
    assert torch.equal(mirrored.images, batch.images.flip(-1))
    assert mirrored.targets.argmax(1).tolist() == batch.labels.tolist()
    mixed = augment(v2.MixUp(num_classes=4), batch._replace(images=batch.images.float()), 4, Moment(0, 0))
    assert mixed.targets.shape == (8, 4)
    with pytest.raises(FERError, match=r"--data.augmentation Flatten has to return images .* Received: \(8, 144\)"):
        augment(nn.Flatten(), batch, 4, Moment(0, 0))
