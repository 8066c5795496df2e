"""Films, written whole or not at all."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from fer_lightning.errors import FERError
from fer_lightning.files import replacing_path
from fer_lightning.inference.film_encoders import Encoder, open_encoder

_LONGEST = 600.0
"""Seconds that one frame is shown at most: a film of longer gaps has damaged times."""

MARK = b"\0\0\0\x1afreefer_lightning film"
"""Behind our films: a box that players skip, which says that they are ours. Its length comes first."""


class _Unwanted(Exception):  # noqa: N818 (no error)
    """Ends a film that is not to be kept."""


class FilmWriter:
    """Writes an .mp4 of a constant rate from frames that have times.

    Args:
        path: The file.
        fps: Frames a second.

    Attributes:
        codec: What the film is written as, once it has a frame; see `open_encoder`.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self._opened = contextlib.ExitStack()
        self.codec = ""
        self._writer: Encoder | None = None
        self._frames = 0
        self._pixels = np.empty(0, np.uint8)

    def add(self, image: Image.Image, seconds: float) -> None:
        """Show an image, which is of the size of the first one, from that time on, until the next."""
        if self._writer is None:
            self._size = (max(image.width // 2 * 2, 2), max(image.height // 2 * 2, 2))
            self._aside = self._opened.enter_context(replacing_path(self.path))
            self._writer = open_encoder(self._aside, self.fps, self._size)
            if self._writer is None:
                raise FERError(f"Cannot write the video '{self.path}' here. Choose a folder for --annotate instead.")
            self.codec, self._start = self._writer.codec, seconds
        else:
            due = round((seconds - self._start) * self.fps) - self._frames
            for _ in range(min(due, round(_LONGEST * self.fps))):
                self._writer.write(self._pixels)
                self._frames += 1
            self._start += max(due - round(_LONGEST * self.fps), 0) / self.fps
        self._pixels = np.asarray(image.resize(self._size))

    def end(self, whole: bool) -> None:
        """Give the film its name, if that is wanted and it can be read; else remove it.

        Raises:
            OSError: If the disk was full.
            FERError: If it cannot be read for another reason.
        """
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        with contextlib.suppress(_Unwanted), self._opened:
            if not whole:
                with contextlib.suppress(Exception):  # why it ended is said already
                    writer.close()
                raise _Unwanted
            writer.write(self._pixels)
            self._frames += 1
            writer.close()
            if not self._can_be_read():  # OpenCV does not tell
                if shutil.disk_usage(self._aside.parent).free < 10_000_000:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                raise FERError(f"The video '{self.path}' could not be written. Choose a folder for --annotate instead.")
            with open(self._aside, "ab") as stream:
                stream.write(MARK)

    def _can_be_read(self) -> bool:
        import cv2

        film = cv2.VideoCapture(str(self._aside))
        try:
            if not film.isOpened() or int(film.get(cv2.CAP_PROP_FRAME_COUNT)) != self._frames:
                return False
            film.set(cv2.CAP_PROP_POS_FRAMES, self._frames - 1)
            return bool(film.read()[0])
        finally:
            film.release()
