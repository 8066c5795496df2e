"""A trained network in any of the formats it is kept in: uint8 faces in, calibrated probabilities out."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fer_lightning.checkpoints.reading import find_checkpoint, load_classifier, refuse_newer
from fer_lightning.checkpoints.weights import ABOUT
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.model.calibration import threshold_for_risk
from fer_lightning.model.class_prior import ClassPrior, prior_ratio
from fer_lightning.training.classifier import ExpressionClassifier

ONNX, EXPORTED = ".onnx", ".pt2"
"""Endings of exported files that bring their own graph."""


class Model:
    """A trained network, ready to answer.

    Attributes:
        class_names: Names of the probabilities.
        preprocessing: The contract its images are prepared under.
        risk_curve: Rows of threshold, coverage and risk on the validation images; empty if not known.
        class_shares: The share of each class that it answers for without `assume`; empty if not known.
        class_prior: What it was told to answer for in its training.
        classifier: The network itself; None where the file brings a fixed graph.

    Args:
        answer: Turns uint8 `(n, channels, size, size)` into probabilities, float `(n, classes)`.
        about: What the file says about itself.
        classifier: The network itself, if there is one.
    """

    def __init__(
        self,
        answer: Callable[[Tensor], Tensor],
        about: dict[str, Any],
        classifier: ExpressionClassifier | None = None,
    ) -> None:
        self._answer = answer
        self.classifier = classifier
        self.class_names = tuple(about["class_names"])
        self.preprocessing = InputSpec(**about["preprocessing"])
        self.risk_curve: list[list[float]] = about.get("risk_curve", [])
        self.class_shares: list[float] = about.get("class_shares", [])
        self.class_prior: ClassPrior = about.get("class_prior", "training")
        self._ratio: Tensor | None = None

    def __call__(self, pixels: Tensor) -> Tensor:
        """Calibrated probabilities, float32 `(n, classes)` on the CPU, of faces, uint8 `(n, channels, size, size)`."""
        found = self._answer(pixels).float().cpu()
        if self._ratio is not None:
            found = found * self._ratio
            found = found / found.sum(1, keepdim=True)
        return found

    def assume(self, prior: ClassPrior) -> None:
        """Answer for another frequency of the classes than the training set up, by Bayes' rule.

        Args:
            prior: `training`, what the training set up; `uniform`; a number, those shares to that power; or a share for
                each class.

        Raises:
            FERError: If the shares do not fit the classes, or those in training are not known.
        """
        self._ratio = prior_ratio(prior, self.class_names, self.class_shares)

    def threshold(self, target_risk: float | None) -> float:
        """The confidence from which answers were wrong in no more than a share of the validation images.

        Raises:
            FERError: If the share is no share, or the model knows nothing about it.
        """
        if target_risk is None:
            return 0.0
        if not 0 <= target_risk <= 1:
            raise FERError(f"Invalid value for --target_risk. Expected a number from 0 to 1. Received: {target_risk}.")
        if not self.risk_curve:
            raise FERError("--target_risk needs a checkpoint that was trained with a validation part of its own.")
        if self._ratio is not None:
            raise FERError(
                "--target_risk was measured for the class shares that the training set up: omit --class_prior."
            )
        return threshold_for_risk(self.risk_curve, target_risk)


def open_model(given: str | os.PathLike[str], device: str = "auto") -> Model:
    """Open a trained network.

    Args:
        given: `pretrained`, a checkpoint, or a file that `export` wrote (.safetensors, .onnx, .pt2).
        device: Where a network runs: `auto` takes the machine's accelerator if it has one, else the CPU; or a device as
            torch names it. Files with a graph of their own run on the CPU.

    Raises:
        FERError: If there is no such file, it cannot be read, or a package for its format is missing.
    """
    path = find_checkpoint(str(given), Path("runs/default"))
    if path.suffix == ONNX:
        return _of_onnx(path)
    if path.suffix == EXPORTED:
        return _of_exported(path)
    classifier = load_classifier(path).to(_device(device))

    def answer(pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return classifier.probabilities(classifier(pixels.to(classifier.device)))

    about = {
        "class_names": classifier.class_names,
        "preprocessing": classifier.preprocessing.as_dict(),
        "risk_curve": classifier.risk_curve,
        "class_shares": classifier.answered_shares,
        "class_prior": classifier.class_prior,
    }
    return Model(answer, about, classifier)


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
    about = session.get_modelmeta().custom_metadata_map.get(ABOUT)

    def answer(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["probabilities"], {"image": as_photographs(pixels).numpy()})[0])

    return Model(answer, _read_about(about, path))


def _of_exported(path: Path) -> Model:
    extra = {ABOUT: ""}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No complete tensor found")
            program = torch.export.load(path, extra_files=extra).module()
    except Exception as error:  # zipfile's, pickle's and torch's own
        raise FERError(f"Cannot read '{path}': damaged, or not a torch.export file ({str(error)[:200]}).") from None

    def answer(pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            found: Tensor = program(as_photographs(pixels))
        return found

    return Model(answer, _read_about(extra[ABOUT], path))


def as_photographs(pixels: Tensor) -> Tensor:
    """Prepared faces, uint8 `(n, channels, h, w)`, as the input of exported graphs, uint8 `(n, h, w, 3)`."""
    return pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous()


def _read_about(text: str | bytes | None, path: Path) -> dict[str, Any]:
    if not text:
        raise FERError(f"'{path}' is a model of another program: expected a file written by `export`.")
    about: dict[str, Any] = json.loads(text)
    refuse_newer(about, path)
    return about
