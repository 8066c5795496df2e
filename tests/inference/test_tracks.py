from __future__ import annotations

import math

import numpy as np
import pytest

from fer_lightning.data.face_detectors import Face
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.sources import Source
from fer_lightning.inference.tracks import Tracks, overlap

FILM = Source("film.mp4", "video")


def frame(seconds, *boxes, probabilities=None):
    faces = [None if box is None else Face(*box, 0.9) for box in boxes]
    probabilities = probabilities or [[1.0, 0.0]] * len(faces)
    return Frame(FILM, round(seconds * 10), seconds, faces, probabilities=np.array(probabilities))


def test_overlap_is_intersection_over_union():
    assert overlap(Face(0, 0, 4, 4, 1), Face(2, 2, 4, 4, 1)) == pytest.approx(4 / 28)
    assert overlap(Face(0, 0, 4, 4, 1), Face(4, 0, 4, 4, 1)) == 0


def test_a_face_keeps_its_number_whatever_its_place_in_the_list():
    tracks = Tracks()
    frames = [
        (frame(0.0, (0, 0, 10, 10), (50, 0, 10, 10)), [0, 1]),
        (frame(0.1, (51, 1, 10, 10), (2, 0, 10, 10)), [1, 0]),
        (frame(0.2, (4, 0, 10, 10)), [0]),
        (frame(0.9, (52, 1, 10, 10), (4, 0, 10, 10)), [1, 0]),
        *[(frame(1.2 + number / 10), []) for number in range(4)],
        (frame(2.5, (52, 1, 10, 10)), [2]),  # forgotten after a second and more than three frames
    ]
    for seen, expected in frames:
        tracks.follow(seen)
        assert seen.numbers == expected


def test_two_faces_never_share_a_number():
    tracks = Tracks()
    tracks.follow(frame(0.0, (0, 0, 10, 10)))
    both = frame(0.1, (0, 0, 10, 10), (1, 0, 10, 10))
    tracks.follow(both)
    assert both.numbers == [0, 1]


def test_probabilities_are_averaged_over_the_time_constant():
    tracks = Tracks(smooth=0.5)
    tracks.follow(frame(0.0, (0, 0, 10, 10), probabilities=[[1.0, 0.0]]))
    second = frame(0.2, (0, 0, 10, 10), probabilities=[[0.0, 1.0]])
    tracks.follow(second)
    old = math.exp(-0.2 / 0.5)
    assert second.probabilities[0].tolist() == pytest.approx([old, 1 - old])
    plain = Tracks()
    plain.follow(frame(0.0, (0, 0, 10, 10), probabilities=[[1.0, 0.0]]))
    unsmoothed = frame(0.2, (0, 0, 10, 10), probabilities=[[0.0, 1.0]])
    plain.follow(unsmoothed)
    assert unsmoothed.probabilities[0].tolist() == [0, 1]


def test_whole_frames_are_one_face():
    tracks = Tracks()
    for seconds in (0.0, 0.1, 0.2):
        seen = frame(seconds, None)
        tracks.follow(seen)
        assert seen.numbers == [0]


def test_two_people_who_sit_still_stay_two_however_few_frames_are_taken():
    for gap in (1.001, 5.0):
        tracks, numbers = Tracks(), set()
        for second in range(6):
            boxes = [(0, 0, 10, 10), (50, 0, 10, 10)]
            seen = frame(second * gap, *(boxes if second not in (2, 3) else boxes[:1]))
            numbers |= set(tracks.follow(seen).numbers)
        assert numbers == {0, 1}
