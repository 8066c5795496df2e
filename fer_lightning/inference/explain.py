"""What in a face the network looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fer_lightning.errors import FERError
from fer_lightning.inference.frames import Picture
from fer_lightning.inference.model import Model
from fer_lightning.inference.recognizer import Expression
from fer_lightning.inference.rows import name_of
from fer_lightning.training.classifier import ExpressionClassifier


def attention(classifier: ExpressionClassifier, pixels: Tensor, classes: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) at the last layer that still has places.

    Args:
        classifier: The network.
        pixels: uint8 `(n, channels, size, size)`.
        classes: int64 `(n,)`, the class to explain for each face.

    Returns:
        float `(n, size, size)`, 0 to 1, on the CPU: how much each place speaks for the class.

    Raises:
        FERError: If no layer of the network has places.
    """
    maps: list[Tensor] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[-2:]) > 1:
            maps[:] = [output]

    network = classifier.network
    handles = [layer.register_forward_hook(keep) for layer in network.modules() if layer is not network]
    try:
        with torch.enable_grad():
            inputs = classifier.preprocessing.normalize(pixels.to(classifier.device)).requires_grad_()
            logits = network(inputs)
            if not maps:
                raise FERError(f"{type(network).__name__} has no layer with places: there is nothing to show.")
            chosen = logits.gather(1, classes.to(logits.device)[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, maps[0])
    finally:
        for handle in handles:
            handle.remove()
    weights = gradient.mean((2, 3), keepdim=True)
    found = (weights * maps[0].detach()).sum(1, keepdim=True).relu()
    found = interpolate(found, pixels.shape[-2:], mode="bicubic", align_corners=False)[:, 0].clamp(min=0)
    return (found / found.amax((1, 2), keepdim=True).clamp(min=1e-12)).float().cpu()


class Explanations:
    """Writes, for each face, the prepared face beside the same with what the network looked at laid over it.

    Args:
        folder: Where to write.
        model: The model; it must still have its network.

    Raises:
        FERError: If the model's format has no gradients.
    """

    def __init__(self, folder: str, model: Model) -> None:
        if model.classifier is None:
            raise FERError(
                "--explain needs gradients, which an exported graph does not have: give a checkpoint or a .safetensors "
                "file as --ckpt_path."
            )
        self.folder, self.classifier, self.names = Path(folder).expanduser(), model.classifier, model.class_names
        self.written = 0

    def add(self, picture: Picture, expressions: Sequence[Expression]) -> None:
        """Write one picture a face."""
        if not picture.faces:
            return
        pixels = torch.from_numpy(picture.pixels)
        best = [max(said.probabilities, key=said.probabilities.__getitem__) for said in expressions]
        where = attention(self.classifier, pixels, torch.tensor([self.names.index(name) for name in best]))
        for number, name, face, heat in zip(picture.numbers, best, pixels, where, strict=True):
            frame = "" if picture.frame is None else f"_{picture.frame:06d}"
            target = self.folder / f"{name_of(picture.source.name)}{frame}_{number}_{name}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            overlay(face, heat).save(target)
            self.written += 1

    def close(self) -> str:
        """What was written."""
        return f"{self.written:,} explained faces in {self.folder}"


def overlay(pixels: Tensor, heat: Tensor, side: int = 240) -> Image.Image:
    """A prepared face, uint8 `(channels, h, w)`, beside itself with a heat map, float `(h, w)`, 0..1, laid over it."""
    from matplotlib import colormaps

    face = Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).numpy()).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    strength = Image.fromarray((heat.numpy() * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    shares = np.asarray(strength, np.float32)[:, :, None] / 255
    colours = colormaps["inferno"](shares[:, :, 0])[:, :, :3] * 255
    mixed = np.asarray(face, np.float32) * (1 - 0.65 * shares) + colours * 0.65 * shares
    both = Image.new("RGB", (2 * side + 8, side), "white")
    both.paste(face, (0, 0))
    both.paste(Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8)), (side + 8, 0))
    return both
