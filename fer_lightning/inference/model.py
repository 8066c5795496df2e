"""A trained model, opened from any of the formats it is kept in."""

import os
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fer_lightning.checkpoints.finding import DEFAULT_RUN, find_checkpoint
from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.checkpoints.reading import load_model, read_checkpoint
from fer_lightning.errors import FERError
from fer_lightning.inference.bundle import FIXED
from fer_lightning.inference.exported_graph import read_graph
from fer_lightning.inference.onnx_graph import info_in_graph, open_onnx, reading_graph
from fer_lightning.model.class_prior import prior_probabilities
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.names import printable

ONNX, EXPORTED = ".onnx", ".pt2"
"""Endings of exported files that bring their own graph."""


class GraphModel(ExpressionModel):
    """An exported graph: on the CPU, `answer` turns uint8 `(n, h, w, 3)`, RGB, into probabilities, float `(n, c)`.

    They are calibrated already, so that their logarithms are its logits, and its temperature is 1.
    """

    def __init__(self, answer: Callable[[Tensor], Tensor], info: CheckpointInfo) -> None:
        super().__init__(nn.Identity(), info.class_names, info.input_spec, 1.0, info.learned_prior)
        self.risk_curve, self.answer = info.risk_curve, answer

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float `(n, c)`, of images, uint8 `(n, channels, h, w)`, 0..255."""
        try:
            answers = self.answer(rgb_images(images.cpu()))
        except Exception as error:  # torch's and onnxruntime's own; a file may say that it takes what it does not
            said = printable(str(error)).partition("\n")[0][:200]
            raise FERError(f"The exported file cannot answer for these images: {said}. Export it again.") from None
        return self._checked(answers).log().to(images.device)

    def _checked(self, answers: Tensor) -> Tensor:
        """The answers of the graph, if they are probabilities of its classes."""
        shape = (len(answers), len(self.class_names))
        if answers.shape != shape or not bool(((answers >= 0) & (answers < 1.01)).all()):  # not if one is NaN
            raise FERError("The exported file gives answers that are no probabilities of its classes. Export it again.")
        if len(answers) and float((answers.sum(1) - 1).abs().max()) > 0.01:
            raise FERError("The exported file gives probabilities that do not add up to 1. Export it again.")
        return answers

    def with_tta_flip(self, tta_flip: bool) -> ExpressionModel:
        """An FERError: the graph averages mirror images, or does not, as it was exported."""
        raise FERError(FIXED)

    def check_network(self, size: int | None = None) -> None:
        """Nothing: a graph was compared with its original when it was written."""


def open_model(given: str | os.PathLike[str], device: str = "auto", trusted: Collection[str] = ()) -> ExpressionModel:
    """Open a trained model, ready to answer.

    Args:
        given: `pretrained`, a checkpoint, what `export` wrote (.safetensors, .onnx, .pt2, a folder), or `hf://OWNER/NAME`.
        device: See `find_device`. Files with a graph of their own are computed on the CPU.
        trusted: Class paths of networks outside of this package that may be imported if the file names them.

    Raises:
        FERError: If there is no such file, it cannot be read, a package for its format is missing, or it names a
            network that is not trusted.
    """
    path = find_checkpoint(str(given), DEFAULT_RUN)
    if path.suffix in (ONNX, EXPORTED):
        return GraphModel(*_open_graph(path)).eval()
    return load_model(path, trusted=trusted).to(find_device(device))


def answers_of(model: ExpressionModel, pixels: np.ndarray, batch_size: int) -> np.ndarray:
    """Probabilities, float `(n, classes)`, of faces, uint8 `(n, channels, size, size)`, computed in batches."""
    with torch.inference_mode():
        batches = (some.to(model.device) for some in torch.split(torch.from_numpy(pixels), batch_size))
        return torch.cat([model.probabilities(some).cpu() for some in batches]).numpy()


def info_of_file(path: Path) -> CheckpointInfo:
    """What a file says about its model, in any of the formats."""
    return _open_graph(path)[1] if path.suffix in (ONNX, EXPORTED) else read_checkpoint(path)[0]


def trained_prior(info: CheckpointInfo) -> list[float]:
    """The class frequencies that its training set a model up to answer for; empty if not known."""
    return prior_probabilities(info.class_prior, info.class_names, info.learned_prior)


def rgb_images(images: Tensor) -> Tensor:
    """Prepared faces, uint8 `(n, channels, h, w)`, as exported graphs take them, uint8 `(n, h, w, 3)`."""
    return images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous()


def find_device(name: str) -> torch.device:
    """A device as torch names it; `auto` is the machine's accelerator if it has one, else the CPU."""
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        said = str(error).partition("\n")[0].partition(". ")[0]
        raise FERError(
            f"Invalid value for --device. Expected auto, cpu, or another device of torch's that is there, as cuda. "
            f"Received: {name} ({said})."
        ) from None
    return device


def _open_graph(path: Path) -> tuple[Callable[[Tensor], Tensor], CheckpointInfo]:
    """An exported graph as a function, and what its file says."""
    if path.suffix == ONNX:
        graph, info = open_onnx(path)
        return lambda images: torch.from_numpy(graph(images.numpy())), info
    with reading_graph(path, "a torch.export"):
        steps, about = read_graph(path, KEY)
        info = info_in_graph(about, path)
        steps.check(info.input_spec.image_size, len(info.class_names))
    return steps, info
