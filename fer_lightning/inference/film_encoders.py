"""What turns frames into a film: PyAV into one that browsers play, OpenCV where it is absent."""

from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

_BROWSERS_PLAY = (
    ("libx264", "H.264", {"preset": "fast", "crf": "20"}),
    ("libvpx-vp9", "VP9", {"deadline": "realtime", "cpu-used": "6", "crf": "30", "b": "0"}),
)
"""PyAV's encoders by preference, what they write, and how well. A wheel may lack the first, whose license is GPL."""


class Encoder(Protocol):
    """A film that is being written.

    Attributes:
        codec: What it is written as, for people; with a remark if browsers do not play that.
    """

    codec: str

    def write(self, pixels: np.ndarray) -> None:
        """Add a frame, uint8 `(height, width, 3)`, RGB."""

    def close(self) -> None:
        """Write what is left."""


def open_encoder(path: Path, fps: float, size: tuple[int, int]) -> Encoder | None:
    """An encoder for an .mp4 file of that rate and size (width and height, both even); None if there is none here."""
    try:
        import av
    except ImportError:
        return _opencv(path, fps, size)
    for name, codec, options in _BROWSERS_PLAY:
        if name in av.codecs_available:
            return _PyAV(av, path, fps, size, name, codec, options)
    return _opencv(path, fps, size)


class _PyAV:
    def __init__(
        self, av: Any, path: Path, fps: float, size: tuple[int, int], name: str, codec: str, options: dict[str, str]
    ) -> None:
        self.codec, self._av = codec, av
        self._file = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})  # plays while it loads
        self._stream = self._file.add_stream(name, rate=Fraction(fps).limit_denominator(1001), options=options)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"  # the one that every player knows
        self._file.start_encoding()  # what is wrong with the place shows now

    def write(self, pixels: np.ndarray) -> None:
        self._file.mux(self._stream.encode(self._av.VideoFrame.from_ndarray(pixels, format="rgb24")))

    def close(self) -> None:
        try:
            self._file.mux(self._stream.encode())
        finally:
            self._file.close()


class _OpenCV:
    codec = "MPEG-4 Part 2, which browsers do not play: with PyAV (pip install av), it would be H.264"

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write(self, pixels: np.ndarray) -> None:
        self._writer.write(pixels[:, :, ::-1].copy())  # takes BGR

    def close(self) -> None:
        self._writer.release()


def _opencv(path: Path, fps: float, size: tuple[int, int]) -> Encoder | None:
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    return _OpenCV(writer) if writer.isOpened() else None
