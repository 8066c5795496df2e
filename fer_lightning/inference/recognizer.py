"""ExpressionRecognizer: a trained model for use in Python."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from PIL import Image

from fer_lightning.checkpoints.finding import DEFAULT_RUN, find_checkpoint
from fer_lightning.cores import available_cpus
from fer_lightning.data.face_crop import LONGEST
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError, check_range
from fer_lightning.inference.addresses import is_stream
from fer_lightning.inference.bundle import BundleModel, is_bundle, open_bundle
from fer_lightning.inference.expression import SAID, Expression
from fer_lightning.inference.films import Film
from fer_lightning.inference.frames import FacesOption, Frame, Look, as_asked, look
from fer_lightning.inference.given import Box, ImageLike, faces_of, is_path, opener, with_faces
from fer_lightning.inference.recognition import Recognition, Recognitions
from fer_lightning.inference.sources import Source
from fer_lightning.inference.tracks import Tracks
from fer_lightning.model.calibration import threshold_for_risk
from fer_lightning.model.class_prior import ClassPrior, prior_probabilities
from fer_lightning.names import column
from fer_lightning.storage import is_address, without_secret

if TYPE_CHECKING:
    from fer_lightning.model.expression_model import ExpressionModel

DETECTION_SIZES = (64, 32_768)
"""The smallest and the largest longer side at which faces can be looked for."""


class ExpressionRecognizer:
    """Names the expressions in images. It never changes, so several threads may use one at once.

    Args:
        model: A checkpoint, an exported file or folder, `hf://OWNER/NAME`, or `pretrained`; an `ExpressionModel`, of
            which a copy is taken as it is now; or another recognizer, whose network is shared.
        faces: `detect` finds the faces in an image, `align` turns them upright too and `box` does not, whatever the
            network was trained on; `whole` takes the image as one face; `detect_or_whole` does so where it finds none,
            but in films; `auto` does what the network was trained on.
        class_prior: How frequent the classes are where it is used: `training`, as its training set the network up;
            `uniform`; a number from 0 to 10, those frequencies to that power; or a frequency for each class.
        target_risk: Fraction of wrong answers to accept; less sure ones become `uncertain`. None answers always.
        detector: `yunet`, or a YuNet model file; None for what the network was trained with.
        batch_size: Faces that the network takes at once.
        workers: Processes that decode and search lists of files ahead, or threads where processes may not be started,
            as in a Pool; None for one less than there are cores.
        device: `auto` or a device as torch names it; a shared network stays where it is.
        detection_size: The longer side in pixels at which faces are looked for; above 640, in tiles, which finds small
            faces in large images.
        trusted: Class paths of networks outside of this package that may be imported if a file names them.
        tta_flip: Whether the answer is the mean of a face and its mirror image, at twice the cost; None for as the
            model says.

    Raises:
        FERError: If the model or the detector cannot be had, or an option does not fit.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | ExpressionModel | ExpressionRecognizer = "pretrained",
        faces: FacesOption = "auto",
        class_prior: ClassPrior = "training",
        target_risk: float | None = None,
        detector: str | None = None,
        batch_size: int = 64,
        workers: int | None = None,
        device: str = "auto",
        trusted: Collection[str] = (),
        detection_size: int = LONGEST,
        tta_flip: bool | None = None,
    ) -> None:
        trained: ExpressionModel | BundleModel
        trained = model._trained if isinstance(model, ExpressionRecognizer) else _opened(model, device, trusted)
        prior = prior_probabilities(class_prior, trained.class_names, trained.effective_prior)
        moved = prior != trained.effective_prior
        self._trained: ExpressionModel | BundleModel = trained
        if tta_flip not in (None, True, False):
            raise FERError(f"Invalid value for tta_flip. Expected True, False or None. Received: {tta_flip!r}.")
        given = trained if tta_flip is None else trained.with_tta_flip(tta_flip)
        self.model = given.with_prior(prior) if moved else given
        self.threshold = 0.0 if target_risk is None else self._threshold(target_risk, moved, given is not trained)
        spec = as_asked(faces, trained.input_spec)
        self.input_spec = spec if detector is None else replace(spec, detector=detector)
        self.input_spec.need_detector()
        self._auto, self.or_whole = faces == "auto", faces == "detect_or_whole"
        check_range("--batch_size", batch_size, 1, 1_000_000)
        if workers is not None:
            check_range("--workers", workers, 0, 256)
        check_range("--detection_size", detection_size, *DETECTION_SIZES)
        self.detection_size = detection_size
        self.batch_size, self.workers = batch_size, available_cpus() if workers is None else workers

    def _threshold(self, target_risk: float, moved: bool, flipped: bool) -> float:
        """The confidence from which at most a fraction `target_risk` of the answers on validation images was wrong."""
        check_range("--target_risk", target_risk, 0, 1)
        if not self.model.risk_curve:
            raise FERError("--target_risk needs a checkpoint that was trained with a validation subset of its own.")
        if moved:
            raise FERError("--target_risk was measured for the class prior of the training: omit --class_prior.")
        if flipped:
            raise FERError(
                "--target_risk was measured with mirror images averaged, or not, as the model says: omit --tta_flip."
            )
        return threshold_for_risk(self.model.risk_curve, target_risk)

    @overload
    def predict(
        self, images: ImageLike, channels: Literal["RGB", "BGR"] = "RGB", faces: Sequence[Box] | None = None
    ) -> Recognition: ...

    @overload
    def predict(
        self,
        images: list[Any],
        channels: Literal["RGB", "BGR"] = "RGB",
        faces: Sequence[Sequence[Box] | None] | None = None,
    ) -> Recognitions: ...

    def predict(
        self,
        images: ImageLike | list[Any],
        channels: Literal["RGB", "BGR"] = "RGB",
        faces: Sequence[Any] | None = None,
    ) -> Recognition | Recognitions:
        """Name the expressions in an image, or in each of a list, with the faces of all in common batches.

        Args:
            images: A path; an image file as bytes, as a file object or as a data URL (`data:image/png;base64,...`); a
                PIL image; a numpy array, uint8 `(height, width)` or `(height, width, 3)`; a tensor, uint8
                `(height, width)`, `(1, height, width)` or `(3, height, width)`; or a list of such.
            channels: Order of the channels in arrays and tensors; OpenCV's is BGR.
            faces: Boxes of faces that are known already, `(left, top, width, height)` in pixels of the upright image:
                a list of them, or for a list of images, one such list each, or None where faces are to be found.

        Returns:
            One `Recognition` an image. A file that cannot be read is one with `error` set.

        Raises:
            FERError: If what is given is no image in any of these forms, or a box is not within its image.
        """
        if channels not in ("RGB", "BGR"):
            raise FERError(f"Invalid value for channels. Expected RGB or BGR. Received: {channels}.")
        if not isinstance(images, list):
            return self.predict([images], channels, None if faces is None else [faces])[0]
        if faces is not None and len(faces) != len(images):
            raise FERError(
                "Invalid value for faces. Expected for a list of images one list of boxes, or None, each. Received: "
                f"{len(faces)} for {len(images)} images."
            )
        how = self.how()
        boxes = [None if one is None else faces_of(one) for one in faces or [None] * len(images)]
        openers = (opener(image, channels) for image in images)
        sources = [Source(os.fspath(image) if is_path(image) else "", "image") for image in images]
        kept: list[Callable[[], Image.Image]] = []

        def frame(source: Source, opened: Callable[[], Image.Image], known: list[Face] | None) -> Frame:
            kept.append(opened)
            return how.opened(Frame(source), partial(with_faces, opened, known or ()), known)

        frames: Iterator[Frame] = map(frame, sources, openers, boxes)
        if (
            len(images) > self.batch_size
            and faces is None
            and all(is_path(one) and not is_address(os.fspath(one)) for one in images)
        ):
            kept, frames = list(openers), look(sources, how, self.workers)
        answered = list(self.answer(frames))
        return Recognitions(map(self.recognition, answered, kept))

    def film(
        self,
        path: str | os.PathLike[str] | int,
        frame_stride: int = 1,
        fps: float | None = None,
        smooth: float = 0.0,
    ) -> Iterator[tuple[float, Recognition]]:
        """Name the expressions in a film, frame by frame as it is read.

        Args:
            path: A video file, the number of a camera, or the address of a stream (rtsp).
            frame_stride: Take every n-th frame.
            fps: Take about so many frames a second instead.
            smooth: Time constant in seconds over which a face's probabilities are averaged; 0 for none.

        Returns:
            An iterator over the time in seconds and what was seen then. A film that is damaged ends with an answer that
            has `error` set.

        Raises:
            FERError: If it cannot be opened.
        """
        check_range("frame_stride", frame_stride, 1)
        check_range("smooth", smooth, 0)
        if fps is not None:
            check_range("fps", fps, 0.001)
        name = str(path) if isinstance(path, int) else os.fspath(path)
        stream = name if is_stream(name) else ""
        kind: Literal["camera", "video"] = "camera" if stream or isinstance(path, int) else "video"
        source = Source(without_secret(name), kind, address=stream)
        Film(source, frame_stride, fps).close()
        self.video_spec.need_detector()
        how = self.how(True, frame_stride, fps)
        answered = map(Tracks(smooth).follow, self.answer(look([source], how, self.workers)))
        return ((frame.seconds or 0.0, self.recognition(frame)) for frame in answered)

    @property
    def processes(self) -> bool:
        """Whether images may be looked at by processes, which need torch; else it is threads."""
        return not isinstance(self.model, BundleModel)

    @property
    def video_spec(self) -> InputSpec:
        """As `input_spec`, for films: there, faces are looked for unless it was said otherwise."""
        return replace(self.input_spec, faces="detect") if self._auto else self.input_spec

    def how(self, keep_image: bool = False, frame_stride: int = 1, fps: float | None = None) -> Look:
        """How images and videos are looked at."""
        size, processes = self.detection_size, self.processes
        return Look(self.input_spec, self.video_spec, keep_image, frame_stride, fps, size, processes, self.or_whole)

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
            found = self._answers(np.concatenate([frame.pixels for frame in frames if frame.faces]))
            if not np.isfinite(found).all():
                raise FERError(
                    "The model answers with numbers that are not finite: its weights are of no use, as after a "
                    "training that diverged. Use another checkpoint."
                )
            for frame, rows in zip(frames, np.split(found, np.cumsum(counts)[:-1]), strict=True):
                frame.probabilities, frame.numbers = rows, list(range(len(rows)))
        return frames

    def _answers(self, pixels: np.ndarray) -> np.ndarray:
        if isinstance(self.model, BundleModel):
            pieces = range(0, len(pixels), self.batch_size)
            return np.concatenate([self.model.answers(pixels[start : start + self.batch_size]) for start in pieces])
        from fer_lightning.inference.model import answers_of

        return answers_of(self.model, pixels, self.batch_size)

    def recognition(self, frame: Frame, image: Callable[[], Image.Image] | None = None) -> Recognition:
        """What was seen in a frame that has its probabilities; `image` gives its image, if the frame does not."""
        names, answers = self.model.class_names, []
        for row, face in zip(frame.probabilities.tolist(), frame.faces, strict=True):
            confidence = max(row)
            label = column(names[row.index(confidence)], SAID) if confidence >= self.threshold else "uncertain"
            answers.append(Expression(label, confidence, dict(zip(names, row, strict=True)), face))
        if frame.image is not None:
            image = partial(Image.fromarray, frame.image)
        where = (tuple(names), tuple(frame.numbers), frame.frame, frame.seconds)
        return Recognition(frame.source.name, tuple(answers), frame.error, *where, image)


def _opened(model: Any, device: str, trusted: Collection[str]) -> ExpressionModel | BundleModel:
    if isinstance(model, str | os.PathLike):
        path = find_checkpoint(model, DEFAULT_RUN)
        if is_bundle(path):
            if device not in ("auto", "cpu"):
                raise FERError(f"Invalid value for --device. '{path.parent}' runs on the CPU. Received: {device}.")
            return open_bundle(path)[0]
        from fer_lightning.inference.model import open_model

        return open_model(path, device, trusted)
    from fer_lightning.inference.model import find_device
    from fer_lightning.model.expression_model import ExpressionModel

    if not isinstance(model, ExpressionModel):
        raise FERError(
            "Invalid value for model. Expected a file, pretrained, an ExpressionModel (an ExpressionClassifier has one "
            f"as its attribute 'model') or an ExpressionRecognizer. Received: {type(model).__name__}."
        )
    return copy.deepcopy(model).to(find_device(device)).eval().requires_grad_(False)
