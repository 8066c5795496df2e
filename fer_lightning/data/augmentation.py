"""Random changes to a batch of training images, on whatever device it is."""

import inspect
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own documentation calls it F)
from torch.nn.functional import one_hot
from torchvision.transforms import v2

from fer_lightning.data.batches import Batch
from fer_lightning.data.input_spec import LARGEST
from fer_lightning.errors import FERError, check_range

_TOPS = {"rotation": 180.0, "scale": 0.9, "aspect": 0.9, "blur": 0.2, "mixup": 100.0, "cutmix": 100.0}


class Moment(NamedTuple):
    """When in a training a batch is augmented: `progress` is the fraction of it that is over, 0 to 1."""

    seed: int
    epoch: int
    progress: float = 0.0


class Augmentation(nn.Module):
    """Changes every training image at random; what is drawn depends on (seed, epoch, sample) alone.

    So neither the batch an image is in, nor the device, nor an interruption changes what happens to it. Everything is
    off by default.

    Args:
        flip: Mirror half of the images left to right.
        rotation: Turn by up to this many degrees either way.
        scale: Enlarge or shrink by up to this fraction, such as 0.1 for 0.9 to 1.1 times.
        aspect: Stretch or press the height against the width by up to this fraction.
        shift: Move by up to this fraction of the width and of the height.
        brightness: Make lighter or darker by up to this fraction of the full range.
        contrast: Stretch or press the distance of values from the image's mean by up to this fraction.
        blur: Blur (Gaussian) by a standard deviation of up to this fraction of the width; little blur is more frequent.
        noise: Add normal noise with a standard deviation of up to this fraction of the full range; little noise is more
            frequent.
        erasing: Probability that a rectangle of 2 to 20 % of the image is filled with the image's mean
            (Random Erasing, arXiv 1708.04896).
        mixup: Parameter alpha of torchvision's MixUp (arXiv 1710.09412): images and targets are blended in pairs; 0 for
            never.
        cutmix: Parameter alpha of torchvision's CutMix (arXiv 1905.04899): rectangles are pasted in pairs; 0 for never.
            With mixup as well, each batch gets one of the two.
        cooldown: Fraction of the training, at its end, over which all of this but `flip`, `mixup` and `cutmix` falls
            evenly to nothing, so that the network ends on images as they are (as in YOLOX, arXiv 2107.08430, section
            2.2).
        progressive_sizes: Sides in pixels that images are resized to, each for an equal fraction of the training, such
            as `[32, 40, 48]`: small images first make a training shorter (progressive learning, arXiv 2104.00298,
            section 4). The network must take images of any size; validation and use stay at the full size.

    Raises:
        FERError: If a value is out of its range.
    """

    def __init__(
        self,
        flip: bool = False,
        rotation: float = 0.0,
        scale: float = 0.0,
        aspect: float = 0.0,
        shift: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        blur: float = 0.0,
        noise: float = 0.0,
        erasing: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        cooldown: float = 0.0,
        progressive_sizes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.flip, self.cooldown, self.progressive_sizes = flip, cooldown, tuple(progressive_sizes)
        self.strengths = {"rotation": rotation, "scale": scale, "aspect": aspect, "shift": shift}
        self.strengths |= {"brightness": brightness, "contrast": contrast, "blur": blur, "noise": noise}
        self.strengths["erasing"] = erasing
        for name, value in (self.strengths | {"cooldown": cooldown, "mixup": mixup, "cutmix": cutmix}).items():
            check_range(f"--data.augmentation.{name}", value, 0.0, _TOPS.get(name, 1.0))
        if not all(1 <= size <= LARGEST for size in progressive_sizes):
            expected = f"Expected 1 to {LARGEST:,} pixels. Received: {list(progressive_sizes)}."
            raise FERError(f"Invalid value for --data.augmentation.progressive_sizes. {expected}")
        kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
        self.mixing = nn.ModuleList([kind(alpha=alpha) for kind, alpha in kinds if alpha])

    @property
    def active(self) -> bool:
        """Whether anything is switched on."""
        return bool(self.flip or any(self.strengths.values()) or self.progressive_sizes or self.mixing)

    def forward(self, images: Tensor, samples: Tensor, moment: Moment) -> Tensor:
        """Change images, uint8 or float `(n, channels, h, w)`, 0..255, numbered by `samples`, int64 `(n,)`.

        Returns:
            float32 of the same shape, or of the side that `progressive_sizes` say, 0..255.
        """
        left = min(1.0, (1 - moment.progress) / self.cooldown) if self.cooldown else 1.0
        now = {name: value * left if left < 1 else value for name, value in self.strengths.items()}
        draws = uniform(moment.seed, moment.epoch, samples, 15).unbind(1)
        signed = [draw * 2 - 1 for draw in draws]
        images = images.float()
        if now["rotation"] or now["scale"] or now["aspect"] or now["shift"]:
            images = self._move(images, draws[0], signed, now)
        elif self.flip:
            images = images.flip(-1).where(_column(draws[0] < 0.5), images)
        if now["brightness"] or now["contrast"]:
            mean = images.mean((1, 2, 3), keepdim=True)
            stretched = (images - mean) * _column(1 + signed[5] * now["contrast"]) + mean
            images = (stretched + _column(signed[6] * now["brightness"] * 255)).clamp_(0, 255)
        if blur := now["blur"]:
            images = _blur(images, draws[12] ** 2 * blur * images.shape[-1], blur * images.shape[-1])
        if now["noise"]:
            values = uniform(moment.seed + 1, moment.epoch, samples, images[0].numel()).view_as(images)
            values = (values * 2 - 1).clamp_(-0.999999, 0.999999).erfinv_().mul_(math.sqrt(2))  # normal by inversion
            images = (images + values * _column(draws[13] ** 2 * now["noise"] * 255)).clamp_(0, 255)
        if now["erasing"]:
            images = _erase(images, draws[7] < now["erasing"], draws[8:12])
        sizes = self.progressive_sizes
        side = sizes[min(int(moment.progress * len(sizes)), len(sizes) - 1)] if sizes else images.shape[-1]
        if side != images.shape[-1]:
            images = F.interpolate(images, [side, side], mode="bilinear", align_corners=False, antialias=True)
        return images

    def _move(self, images: Tensor, flip: Tensor, signed: list[Tensor], now: dict[str, float]) -> Tensor:
        angle = signed[1] * math.radians(now["rotation"])
        size = 1 / (1 + signed[2] * now["scale"])
        mirror = torch.where(flip < 0.5, -1.0, 1.0) if self.flip else torch.ones_like(flip)
        cos, sin = angle.cos() * size, angle.sin() * size
        across, down = signed[3] * 2 * now["shift"], signed[4] * 2 * now["shift"]
        tall = (1 + signed[14] * now["aspect"]).sqrt()  # as much wider as less high: the area stays
        rows = [torch.stack([cos * mirror * tall, -sin / tall, across], 1)]
        rows += [torch.stack([sin * mirror * tall, cos / tall, down], 1)]
        grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def augment(module: nn.Module, batch: Batch, num_classes: int, moment: Moment) -> Batch:
    """Let an augmentation change a training batch.

    Args:
        module: `Augmentation`, or any module that takes images, uint8 `(n, channels, h, w)`, and returns such or
            floats, 0..255; or, where its `forward` takes more than one argument, images and targets, float `(n,
            classes)`, and returns both, as torchvision's v2 transforms do.
        batch: The batch.
        num_classes: Number of classes.
        moment: When in the training.

    Raises:
        FERError: If it returns something else than images.
    """
    if isinstance(module, Augmentation):
        both = bool(module.mixing)
    else:
        known = inspect.signature(module.forward).parameters.values()
        both = len(known) > 1 or any(one.kind is one.VAR_POSITIONAL for one in known)
    targets = batch.targets
    if targets is None and both and batch.labels is not None:
        targets = one_hot(batch.labels, num_classes).float()
    if isinstance(module, Augmentation):
        images = module(batch.images, batch.samples, moment)
        if module.mixing:
            images, targets = module.mixing[int(torch.randint(len(module.mixing), ()))](images, targets)
    else:
        images, targets = module(batch.images, targets) if both else (module(batch.images), targets)
    if not isinstance(images, Tensor) or images.ndim != 4 or len(images) != len(batch.images):
        found = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        expected = "has to return images (n, channels, height, width)"
        raise FERError(f"--data.augmentation {type(module).__name__} {expected}. Received: {found}.")
    return batch._replace(images=images, targets=targets)


def uniform(seed: int, epoch: int, samples: Tensor, count: int) -> Tensor:
    """Numbers that are a pure function of their arguments: float32 `(n, count)`, uniform in 0..1 (1 excluded).

    A counter-based generator, as each sample, int64 `(n,)`, must draw the same wherever it is; the mixing function is
    that of SplitMix64 (Steele, Lea and Flood 2014, https://doi.org/10.1145/2660193.2660195).
    """
    key = torch.full_like(samples[:1], seed)  # a tensor made of a list waits for a GPU
    for part in (epoch, samples):
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
