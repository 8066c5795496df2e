"""Makes the weights of `FaceLandmarks`: `python experiments/face_landmarks.py LANDMARKS.npz OUTPUT.safetensors`.

LANDMARKS is what experiments/mesh_landmarks.py writes: faces of FER+, and where MediaPipe's face mesh sees landmarks in
them. Each face is looked at in squares around its box that are turned, moved, sized and mirrored at random, in another
light, and partly hidden; the landmarks go with it. In a quarter of the squares there is no face to be seen: they are
turned too far, beside it, or show a part of it. An epoch takes half a minute on one core. After each are told, of the
faces for validation, as their box is and at random: the mean distance to the landmarks in pixels of 192, and the 95th
percentile over faces; how many are seen; and at random, how many are seen where there are none.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, grid_sample, interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fer_lightning.data.face_alignment import AROUND
from fer_lightning.networks.face_landmarks import MIRRORED, FaceLandmarks

SIDE = FaceLandmarks.SIDE // FaceLandmarks.SHRINK
BATCH, FASTEST, EMA = 128, 0.003, 0.998
TURNED, SOMETIMES_TURNED = 15, 55
"""Degrees by which faces are turned at most, each in half of all cases; by 75 and more, they are not to be seen."""

SIZED, MOVED = 0.22, 0.14
"""At most: logarithm of the size of the square, and by how much of half its side it is moved."""

UNSEEN = 0.25
"""Share of the squares in which there is no face to be seen."""

NEAR = 6.0
"""Pixels of 192 within which a landmark's distance counts by its logarithm (wing loss, arXiv 1711.06753)."""


class Faces(NamedTuple):
    """Gray images, float `(n, 1, h, w)`, 0 to 1; boxes, `(n, 4)`; points, `(n, 5, 2)`, in pixels."""

    images: Tensor
    boxes: Tensor
    points: Tensor

    def some(self, which: Tensor) -> Faces:
        """These of them."""
        return Faces(*(part[which] for part in self))


class Looks(NamedTuple):
    """Gray images, `(n, 1, SIDE, SIDE)`; points in pixels of 192, `(n, 5, 2)`; whether there is a face, `(n,)`."""

    images: Tensor
    points: Tensor
    seen: Tensor


def spread(size: int, most: float) -> Tensor:
    """Numbers between -most and most, `(size,)`."""
    return (2 * torch.rand(size) - 1) * most


def chosen(size: int, share: float) -> Tensor:
    """True for such a share of all, bool `(size,)`."""
    return torch.rand(size) < share


def looks(faces: Faces, random: float = 1.0, unseen: float = UNSEEN) -> Looks:
    """Squares around the boxes; with `random` 0, as they are looked at when faces are aligned."""
    size, wide = len(faces.images), faces.images.shape[-1]
    middle, half = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2, faces.boxes[:, 2:].amax(1) * AROUND / 2
    degrees = torch.where(chosen(size, 0.5), spread(size, SOMETIMES_TURNED), spread(size, TURNED)) * random
    scale = spread(size, SIZED * random).exp()
    shift = torch.stack([spread(size, MOVED * random), spread(size, MOVED * random)], 1)
    mirrored = chosen(size, 0.5 * random)
    none, kind = chosen(size, unseen), torch.randint(4, (size,))
    away = 2 * math.pi * torch.rand(size)
    beside = torch.stack([away.cos(), away.sin()], 1) * (1 + torch.rand(size, 1))
    degrees = torch.where(none & (kind < 2), 180 + spread(size, 105), degrees)
    shift = torch.where((none & (kind == 2))[:, None], beside, shift)
    scale = torch.where(none & (kind == 3), 0.12 + 0.18 * torch.rand(size), scale)
    middle, half = middle + shift * half[:, None], half * scale

    angle = torch.deg2rad(degrees)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    turn = turn * torch.where(mirrored[:, None], torch.tensor([-1.0, 1.0]), 1.0)[:, None]
    steps = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    square = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).view(1, -1, 2)
    places = middle[:, None] + half[:, None, None] * (square @ turn.mT)
    places = places.view(size, SIDE, SIDE, 2)
    images = grid_sample(faces.images, places / wide * 2 - 1, padding_mode="border", align_corners=False)
    points = ((faces.points - middle[:, None]) / half[:, None, None]) @ turn
    points = torch.where(mirrored[:, None, None], points[:, list(MIRRORED)], points)
    if random:
        beyond = ((places < 0) | (places > wide)).any(-1)[:, None]
        images = torch.where(beyond, around_a_face(images), images)
    return Looks(images, (points + 1) * (FaceLandmarks.SIDE / 2), ~none)


