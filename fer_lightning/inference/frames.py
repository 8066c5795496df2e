"""Images and frames of videos, decoded and searched for faces by processes that run ahead of the network."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from itertools import groupby
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from fer_lightning.data.face_crop import LONGEST
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.face_tiles import find_faces_at
from fer_lightning.data.image_files import UnreadableImageError, decode_image, read_image
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.inference.addresses import fetch
from fer_lightning.inference.films import Film
from fer_lightning.inference.sources import Source
from fer_lightning.processes import may_start_processes
from fer_lightning.values import shown

FacesOption = Literal["auto", "whole", "detect", "align", "box", "detect_or_whole"]


def as_asked(faces: FacesOption, trained: InputSpec) -> InputSpec:
    """How images are prepared for a network that was trained so; an FERError if `faces` is no such option."""
    if faces not in (known := get_args(FacesOption)):
        raise FERError(f"Invalid value for faces. Expected one of {', '.join(known)}. Received: {shown(faces)}.")
    framing = trained.faces if faces == "auto" else "whole" if faces == "whole" else "detect"
    align = trained.align if faces not in ("align", "box") else faces == "align"
    return replace(trained, faces=framing, align=align)


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
        image: Of a video or an address, uint8 `(height, width, 3)`, RGB, if it was asked for.
        first_of_several: Whether it is the first image of an animation, or of several pages.
        probabilities: float `(faces, classes)`, once the network has answered.
        numbers: A number for each face: its place by size, or in a video what it keeps from frame to frame.
        size: Width and height of the image in pixels.
        faceless: Whether it is taken whole because no face was found in it.
    """

    source: Source
    frame: int | None = None
    seconds: float | None = None
    faces: Sequence[Face | None] = ()
    pixels: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))
    error: str = ""
    image: np.ndarray | None = None
    first_of_several: bool = False
    probabilities: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    numbers: list[int] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    faceless: bool = False


@dataclass(frozen=True)
class Look:
    """How images and videos are looked at.

    Attributes:
        spec: Size, color and framing of the faces.
        video_spec: The same for videos and cameras, where the framing differs.
        keep_image: Whether the frames of videos themselves are wanted afterwards; image files can be read again.
        frame_stride: Of a video, take every n-th frame.
        fps: Of a video, take about so many frames a second instead.
        detection_size: The longer side in pixels at which faces are looked for.
        processes: Whether processes may be started to look at several; they need torch.
        or_whole: Whether an image in which faces are looked for and none is found is taken as one; not so in videos.
    """

    spec: InputSpec
    video_spec: InputSpec | None = None
    keep_image: bool = False
    frame_stride: int = 1
    fps: float | None = None
    detection_size: int = LONGEST
    processes: bool = True
    or_whole: bool = False

    def at(self, image: Image.Image, frame: Frame, faces: Sequence[Face | None] | None = None) -> Frame:
        """Find the faces in an image, unless they are given, and prepare them; `frame` says where it is from."""
        spec = self.spec if frame.frame is None else self.video_spec or self.spec
        if faces is None:
            faces = find_faces_at(image, spec.detector, self.detection_size) if spec.finds else [None]
            if not faces and self.or_whole and frame.frame is None:
                faces, frame = [None], replace(frame, faceless=True)
        prepared = np.array([spec.pixels(image, face) for face in faces], np.uint8)
        pixels = prepared.reshape(len(faces), spec.channels, spec.image_size, spec.image_size)
        again = frame.frame is None and not frame.source.address  # a file can be read again
        kept = np.asarray(image.convert("RGB")) if self.keep_image and not again else None
        several = "first_of_several" in image.info
        return replace(frame, faces=faces, pixels=pixels, image=kept, first_of_several=several, size=image.size)

    def at_file(self, source: Source) -> Frame:
        """Look at an image file, or at an image on the web."""
        return self.opened(Frame(source, error=source.error), partial(_image_of, source))

    def opened(
        self, frame: Frame, image: Callable[[], Image.Image], faces: Sequence[Face | None] | None = None
    ) -> Frame:
        """As `at`, with an image that is yet to be opened, which may fail."""
        try:
            return frame if frame.error else self.at(image(), frame, faces)
        except (UnreadableImageError, MemoryError) as error:
            return replace(frame, error=str(error) or "There is not enough memory for it.")

    def at_files(self, sources: Sequence[Source]) -> list[Frame]:
        """Look at several image files."""
        return [self.at_file(source) for source in sources]


