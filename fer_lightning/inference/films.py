"""Videos and cameras, whose frames are chosen by the time at which they are shown."""

import math
import os
import statistics
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

from PIL import Image

from fer_lightning.data.image_files import UnreadableImageError, check_regular
from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.inference.sources import Source
from fer_lightning.names import printable

_FASTEST = 240.0
"""A film that says it has more frames a second is not believed: browsers write 1,000 for a clock of milliseconds."""

_PATIENCE = 15_000
"""Milliseconds that a stream is waited for."""

_COUNTED = (".mp4", ".m4v", ".mov", ".avi")
"""Files that say how many frames they have; others say how long they are."""


class Film:
    """An opened video or camera; iterated over, it gives number and time in seconds of each chosen frame, in order.

    Args:
        source: The video or camera.
        frame_stride: Take every n-th frame.
        fps: Take about so many frames a second instead, by their times.

    Attributes:
        rate: Frames a second, as declared where that can be, else 25.
        declared: How many frames there are by its header; 0 if it does not say.
        frames: How many there were so far, taken or not.
        seconds: The time of the last of them.

    Raises:
        FERError: If it cannot be opened.
    """

    def __init__(self, source: Source, frame_stride: int = 1, fps: float | None = None) -> None:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what it says is said by us
        try:
            import cv2
        except ImportError:
            raise MissingPackageError("Videos and cameras need OpenCV: pip install opencv-python-headless.") from None
        if hasattr(cv2, "setLogLevel"):
            cv2.setLogLevel(0)
        self.source, self.frame_stride, self.fps, self._cv2 = source, frame_stride, fps, cv2
        why = "missing, damaged or of an unknown kind"
        why = "nobody answers there, or it is no stream" if source.address else why
        try:
            if source.kind == "video":
                check_regular(source.name, most_bytes=math.inf)
            self._video: Any = _opened(cv2, source)
            opened = self._video.isOpened()
        except UnreadableImageError as error:
            opened, why = False, error.reason
        except Exception:  # cv2's own errors; a name that no file can have
            opened = False
        if not opened:
            raise FERError(f"Cannot open the {source.kind} '{printable(source.name)}': {why}.")
        said = self._video.get(cv2.CAP_PROP_FPS)
        self._said = said if math.isfinite(said) and said > 0 else 25.0
        self.rate = self._said if self._said <= _FASTEST else 25.0
        declared = self._video.get(cv2.CAP_PROP_FRAME_COUNT)
        self.declared = int(declared) if math.isfinite(declared) and declared > 0 else 0
        self.frames, self.seconds, self._widest = 0, 0.0, 0.0

    def __iter__(self) -> Iterator[tuple[int, float]]:
        start, shift, slot = time.monotonic(), 0.0, -1
        while self._video.grab():
            if self.source.kind == "camera":
                now = time.monotonic() - start
            else:  # some carry no times
                now = self._video.get(self._cv2.CAP_PROP_POS_MSEC) / 1000
                now = shift + (now if math.isfinite(now) and now > 0 else self.frames / self.rate)
            if now < self.seconds:  # films put together start anew
                shift += self.seconds + 1 / self.rate - now
                now = self.seconds + 1 / self.rate
            self._widest = max(self._widest, now - self.seconds)
            number, self.seconds, self.frames = self.frames, now, self.frames + 1
            if self.fps is None:
                taken = number % self.frame_stride == 0
            else:
                due = int((now + 0.001) * self.fps)  # times are rounded to milliseconds
                taken, slot = due > slot, max(due, slot)
            if taken:
                yield number, now

    def image(self) -> Image.Image | None:
        """The frame that was given last; None if it cannot be decoded."""
        good, pixels = self._video.retrieve()
        return Image.fromarray(self._cv2.cvtColor(pixels, self._cv2.COLOR_BGR2RGB)) if good else None

    def complaint(self) -> str:
        """At the end: what is missing; empty if nothing is."""
        if not self.frames:
            return "no frame in it can be decoded"
        if self.source.kind == "camera":
            return ""
        if os.path.splitext(self.source.name)[1].lower() in _COUNTED:
            if self.frames < 0.98 * self.declared - 1:
                return f"the video ends after {self.frames:,} of {self.declared:,} frames: damaged or incomplete"
            return ""
        length, gap = self.declared / self._said, 2 * self._widest + 1 / self.rate
        if self.seconds + gap < 0.98 * length:
            return f"the video ends after {self.seconds:.1f} of {length:.1f} seconds: damaged or incomplete"
        return ""

    def expected(self) -> float:
        """How many frames will be chosen, as far as the header says."""
        if self.source.kind == "camera":
            return math.inf
        if self.fps is None:
            return -(-self.declared // self.frame_stride)
        return min(self.declared, math.ceil(self.declared / self._said * self.fps))

    def close(self) -> None:
        """Let go of the file or camera."""
        self._video.release()


def _opened(cv2: Any, source: Source) -> Any:
    """The file, camera or stream, as OpenCV opens it."""
    if source.address:
        patience = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _PATIENCE, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _PATIENCE]
        return cv2.VideoCapture(source.address, cv2.CAP_FFMPEG, patience)
    return cv2.VideoCapture(int(source.name) if source.kind == "camera" else source.name)


def film_rate(source: Source, frame_stride: int = 1, fps: float | None = None) -> float:
    """How many frames a second a film of the chosen frames should have, by the times of the first hundred."""
    film = Film(source, frame_stride, fps)
    if source.kind == "camera":
        film.close()
        return min(film.rate / frame_stride, fps or film.rate)
    gaps = sorted(later - now for (_, now), (_, later) in pairwise(islice(film, 120)) if later > now)
    film.close()
    usual = film.rate / frame_stride
    if not gaps:
        return min(fps or usual, usual)
    typical = statistics.median(gaps)
    if fps and typical < 1.5 / fps:
        return fps
    if gaps[-1] - gaps[0] <= 0.2 * typical + 0.002:  # a steady one
        return usual if abs(usual * typical - 1) < 0.1 else min(max(1 / typical, 0.1), _FASTEST)
    return min(max(1 / gaps[len(gaps) // 10], 1.0), 60.0)