def around_a_face(images: Tensor) -> Tensor:
    """What may be beyond the edge of a face's image: its last pixels, others' faces, or one shade."""
    size = len(images)
    part = int(SIDE * (0.4 + 0.6 * torch.rand(()).item()))
    others = images[torch.randperm(size)].flip(-1)[:, :, :part, :part]
    others = interpolate(others, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    kind = torch.rand(size, 1, 1, 1)
    return torch.where(kind < 0.4, others, torch.where(kind < 0.55, torch.rand(size, 1, 1, 1), images))


def in_another_light(images: Tensor) -> Tensor:
    """Contrast, brightness, blur, sharpness, light from a side and noise, and one part in four hidden."""
    size = len(images)
    mean, one = images.mean((1, 2, 3), keepdim=True), (size, 1, 1, 1)
    images = (images - mean) * (0.4 + 1.2 * torch.rand(one)) + mean + 0.4 * (torch.rand(one) - 0.5)
    small = interpolate(images, scale_factor=0.5, mode="area")
    blurred = interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    kind = torch.rand(one)
    sharper = images + (images - blurred) * torch.rand(one)
    images = torch.where(kind < 0.2, blurred, torch.where(kind > 0.8, sharper, images))
    steps = torch.linspace(-0.25, 0.25, SIDE)
    slope = spread(size, 1.0).view(one) * steps + spread(size, 1.0).view(one) * steps[:, None]
    images = images * (1 + slope * chosen(size, 0.4).view(one))
    noise = 0.06 * torch.rand(one) * chosen(size, 0.4).view(one)
    images = images + noise * torch.randn(images.shape)
    low, extent = torch.rand(size, 2), 0.05 + 0.4 * torch.rand(size, 2)
    low = low * (1 - extent)
    line = (torch.arange(SIDE) + 0.5) / SIDE
    inside = (line > low[..., None]) & (line < (low + extent)[..., None])  # (n, 2, SIDE)
    hidden = (inside[:, 0, :, None] & inside[:, 1, None] & chosen(size, 0.25).view(-1, 1, 1))[:, None]
    return torch.where(hidden, torch.rand(one), images).clamp(0, 1)


def loss(found: Tensor, wanted: Looks) -> Tensor:
    """That of the landmarks, where there are any, and of the confidence."""
    apart = (found[:, 1:].view(-1, 5, 2) - wanted.points).abs()
    wing = torch.where(apart < NEAR, NEAR * apart.log1p(), apart - NEAR + NEAR * math.log1p(NEAR)).mean((1, 2))
    seen = wanted.seen.float()
    return (wing * seen).sum() / seen.sum() + binary_cross_entropy(found[:, 0], seen)


@torch.inference_mode()
def checked(network: FaceLandmarks, faces: Faces) -> str:
    """The figures that an epoch is told by; the same squares each time."""
    told = []
    with torch.random.fork_rng():
        torch.manual_seed(99)
        for random in (0.0, 1.0):
            wanted = looks(faces, random, unseen=0.3 * random)
            found = network.of_gray(wanted.images)
            sure, apart = found[:, 0] > 0.5, (found[:, 1:].view(-1, 5, 2) - wanted.points).norm(dim=-1).mean(1)
            apart = apart[wanted.seen]
            told.append(f"{apart.mean():.2f}, {apart.quantile(0.95):.2f}, {sure[wanted.seen].float().mean():.3f}")
        return " | ".join(told) + f", {sure[~wanted.seen].float().mean():.3f}"


def folded(network: FaceLandmarks) -> FaceLandmarks:
    """The same network with its normalization taken into its weights."""
    plain = FaceLandmarks()
    weights = {name: value for name, value in network.state_dict().items() if ".norm." not in name}
    for name, part in network.named_modules():
        if isinstance(norm := getattr(part, "norm", None), torch.nn.BatchNorm2d):
            filtered = fuse_conv_bn_eval(part.filter.eval(), norm.eval())  # type: ignore[union-attr, arg-type, type-var]
            weights[f"{name}.filter.weight"], weights[f"{name}.filter.bias"] = filtered.weight, filtered.bias
    plain.load_state_dict(weights)
    return plain.eval()


def trained(training: Faces, validation: Faces, epochs: int) -> FaceLandmarks:
    """The network after so many epochs, its weights averaged."""
    network = FaceLandmarks(normed=True)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(EMA), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    steps = len(training.images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, FASTEST, total_steps=steps * epochs, pct_start=0.1)
    print("epoch, seconds, loss | distance, 95 %, seen | at random: distance, 95 %, seen, seen where there is none")
    began = time.monotonic()
    for epoch in range(epochs):
        total = 0.0
        for which in torch.randperm(len(training.images))[: steps * BATCH].split(BATCH):
            wanted = looks(training.some(which))
            value = loss(network.of_gray(in_another_light(wanted.images)), wanted)
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            averaged.update_parameters(network)
            total += value.item()
        known = checked(folded(averaged.module), validation)  # type: ignore[arg-type]
        print(f"{epoch + 1}, {time.monotonic() - began:.0f}, {total / steps:.3f} | {known}", flush=True)
    return folded(averaged.module)  # type: ignore[arg-type]


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("landmarks", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    known = np.load(options.landmarks)
    images = torch.from_numpy(known["images"]).float().div(255)[:, None]
    faces = Faces(images, torch.from_numpy(known["boxes"]).float(), torch.from_numpy(known["points"]).float())
    validates = torch.from_numpy(known["validation"])
    network = trained(faces.some(~validates), faces.some(validates), options.epochs)
    halves = {name: value.half() for name, value in network.state_dict().items()}
    save_file(halves, options.output, {"license": "Apache-2.0; taught by MediaPipe"})
    print(f"{sum(one.numel() for one in halves.values()):,} numbers; {options.output}")


if __name__ == "__main__":
    main()