def _image_of(source: Source) -> Image.Image:
    return decode_image(fetch(source.address), source.name) if source.address else read_image(source.name)


def look(sources: Sequence[Source], how: Look, workers: int, guarded: bool = False) -> Iterator[Frame]:
    """Look at all sources in order, with processes that run ahead (0: in this one); each video is shared among them.

    What cannot be read is a frame with an error, and ends its video. Where processes may not be started, threads look
    at images; see `may_start_processes`, also for `guarded`.
    """
    processes = workers > 0 and how.processes and may_start_processes(guarded)
    for kind, group in groupby(sources, key=lambda source: source.kind):
        if kind == "image":
            images: Any = list(group)
            count = min(workers, -(-len(images) // _AT_ONCE)) if len(images) > _AT_ONCE else 0  # sooner than a process
            if count and not processes:
                yield from _by_threads(images, how, count)
                continue
            for frames in _ahead(partial(_looked, images, how), count, 4):
                yield from frames
            continue
        for source in group:
            count = workers if kind == "video" and processes else 0
            for frame in _ahead(partial(_frames, source, how), count, 4 if how.keep_image else 16):
                yield frame
                if frame.error:  # whichever process met it, the video ends here
                    break


_AT_ONCE = 8
"""Images that a process hands over together."""


def _ahead(share: Callable[[int, int], Iterator[Any]], count: int, ahead: int) -> Iterator[Any]:
    """What `share(0, 1)` gives, in its order, made by so many processes, each some pieces ahead.

    Of n processes, number k makes `share(k, n)`, every n-th piece.
    """
    if not count:
        yield from share(0, 1)
        return
    from fer_lightning.inference.shares import Shares, ahead_of_time

    try:
        yield from ahead_of_time(Shares(share), count, ahead)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise FERError(
            "A process that decodes images has died: the machine is out of memory, or a file makes its decoder crash. "
            "The rows so far are kept. To find the file, try again with --workers 0."
        ) from None


def _looked(sources: Sequence[Source], how: Look, me: int, of: int) -> Iterator[list[Frame]]:
    """Images, some at a time."""
    for start in range(me * _AT_ONCE, len(sources), of * _AT_ONCE):
        yield how.at_files(sources[start : start + _AT_ONCE])


def _by_threads(sources: Sequence[Source], how: Look, count: int) -> Iterator[Frame]:
    """Look at images in order, with threads that run ahead."""
    with ThreadPoolExecutor(count) as pool:
        waiting: deque[Future[Frame]] = deque()
        try:
            for source in sources:
                waiting.append(pool.submit(how.at_file, source))
                if len(waiting) > 4 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _frames(source: Source, how: Look, me: int, of: int) -> Iterator[Frame]:
    """The chosen frames of a video."""
    try:
        film = Film(source, how.frame_stride, how.fps)
    except FERError as error:
        if me == 0:
            yield Frame(source, error=str(error))
        return
    taken = 0
    for number, seconds in film:
        if taken % of == me:
            image = film.image()
            if image is None:
                break
            yield how.at(image, Frame(source, number, seconds))
        taken += 1
    film.close()
    said = film.complaint()
    if said and taken % of == me:
        yield Frame(source, film.frames, film.seconds, error=said)


def expected(source: Source, how: Look) -> float:
    """How many frames `look` will give of a video or camera, which must be there, as far as it says."""
    try:
        film = Film(source, how.frame_stride, how.fps)
    except FERError:
        if source.kind == "camera" or find_spec("cv2") is None:
            raise
        return 1  # an error
    film.close()
    return film.expected()
