"""Faces that keep their number from frame to frame, and answers that do not flicker."""

import math
from dataclasses import dataclass

import numpy as np

from fer_lightning.data.face_detectors import Face
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.sources import Source

_SAME = 0.3
"""Boxes that overlap by this fraction of their union are taken for the same face."""

_FORGOTTEN, _MISSED = 1.0, 3
"""A face that was not seen for so many seconds, and in so many frames, is a new one."""


@dataclass
class _Track:
    number: int
    face: Face
    seen: float
    frame: int
    smoothed: np.ndarray


class Tracks:
    """The faces of videos, one video after the other.

    Each face takes the number of the track whose last box it overlaps most, best pairs first; a face without one starts
    a new track. A track that was not seen for a while is over. Probabilities become exponential moving averages with a
    time constant of `smooth` seconds; 0 for none.
    """

    def __init__(self, smooth: float = 0.0) -> None:
        self.smooth = smooth
        self._video: Source | None = None

    def follow(self, frame: Frame) -> Frame:
        """Number the faces of the next frame of a video, and smooth its probabilities; images stay as they are."""
        if frame.frame is None:
            return frame
        if frame.source != self._video:
            self._video, self._next, self._frames = frame.source, 0, 0
            self._tracks: list[_Track] = []
        now = frame.seconds or 0.0
        self._frames += 1
        self._tracks = [
            track for track in self._tracks if now - track.seen <= _FORGOTTEN or self._frames - track.frame <= _MISSED
        ]
        boxes = [face or Face(0, 0, 1, 1, 1) for face in frame.faces]  # the image as a whole does not move
        pairs = [(overlap(box, track.face), place, track) for place, box in enumerate(boxes) for track in self._tracks]
        taken: dict[int, _Track] = {}
        for shared, place, track in sorted(pairs, key=lambda pair: -pair[0]):
            if shared >= _SAME and place not in taken and track not in taken.values():
                taken[place] = track
        for place, (box, fresh) in enumerate(zip(boxes, frame.probabilities, strict=True)):
            if place not in taken:
                taken[place] = _Track(self._next, box, now, self._frames, fresh)
                self._next += 1
                self._tracks.append(taken[place])
            track = taken[place]
            if self.smooth > 0:
                weight = 1 - math.exp(-max(now - track.seen, 0.0) / self.smooth)
                fresh = track.smoothed + weight * (fresh - track.smoothed)
            track.face, track.seen, track.frame, track.smoothed = box, now, self._frames, fresh
        frame.numbers = [taken[place].number for place in range(len(boxes))]
        if boxes:
            frame.probabilities = np.stack([taken[place].smoothed for place in range(len(boxes))])
        return frame


def overlap(one: Face, other: Face) -> float:
    """Intersection over union of two boxes."""
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    shared = max(across, 0.0) * max(down, 0.0)
    return shared / (one.width * one.height + other.width * other.height - shared)
