"""Random changes to a batch of training images, on whatever device it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (torch's own documentation calls it F)

from fer_lightning.errors import FERError


@dataclass(frozen=True)
class Augmentation:
    """Changes every training image at random; what is drawn depends on (seed, epoch, sample) alone.

    So neither the batch an image is in, nor the device, nor an interruption changes what happens to it. Everything is
    off by default.

    Attributes:
        flip: Mirror half of the images left to right.
        rotation: Turn by up to this many degrees either way.
        scale: Enlarge or shrink by up to this share, such as 0.1 for 0.9 to 1.1 times.
        shift: Move by up to this share of the width and of the height.
        brightness: Make lighter or darker by up to this share of the full range.
        contrast: Stretch or press the distance of values from the image's mean by up to this share.
        blur: Blur (Gaussian) by a standard deviation of up to this share of the width; little blur is more frequent.
        noise: Add normal noise with a standard deviation of up to this share of the full range; little noise is more
            frequent.
        erasing: Probability that a rectangle of 2 to 20 % of the image is filled with the image's mean
            (Random Erasing, arXiv 1708.04896).
        fade: Share of the training, at its end, over which all of this but `flip` falls evenly to nothing, so that the
            network ends on pictures as they are (as in YOLOX, arXiv 2107.08430, section 2.2).
        sizes: Sides in pixels that images are resized to, each for an equal share of the training's epochs, such as
            `[32, 40, 48]`: small images first make a training shorter (progressive learning, arXiv 2104.00298,
            section 4). The network must take images of any size; validation and use stay at the contract's size.
    """

    flip: bool = False
    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    erasing: float = 0.0
    fade: float = 0.0
    sizes: Sequence[int] = ()

    def __post_init__(self) -> None:
        tops = {"rotation": 180.0, "scale": 0.9, "blur": 0.2}
        for name in ("rotation", "scale", "shift", "brightness", "contrast", "blur", "noise", "erasing", "fade"):
            top = tops.get(name, 1.0)
            value = getattr(self, name)
            if not 0 <= value <= top:
                raise FERError(
                    f"Invalid value for --data.augmentation.{name}. Expected 0 to {top:g}. Received: {value}."
                )
        if any(size < 1 for size in self.sizes):
            raise FERError(
                f"Invalid value for --data.augmentation.sizes. Expected 1 or more pixels. Received: {list(self.sizes)}."
            )

    @property
    def active(self) -> bool:
        """Whether anything is switched on."""
        return any(asdict(self).values())

    def at(self, progress: float) -> Augmentation:
        """What it is when a share of the training is over, 0 to 1; depends on `fade` and `sizes`."""
        now = self
        if self.sizes:
            now = replace(self, sizes=[self.sizes[min(int(progress * len(self.sizes)), len(self.sizes) - 1)]])
        if not self.fade or progress <= 1 - self.fade:
            return now
        left = (1 - progress) / self.fade
        steady = ("flip", "fade", "sizes")
        return replace(now, **{name: value * left for name, value in asdict(now).items() if name not in steady})

    def __call__(self, images: Tensor, samples: Tensor, seed: int, epoch: int) -> Tensor:
        """Change a batch.

        Args:
            images: uint8 or float `(n, channels, h, w)`, 0..255.
            samples: int64 `(n,)`, the number of each image in the training part.
            seed: Draws other changes.
            epoch: Draws other changes in every epoch.

        Returns:
            float32 of the same shape, or of the last of `sizes`, 0..255.
        """
        draws = uniform(seed, epoch, samples, 14).unbind(1)
        signed = [draw * 2 - 1 for draw in draws]
        images = images.float()
        if self.rotation or self.scale or self.shift:
            images = self._move(images, draws[0], signed)
        elif self.flip:
            images = images.flip(-1).where(_column(draws[0] < 0.5), images)
        if self.brightness or self.contrast:
            mean = images.mean((1, 2, 3), keepdim=True)
            stretched = (images - mean) * _column(1 + signed[5] * self.contrast) + mean
            images = (stretched + _column(signed[6] * self.brightness * 255)).clamp_(0, 255)
        if self.blur:
            images = _blur(images, draws[12] ** 2 * self.blur * images.shape[-1], self.blur * images.shape[-1])
        if self.noise:
            values = uniform(seed + 1, epoch, samples, images[0].numel()).view_as(images)
            values = (values * 2 - 1).clamp_(-0.999999, 0.999999).erfinv_().mul_(math.sqrt(2))  # normal by inversion
            images = (images + values * _column(draws[13] ** 2 * self.noise * 255)).clamp_(0, 255)
        if self.erasing:
            images = _erase(images, draws[7] < self.erasing, draws[8:12])
        if self.sizes and self.sizes[-1] != images.shape[-1]:
            side = [self.sizes[-1]] * 2
            images = F.interpolate(images, side, mode="bilinear", align_corners=False, antialias=True)
        return images

    def _move(self, images: Tensor, flip: Tensor, signed: list[Tensor]) -> Tensor:
        angle = signed[1] * math.radians(self.rotation)
        size = 1 / (1 + signed[2] * self.scale)
        mirror = torch.where(flip < 0.5, -1.0, 1.0) if self.flip else torch.ones_like(flip)
        cos, sin = angle.cos() * size, angle.sin() * size
        across, down = signed[3] * 2 * self.shift, signed[4] * 2 * self.shift
        rows = [torch.stack([cos * mirror, -sin, across], 1), torch.stack([sin * mirror, cos, down], 1)]
        grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def mix(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Blend every image and its target with another of the batch, in a share drawn from Beta(alpha, alpha).

    Args:
        images: uint8 or float `(n, channels, h, w)`.
        targets: float `(n, classes)`.
        alpha: Parameter of the Beta distribution.

    Returns:
        float images and targets of the same shapes.
    """
    share = torch.distributions.Beta(alpha, alpha).sample((len(images),)).to(images.device)
    other = torch.randperm(len(images), device=images.device)
    images = images.float()
    across, along = share.view(-1, 1, 1, 1), share.view(-1, 1)
    return images.lerp(images[other], 1 - across), targets.lerp(targets[other], 1 - along)


