"""Faces that keep their number from frame to frame, and answers that do not flicker."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fer_lightning.data.face_crop import Face
from fer_lightning.inference.frames import Frame

_SAME = 0.3
"""Boxes that overlap by this fraction of their union are taken for the same face."""

_FORGOTTEN = 1.0
"""Seconds after which a face that was not seen is a new one."""

_WHOLE = Face(0, 0, 1, 1, 1)


@dataclass
class _Track:
    number: int
    face: Face
    seen: float
    smoothed: np.ndarray


class Tracks:
    """The faces of one video.

    Each face takes the number of the track whose last box it overlaps most, best pairs first; a face without one starts
    a new track. A track that was not seen for a while is over.

    Args:
        smooth: Time constant in seconds of an exponential moving average over a track's probabilities; 0 for none.
    """

    def __init__(self, smooth: float = 0.0) -> None:
        self.smooth = smooth
        self._tracks: list[_Track] = []
        self._next = 0

    def follow(self, frame: Frame) -> None:
        """Number the faces of the next frame, and smooth its probabilities; frames come in order."""
        now = frame.seconds or 0.0
        self._tracks = [track for track in self._tracks if now - track.seen <= _FORGOTTEN]
        boxes = [face or _WHOLE for face in frame.faces]
        pairs = sorted(
            ((overlap(face, track.face), place, track) for place, face in enumerate(boxes) for track in self._tracks),
            key=lambda pair: -pair[0],
        )
        taken: dict[int, _Track] = {}
        for shared, place, known in pairs:
            if shared >= _SAME and place not in taken and known not in taken.values():
                taken[place] = known
        frame.numbers = [-1] * len(frame.faces)
        for place, face in enumerate(boxes):
            fresh = frame.probabilities[place]
            if (track := taken.get(place)) is None:
                track = _Track(self._next, face, now, fresh)
                self._next += 1
                self._tracks.append(track)
            elif self.smooth > 0:
                weight = 1 - math.exp(-max(now - track.seen, 0.0) / self.smooth)
                track.smoothed = track.smoothed + weight * (fresh - track.smoothed)
            else:
                track.smoothed = fresh
            track.face, track.seen = face, now
            frame.numbers[place] = track.number
        if frame.faces:
            frame.probabilities = np.stack(
                [next(track.smoothed for track in self._tracks if track.number == number) for number in frame.numbers]
            )


def overlap(one: Face, other: Face) -> float:
    """Intersection over union of two boxes."""
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return shared / (one.width * one.height + other.width * other.height - shared)
