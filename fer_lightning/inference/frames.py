"""Images and frames of videos, decoded and searched for faces by processes that run ahead of the network."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import groupby
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from fer_lightning.data.face_crop import Face, find_faces
from fer_lightning.data.input_spec import InputSpec, UnreadableImageError, read_image
from fer_lightning.errors import FERError
from fer_lightning.inference.sources import Source


@dataclass
class Frame:
    """An image or a frame of a video, and the faces in it.

    It holds no tensors, as each would keep a file open between processes.

    Attributes:
        source: Where it is from.
        frame: Its number in the video, from 0; None for an image.
        seconds: Its time in the video; None for an image.
        faces: The faces, the largest first; None stands for the whole image taken as a face.
        pixels: uint8 `(faces, channels, image_size, image_size)`, as the input specification prepares them.
        error: Why it could not be read; empty if it could.
        image: uint8 `(height, width, 3)`, RGB, upright, if it was asked for.
        probabilities: float `(faces, classes)`, once the network has answered.
        numbers: A number for each face: its place by size, or in a video what it keeps from frame to frame.
    """

    source: Source
    frame: int | None = None
    seconds: float | None = None
    faces: Sequence[Face | None] = ()
    pixels: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))
    error: str = ""
    image: np.ndarray | None = None
    probabilities: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    numbers: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Look:
    """How images and videos are looked at.

    Attributes:
        spec: Size, color and framing of the faces.
        video_spec: The same for videos and cameras, where the framing differs.
        keep_image: Whether the image itself is wanted afterwards.
        frame_stride: Of a video, take every n-th frame.
        fps: Of a video, take about so many frames a second instead.
    """

    spec: InputSpec
    video_spec: InputSpec | None = None
    keep_image: bool = False
    frame_stride: int = 1
    fps: float | None = None

    def at(self, image: Image.Image, frame: Frame) -> Frame:
        """Find the faces in an image and prepare them; `frame` says where it is from."""
        spec = self.spec if frame.frame is None else self.video_spec or self.spec
        faces: Sequence[Face | None] = find_faces(image, spec.detector) if spec.faces == "detect" else [None]
        prepared = np.array([spec.prepare(image, face).numpy() for face in faces], np.uint8)
        pixels = prepared.reshape(len(faces), spec.channels, spec.image_size, spec.image_size)
        kept = np.asarray(image.convert("RGB")) if self.keep_image else None
        return replace(frame, faces=faces, pixels=pixels, image=kept)

    def at_file(self, source: Source) -> Frame:
        """Look at an image file."""
        frame = Frame(source)
        try:
            return self.at(read_image(source.name), frame)
        except UnreadableImageError as error:
            return replace(frame, error=str(error))

    def at_files(self, sources: Sequence[Source]) -> list[Frame]:
        """Look at several image files."""
        return [self.at_file(source) for source in sources]


def look(sources: Sequence[Source], how: Look, workers: int) -> Iterator[Frame]:
    """Look at all sources in order, with processes that run ahead (0: in this one); each video is shared among them.

    What cannot be read is a frame with an error, and ends its video.
    """
    for kind, group in groupby(sources, key=lambda source: source.kind):
        if kind == "image":
            images: Any = list(group)
            at_once = 1 if how.keep_image else 8  # that a process hands over; whole images may be large
            several = len(images) > at_once  # a single handful is there sooner than a process
            count = min(workers, -(-len(images) // at_once)) if several else 0
            for frames in DataLoader(images, at_once, collate_fn=how.at_files, **_processes(count, ahead=4)):
                yield from frames
            continue
        for source in group:
            count = workers if kind == "video" else 0
            for frame in DataLoader(_Frames(source, how), None, **_processes(count, ahead=16)):
                yield frame
                if frame.error:  # whichever process met it, the video ends here
                    break


def _processes(count: int, ahead: int) -> dict[str, Any]:
    """A DataLoader's options for processes that each prepare so many batches ahead."""
    if not count:
        return {}
    from fer_lightning.data.batches import ignore_sigint  # one image does without what training needs

    return {"num_workers": count, "prefetch_factor": ahead, "worker_init_fn": ignore_sigint}


@dataclass(eq=False)
class _Frames(IterableDataset[Frame]):
    """The chosen frames of a video; of several processes, each takes every n-th of them."""

    source: Source
    how: Look

    def __iter__(self) -> Iterator[Frame]:
        info = get_worker_info()
        me, of = (info.id, info.num_workers) if info else (0, 1)
        try:
            video, rate, stride = open_video(self.source, self.how)
        except FERError as error:
            if me == 0:
                yield Frame(self.source, error=str(error))
            return
        import cv2

        frame = 0
        while video.grab():
            if frame % stride == 0 and frame // stride % of == me:
                good, pixels = video.retrieve()
                if not good:
                    break
                seconds = max(video.get(cv2.CAP_PROP_POS_MSEC) / 1000, 0.0) or frame / rate  # some carry no times
                image = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
                yield self.how.at(image, Frame(self.source, frame, seconds))
            frame += 1
        declared = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        video.release()
        broken = frame == 0 or (self.source.kind == "video" and frame < 0.98 * declared - 1)
        if broken and -(-frame // stride) % of == me:
            said = f"the video ends after {frame:,} of {declared:,} frames: damaged or incomplete" if frame else ""
            yield Frame(self.source, frame, frame / rate, error=said or "no frame in it can be decoded")


def open_video(source: Source, how: Look) -> tuple[Any, float, int]:
    """An opened video or camera, its frames a second, and every how-manieth of them is taken."""
    try:
        import cv2
    except ImportError:
        raise FERError("Videos and cameras need OpenCV: pip install opencv-python-headless.") from None
    if hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(0)  # its errors come as ours
    video = cv2.VideoCapture(int(source.name) if source.kind == "camera" else source.name)
    if not video.isOpened():
        raise FERError(f"Cannot open the {source.kind} '{source.name}': missing, damaged or of an unknown kind.")
    rate = video.get(cv2.CAP_PROP_FPS) or 25.0
    return video, rate, max(1, round(rate / how.fps)) if how.fps else how.frame_stride


def expected(source: Source, how: Look) -> tuple[float, float]:
    """How many frames `look` will give of a video or camera, which must be there, and how many of them are a second."""
    try:
        video, rate, stride = open_video(source, how)
    except FERError:
        if source.kind == "camera" or find_spec("cv2") is None:
            raise
        return 1, 25.0  # an error
    import cv2

    declared = max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
    video.release()
    return math.inf if source.kind == "camera" else -(-declared // stride), rate / stride