def cut_and_mix(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Paste a rectangle of another image of the batch into every image, and blend the targets by its area.

    The rectangle's area is a share drawn from Beta(alpha, alpha), its shape is the image's, its middle lies anywhere;
    what hangs over the edge is cut off (arXiv 1905.04899, equations 1 and 2).

    Args:
        images: uint8 or float `(n, channels, h, w)`.
        targets: float `(n, classes)`.
        alpha: Parameter of the Beta distribution.

    Returns:
        float images and targets of the same shapes.
    """
    count, height, width = len(images), *images.shape[-2:]
    device = images.device
    side = (1 - torch.distributions.Beta(alpha, alpha).sample((count,)).to(device)).sqrt() / 2
    other = torch.randperm(count, device=device)
    across, down = torch.rand(count, device=device), torch.rand(count, device=device)
    columns = (torch.arange(width, device=device) + 0.5) / width
    rows = (torch.arange(height, device=device) + 0.5) / height
    within = ((rows - down[:, None]).abs() < side[:, None])[:, :, None]
    within = within & ((columns - across[:, None]).abs() < side[:, None])[:, None, :]
    images = images.float()
    pasted = torch.where(within[:, None], images[other], images)
    share = within.float().mean((1, 2))[:, None]
    return pasted, targets.lerp(targets[other], share)


def uniform(seed: int, epoch: int, samples: Tensor, count: int) -> Tensor:
    """Numbers that are a pure function of their arguments: float32 `(n, count)`, uniform in 0..1 (1 excluded).

    A counter-based generator, as each sample must draw the same wherever it is; the mixing function is that of
    SplitMix64 (Steele, Lea and Flood 2014, https://doi.org/10.1145/2660193.2660195).

    Args:
        seed: Any integer.
        epoch: Any integer.
        samples: int64 `(n,)`.
        count: Numbers for each sample.
    """
    key = samples.new_tensor([seed])
    for part in (samples.new_tensor([epoch]), samples):
        key = _mix(key) + part
    steps = torch.arange(1, count + 1, device=samples.device) * -7046029254386353131  # 0x9e3779b97f4a7c15
    bits = _mix(_mix(key)[:, None] + steps)
    return _shifted(bits, 40).float() / 2**24


def _mix(values: Tensor) -> Tensor:
    values = (values ^ _shifted(values, 30)) * -4658895280553007687  # 0xbf58476d1ce4e5b9
    values = (values ^ _shifted(values, 27)) * -7723592293110705685  # 0x94d049bb133111eb
    return values ^ _shifted(values, 31)


def _shifted(values: Tensor, bits: int) -> Tensor:
    """Shift right as if unsigned; torch's shift of int64 keeps the sign."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def _blur(images: Tensor, deviations: Tensor, top: float) -> Tensor:
    """Blur each image by its own standard deviation in pixels, at most `top`: rows, then columns."""
    reach = min(math.ceil(2.5 * top), min(images.shape[-2:]) - 1)
    steps = torch.arange(-reach, reach + 1, device=images.device)
    kernels = (-0.5 * (steps / deviations[:, None].clamp(min=0.1)) ** 2).exp()
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(images.shape[1], 0)[:, None]
    planes = F.pad(images.reshape(1, -1, *images.shape[-2:]), [reach] * 4, mode="reflect")
    planes = F.conv2d(planes, kernels[:, :, :, None], groups=len(kernels))
    return F.conv2d(planes, kernels[:, :, None, :], groups=len(kernels)).view_as(images)


def _erase(images: Tensor, chosen: Tensor, draws: tuple[Tensor, ...]) -> Tensor:
    """Fill a rectangle in the chosen images with their mean; `draws` are area, middle across, middle down and shape."""
    height, width = images.shape[-2:]
    area, across, down, shape = draws
    side = (0.02 + 0.18 * area).sqrt()
    stretch = torch.pow(1.7, shape * 2 - 1)  # sides in a ratio of 1:3 to 3:1
    tall, wide = side * stretch, side / stretch
    rows = (torch.arange(height, device=images.device) + 0.5) / height
    columns = (torch.arange(width, device=images.device) + 0.5) / width
    within_rows = (rows - down[:, None]).abs() < tall[:, None] / 2
    within_columns = (columns - across[:, None]).abs() < wide[:, None] / 2
    hole = (within_rows[:, :, None] & within_columns[:, None, :] & chosen[:, None, None])[:, None]
    return images.mean((1, 2, 3), keepdim=True).where(hole, images)


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
