"""Images and frames of videos, decoded and searched for faces by processes that run ahead of the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import groupby
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from fer_lightning.data.face_crop import Face, find_faces
from fer_lightning.data.input_spec import InputSpec, UnreadableImageError, read_image
from fer_lightning.errors import FERError
from fer_lightning.inference.sources import Source

_AT_ONCE = 8
"""Images that a process hands over at a time."""


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
    faces: list[Face | None] = field(default_factory=list)
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
        faces: list[Face | None] = [None]
        if spec.faces == "detect":
            faces = list(find_faces(image, spec.detector))
        side = spec.image_size
        pixels = np.empty((len(faces), spec.channels, side, side), np.uint8)
        for place, face in enumerate(faces):
            pixels[place] = spec.prepare(image, face).numpy()
        kept = np.asarray(image.convert("RGB")) if self.keep_image else None
        return replace(frame, faces=faces, pixels=pixels, image=kept)

    def at_file(self, source: Source) -> Frame:
        """Look at an image file."""
        frame = Frame(source)
        try:
            return self.at(read_image(source.name), frame)
        except UnreadableImageError as error:
            return replace(frame, error=str(error))


def look(sources: Sequence[Source], how: Look, workers: int) -> Iterator[Frame]:
    """Look at all sources in order, with processes that run ahead; each video is shared among them.

    Args:
        sources: What to look at.
        how: How to.
        workers: Processes; 0 does it all in this one.

    Yields:
        Every image and every chosen frame. What cannot be read is a frame with an error, and ends its video.
    """
    for kind, group in groupby(sources, key=lambda source: source.kind):
        if kind == "image":
            images = _Images(list(group), how)
            at_once = 1 if how.keep_image else _AT_ONCE  # images may be large
            several = len(images) > at_once  # a single handful is there sooner than a process
            count = min(workers, -(-len(images) // at_once)) if several else 0
            for frames in DataLoader(images, at_once, collate_fn=list, **_processes(count, ahead=4)):
                yield from frames
            continue
        for source in group:
            count = workers if kind == "video" else 0
            yield from _in_order(DataLoader(_Frames(source, how), None, **_processes(count, ahead=16)))


def _processes(count: int, ahead: int) -> dict[str, Any]:
    """A DataLoader's options for processes that each prepare so many batches ahead."""
    if not count:
        return {}
    from fer_lightning.data.batches import ignore_sigint  # one image does without what training needs

    return {"num_workers": count, "prefetch_factor": ahead, "worker_init_fn": ignore_sigint}


def _in_order(frames: DataLoader[Frame]) -> Iterator[Frame]:
    """Frames as they come from the processes in turn; after an error nothing more, whoever met it first."""
    for frame in frames:
        yield frame
        if frame.error:
            return


class _Images(Dataset[Frame]):
    def __init__(self, sources: list[Source], how: Look) -> None:
        self.sources, self.how = sources, how

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Frame:
        return self.how.at_file(self.sources[index])


class _Frames(IterableDataset[Frame]):
    """The chosen frames of a video; of several processes, each takes every n-th of them."""

    def __init__(self, source: Source, how: Look) -> None:
        self.source, self.how = source, how

    def __iter__(self) -> Iterator[Frame]:
        info = get_worker_info()
        me, of = (info.id, info.num_workers) if info else (0, 1)
        try:
            video = open_video(self.source)
        except FERError as error:
            if me == 0:
                yield Frame(self.source, error=str(error))
            return
        import cv2

        step = stride_of(video, self.how)
        rate = video.get(cv2.CAP_PROP_FPS) or 25.0
        frame = chosen = 0
        while video.grab():
            if frame % step == 0:
                mine = chosen % of == me
                chosen += 1
                if mine:
                    good, pixels = video.retrieve()
                    if not good:
                        break
                    seconds = max(video.get(cv2.CAP_PROP_POS_MSEC) / 1000, 0.0)
                    seconds = seconds if seconds or not frame else frame / rate  # some files carry no times
                    image = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
                    yield self.how.at(image, Frame(self.source, frame, seconds))
            frame += 1
        declared = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        video.release()
        broken = frame == 0 or (self.source.kind == "video" and frame < 0.98 * declared - 1)
        if broken and chosen % of == me:
            said = f"the video ends after {frame:,} of {declared:,} frames: damaged or incomplete" if frame else ""
            yield Frame(self.source, frame, frame / rate, error=said or "no frame in it can be decoded")


def open_video(source: Source) -> Any:
    """Open a video or camera with OpenCV.

    Raises:
        FERError: If OpenCV is not installed or cannot open it.
    """
    try:
        import cv2
    except ImportError:
        raise FERError("Videos and cameras need OpenCV: pip install opencv-python-headless.") from None
    if hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(0)  # its errors come as ours
    camera = source.kind == "camera"
    video = cv2.VideoCapture(int(source.name) if camera else source.name)
    if not video.isOpened():
        what = "camera" if camera else "video"
        raise FERError(f"Cannot open the {what} '{source.name}': missing, damaged or of an unknown kind.")
    return video


def check_video(source: Source) -> None:
    """Make sure that OpenCV is there, and a camera too; a video that cannot be opened becomes a row.

    Raises:
        FERError: If one is missing.
    """
    try:
        open_video(source).release()
    except FERError:
        if source.kind == "camera" or find_spec("cv2") is None:
            raise


def stride_of(video: Any, how: Look) -> int:
    """Every how-manieth frame of an opened video is taken."""
    import cv2

    rate = video.get(cv2.CAP_PROP_FPS) or 25.0
    return max(1, round(rate / how.fps)) if how.fps else how.frame_stride


def count_frames(sources: Sequence[Source], how: Look) -> int | None:
    """How many frames `look` will give, as far as the videos say; None with a camera."""
    total = 0
    for source in sources:
        if source.kind == "image":
            total += 1
        elif source.kind == "camera":
            return None
        else:
            try:
                video = open_video(source)
            except FERError:
                total += 1
                continue
            import cv2

            total += -(-max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0) // stride_of(video, how))
            video.release()
    return total
