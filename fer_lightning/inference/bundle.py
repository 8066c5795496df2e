"""A folder that `export` wrote, used with onnxruntime and without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_lightning.checkpoints.finding import BUNDLED
from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.data.face_alignment import EXPORTED_LANDMARKS
from fer_lightning.data.face_detectors import EXPORTED_YUNET
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.inference.onnx_graph import open_onnx, read_onnx, reading_graph
from fer_lightning.model.class_prior import ClassPrior, prior_probabilities, prior_ratio

FIXED = "An exported network averages mirror images, or not, as it was exported: omit --tta_flip, or use a checkpoint."


@dataclass(frozen=True)
class BundleModel:
    """The network of a bundle: what `ExpressionRecognizer` needs of an `ExpressionModel`.

    Attributes:
        class_names: The classes.
        input_spec: How an image becomes the network's input; its detector is that of the bundle.
        effective_prior: The class frequencies that answers are for; empty if not known.
        risk_curve: Rows of threshold, coverage and risk on the validation images.
        graph: Probabilities, float `(n, classes)`, of faces, uint8 `(n, size, size, 3)`, RGB.
        ratio: What these are multiplied by for another class prior.
    """

    class_names: tuple[str, ...]
    input_spec: InputSpec
    effective_prior: list[float]
    risk_curve: list[list[float]]
    graph: Callable[[np.ndarray], np.ndarray]
    ratio: np.ndarray | None = None

    def answers(self, pixels: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float `(n, classes)`, of faces, uint8 `(n, channels, size, size)`."""
        try:
            rgb = np.broadcast_to(pixels, (len(pixels), 3, *pixels.shape[2:]))
            found = self.graph(np.ascontiguousarray(rgb.transpose(0, 2, 3, 1)))
        except Exception as error:  # onnxruntime's own; a file may say that it takes what it does not
            said = str(error).partition("\n")[0][:200]
            raise FERError(f"The exported network cannot answer for these images: {said}. Export it again.") from None
        if found.shape != (len(pixels), len(self.class_names)) or not ((found >= 0) & (found < 1.01)).all():
            raise FERError("The exported network gives answers that are no probabilities. Export it again.")
        if self.ratio is not None:
            found = found * self.ratio
        answers: np.ndarray = found / found.sum(1, keepdims=True)
        return answers

    def with_prior(self, prior: ClassPrior) -> BundleModel:
        """The same for another class prior; an FERError if it does not fit."""
        names, known = self.class_names, self.effective_prior
        ratio = prior_ratio(prior, names, known)
        return replace(self, effective_prior=prior_probabilities(prior, names, known), ratio=ratio)

    def with_tta_flip(self, tta_flip: bool) -> BundleModel:
        """An FERError: the graph averages mirror images, or does not, as it was exported."""
        raise FERError(FIXED)


def is_bundle(path: Path) -> bool:
    """Whether that is the network of a folder that `export` wrote."""
    return path.name == BUNDLED and path.with_name(EXPORTED_YUNET).is_file()


def open_bundle(path: Path) -> tuple[BundleModel, CheckpointInfo]:
    """The network of a bundle, and what it says of itself.

    Raises:
        FERError: If it cannot be read, or onnx or onnxruntime are missing.
    """
    graph, info = open_onnx(path)
    detector = path.with_name(EXPORTED_YUNET)
    with reading_graph(detector, "an ONNX"):
        read_onnx(detector, KEY, "places")
    if info.input_spec.align:
        landmarks = path.with_name(EXPORTED_LANDMARKS)
        with reading_graph(landmarks, "an ONNX"):
            read_onnx(landmarks, KEY, "landmarks")
    spec = replace(info.input_spec, detector=str(detector))
    return BundleModel(info.class_names, spec, list(info.learned_prior), info.risk_curve, graph), info
