"""Grad-CAM: what in a face speaks for the answer."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fer_lightning.errors import FERError
from fer_lightning.inference.expression import Expression
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.model import GraphModel
from fer_lightning.inference.pictures import Pictures
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.names import file_name, printable


def grad_cam(model: ExpressionModel, images: Tensor, classes: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) at the last layer that still has places.

    Args:
        model: A model that is set to answer.
        images: uint8 `(n, channels, size, size)`.
        classes: int64 `(n,)`, the class to explain for each face.

    Returns:
        float `(n, size, size)`, 0 to 1, on the CPU: how much each place speaks for the class.

    Raises:
        FERError: If no layer of the network has places, or it mixes them again afterwards, as vision transformers do.
    """
    name = type(getattr(model.network, "model", model.network)).__name__
    maps: list[Tensor] = []
    mixed: list[str] = []
    here = get_ident()

    def keep(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(first, Tensor) or get_ident() != here:  # another thread answers with the same network
            return
        if first.ndim == 4 and first.shape[0] == len(images) and min(first.shape[-2:]) > 1:
            maps[:], mixed[:] = [first], []
        elif first.ndim == 3 and maps and next(layer.parameters(recurse=False), None) is not None:
            mixed.append(type(layer).__name__)  # works on a sequence of places

    handles = [layer.register_forward_hook(keep) for layer in model.network.modules() if layer is not model.network]
    try:
        with torch.enable_grad():
            logits = model.network(model.normalize(images.to(model.device)).requires_grad_())
            if not maps:
                raise FERError(f"{name} has no layer with places: there is nothing to explain.")
            if mixed:
                raise FERError(
                    f"{name} cannot be explained: {mixed[0]} works on a sequence of places after the last feature map, "
                    "as in a vision transformer, so that the map does not say where a class was seen. Use a "
                    "convolutional network."
                )
            chosen = logits.gather(1, classes.to(logits.device)[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, maps[0])
    finally:
        for handle in handles:
            handle.remove()
    features = maps[0].detach()
    if features.shape[2] != features.shape[3]:  # images are square: channels come last, as in Swin transformers
        features, gradient = features.permute(0, 3, 1, 2), gradient.permute(0, 3, 1, 2)
    found = (gradient.mean((2, 3), keepdim=True) * features).sum(1, keepdim=True).relu()
    found = interpolate(found, images.shape[-2:], mode="bicubic", align_corners=False)[:, 0].clamp(min=0)
    return (found / found.amax((1, 2), keepdim=True).clamp(min=1e-12)).float().cpu()


class Explanations:
    """Writes, for each face, the prepared face beside the same with its Grad-CAM laid over it."""

    def __init__(self, folder: str, model: ExpressionModel, overwrite: bool = False) -> None:
        if isinstance(model, GraphModel):
            raise FERError(
                "--explain needs gradients, which an exported graph does not have: give a checkpoint or a .safetensors "
                "file as --ckpt_path."
            )
        self.folder, self.model, self.names = Path(folder).expanduser(), model, model.class_names
        self._pictures = Pictures(self.folder, overwrite)

    def add(self, frame: Frame, expressions: Sequence[Expression]) -> None:
        """Write one image a face."""
        if not frame.faces:
            return
        pixels = torch.from_numpy(frame.pixels)
        best = [max(said.probabilities, key=said.probabilities.__getitem__) for said in expressions]
        where = grad_cam(self.model, pixels, torch.tensor([self.names.index(name) for name in best]))
        for number, name, face, heat in zip(frame.numbers, best, pixels, where, strict=True):
            place = "" if frame.frame is None else f"_{frame.frame:06d}"
            ending = f"{place}_{number}_{file_name(name)}.png"
            self._pictures.save(overlay(face, heat), frame.source, partial(_named, ending))

    def close(self) -> str:
        """What was written."""
        return f"{self._pictures.written:,} explained faces in {printable(str(self.folder))}"


def _named(ending: str, start: str) -> str:
    return start + ending


def overlay(pixels: Tensor, heat: Tensor, side: int = 240) -> Image.Image:
    """A prepared face, uint8 `(channels, h, w)`, beside itself with a heat map, float `(h, w)`, 0..1, laid over it."""
    from matplotlib import colormaps

    shown = pixels.expand(3, -1, -1).permute(1, 2, 0).numpy(), (heat * 255).to(torch.uint8).numpy()
    face, strength = (Image.fromarray(each).resize((side, side), Image.Resampling.BICUBIC) for each in shown)
    colors = Image.fromarray(colormaps["inferno"](np.asarray(strength), bytes=True)[:, :, :3].copy())
    both = Image.new("RGB", (2 * side + 8, side), "white")
    both.paste(face, (0, 0))
    both.paste(Image.composite(colors, face, strength.point(lambda value: 0.65 * value)), (side + 8, 0))
    return both
