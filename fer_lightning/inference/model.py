"""A trained model in any of the formats it is kept in: uint8 faces in, calibrated probabilities out."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.checkpoints.reading import find_checkpoint, load_model, read_checkpoint
from fer_lightning.checkpoints.weights import info_of_json
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.model.calibration import threshold_for_risk
from fer_lightning.model.class_prior import ClassPrior, prior_probabilities, prior_ratio
from fer_lightning.model.expression_model import ExpressionModel

ONNX, EXPORTED = ".onnx", ".pt2"
"""Endings of exported files that bring their own graph."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model, ready to answer. It never changes, so any number of threads may use it at once.

    Attributes:
        info: What its file says about it.
        answer: Turns images, uint8 `(n, channels, size, size)`, into probabilities, float `(n, c)`, for the class prior
            that its training set it up for.
        module: The model in torch; None where the file brings a fixed graph.
        prior: The class prior to answer for, in place of the one its training set it up for; see `with_prior`.
    """

    info: CheckpointInfo
    answer: Callable[[Tensor], Tensor]
    module: ExpressionModel | None = None
    prior: ClassPrior = "training"

    @classmethod
    def of(cls, model: ExpressionModel, device: str = "auto") -> Model:
        """A model in memory as it is now: a copy, so that nothing happens to the given one, nor to this one later.

        Args:
            model: The model.
            device: See `open_model`.

        Raises:
            FERError: If there is no such device.
        """
        return cls._of(copy.deepcopy(model), device, CheckpointInfo(**model.settings()))

    @classmethod
    def _of(cls, model: ExpressionModel, device: str, info: CheckpointInfo) -> Model:
        module = model.to(_device(device)).eval().requires_grad_(False)

        def answer(images: Tensor) -> Tensor:
            with torch.inference_mode():
                return module.probabilities(images.to(module.device))

        return cls(info, answer, module)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the `c` probabilities."""
        return self.info.class_names

    @property
    def input_spec(self) -> InputSpec:
        """How an image becomes what it takes."""
        return self.info.input_spec

    def __call__(self, images: Tensor) -> Tensor:
        """Calibrated probabilities, float32 `(n, c)` on the CPU, of faces, uint8 `(n, channels, size, size)`."""
        found = self.answer(images).float().cpu()
        ratio = self._ratio
        return found if ratio is None else found * ratio / (found * ratio).sum(1, keepdim=True)

    def with_prior(self, prior: ClassPrior) -> Model:
        """A model that answers for another class prior, by Bayes' rule; it shares the network.

        Args:
            prior: `training`, what the training set up; `uniform`; a number, those frequencies to that power; or a
                frequency for each class.

        Raises:
            FERError: If it does not fit the classes, or the frequencies in training are not known.
        """
        other = replace(self, prior=prior)
        _ = other._ratio
        return other

    @property
    def _ratio(self) -> Tensor | None:
        return prior_ratio(self.prior, self.class_names, trained_prior(self.info))

    def threshold(self, target_risk: float | None) -> float:
        """The confidence from which at most a fraction `target_risk` of the answers on validation images was wrong.

        Raises:
            FERError: If it is no fraction, or the model knows nothing about it.
        """
        if target_risk is None:
            return 0.0
        if not 0 <= target_risk <= 1:
            raise FERError(f"Invalid value for --target_risk. Expected a number from 0 to 1. Received: {target_risk}.")
        if not self.info.risk_curve:
            raise FERError("--target_risk needs a checkpoint that was trained with a validation subset of its own.")
        if self._ratio is not None:
            raise FERError(
                "--target_risk was measured for the class prior that the training set up: omit --class_prior."
            )
        return threshold_for_risk(self.info.risk_curve, target_risk)


def open_model(given: str | os.PathLike[str], device: str = "auto", trusted: Collection[str] = ()) -> Model:
    """Open a trained model.

    Args:
        given: `pretrained`, a checkpoint, or a file that `export` wrote (.safetensors, .onnx, .pt2).
        device: Where it computes: `auto` takes the machine's accelerator if it has one, else the CPU; or a device as
            torch names it. Files with a graph of their own are computed on the CPU.
        trusted: Class paths of networks outside of this package that may be imported if the file names them.

    Raises:
        FERError: If there is no such file, it cannot be read, a package for its format is missing, or it names a
            network that is not trusted.
    """
    path = find_checkpoint(str(given), Path("runs/default"))
    if path.suffix in (ONNX, EXPORTED):
        return _of_onnx(path) if path.suffix == ONNX else _of_exported(path)
    model = load_model(path, trusted=trusted)
    return Model._of(model, device, CheckpointInfo(**model.settings()))


def info_of_file(path: Path) -> CheckpointInfo:
    """What a file says about its model, in any of the formats; its network is not made.

    Raises:
        FERError: If it cannot be read, or a package for its format is missing.
    """
    return open_model(path).info if path.suffix in (ONNX, EXPORTED) else read_checkpoint(path)[0]


def trained_prior(info: CheckpointInfo) -> list[float]:
    """The class frequencies that its training set a model up to answer for; empty if not known."""
    return prior_probabilities(info.class_prior, info.class_names, info.learned_prior)


def rgb_images(images: Tensor) -> Tensor:
    """Prepared faces, uint8 `(n, channels, h, w)`, as exported graphs take them, uint8 `(n, h, w, 3)`."""
    return images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous()


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        said = str(error).partition("\n")[0]
        raise FERError(f"Invalid value for --device. Expected auto or a device that is there, as cpu. {said}") from None
    return device


def _of_onnx(path: Path) -> Model:
    try:
        import onnxruntime
    except ImportError:
        raise FERError("ONNX files need onnxruntime: pip install onnxruntime.") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise FERError(f"Cannot read '{path}': damaged, or not an ONNX file ({str(error)[:200]}).") from None

    def answer(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["probabilities"], {"image": rgb_images(images).numpy()})[0])

    return Model(_info_of_graph(session.get_modelmeta().custom_metadata_map.get(KEY), path), answer)


def _of_exported(path: Path) -> Model:
    extra: dict[str, Any] = {KEY: ""}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No complete tensor found")
            program = torch.export.load(path, extra_files=extra).module()
    except Exception as error:  # zipfile's, pickle's and torch's own
        raise FERError(f"Cannot read '{path}': damaged, or not a torch.export file ({str(error)[:200]}).") from None

    def answer(images: Tensor) -> Tensor:
        with torch.inference_mode():
            found: Tensor = program(rgb_images(images))
        return found

    return Model(_info_of_graph(extra[KEY], path), answer)


def _info_of_graph(text: str | bytes | None, path: Path) -> CheckpointInfo:
    if not text:
        raise FERError(f"'{path}' is a model of another program: expected a file written by `export`.")
    return replace(info_of_json(text, path), class_prior="training")  # its answers are for the prior that it states
