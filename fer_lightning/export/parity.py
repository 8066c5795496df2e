"""Does an exported file answer as the original does?"""

from collections.abc import Collection
from pathlib import Path

import torch
from torch.nn.functional import interpolate

from fer_lightning.checkpoints.weights import SUFFIX
from fer_lightning.errors import FERError
from fer_lightning.export.graph import DeployedModel
from fer_lightning.inference.model import open_model, rgb_images
from fer_lightning.model.expression_model import ExpressionModel

TOLERANCE = {"size": 1e-4, "other": 5e-3, "half": 5e-3}
"""Largest difference of a probability: at the network's own size; with resizing, where one rounding of a pixel may fall
the other way; and of half-precision weights."""


def check_parity(original: ExpressionModel, written: Path, half: bool, trusted: Collection[str] = ()) -> str:
    """Compare a file's answers with the original's on 64 smooth random images; the largest difference, in a sentence.

    Raises:
        FERError: If they differ by more than `TOLERANCE` for weights in half precision, or not.
    """
    copy = open_model(written, device="cpu", trusted=trusted)
    spec = original.input_spec
    generator = torch.Generator().manual_seed(0)
    shape = (64, spec.channels, spec.image_size, spec.image_size)
    smooth = torch.rand(64, spec.channels, 6, 6, generator=generator)
    faces = interpolate(smooth, shape[2:], mode="bicubic").clamp(0, 1)
    images = (faces * 204 + torch.rand(shape, generator=generator) * 51).to(torch.uint8)
    difference = float((original.probabilities(images) - copy.probabilities(images)).abs().max())
    said = f"largest difference to the original {difference:.1e}"
    fits = difference <= TOLERANCE["half" if half else "size"]  # no if it is not a number
    if written.suffix != SUFFIX:
        larger = interpolate(images.float(), (97, 131), mode="bilinear").to(torch.uint8)
        resized = float((DeployedModel(original)(rgb_images(larger)) - copy.probabilities(larger)).abs().max())
        said += f", with resizing {resized:.1e}"
        fits = fits and resized <= TOLERANCE["other"]
    if not fits:
        raise FERError(f"The exported file answers otherwise than the original ({said}): it was not kept.")
    return said
