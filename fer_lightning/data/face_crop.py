"""Find the faces in an image, the same way for training and for everything after it."""

from PIL import Image

from fer_lightning.data.face_detectors import SURE, YUNET, Face, open_detector

LONGEST = 640
"""Images are shrunk to this many pixels on the longer side before faces are looked for."""

SHORTEST, TIMES_AT_MOST = 192, 4
"""Smaller ones are enlarged to that, at most so many times: at 48 x 48 pixels one face in four was missed, enlarged
one in eighty (600 images of FER+)."""


def find_faces(image: Image.Image, detector: str = YUNET, longest_side: int = LONGEST) -> list[Face]:
    """The faces in an image, the largest first.

    Args:
        image: An upright image of any size and mode.
        detector: See `open_detector`.
        longest_side: Larger images are shrunk to this many pixels on the longer side; see also `find_faces_at`.

    Raises:
        FERError: If the detector's package or file is missing.
    """
    longest = max(image.size)
    scale = min(longest_side / longest, 1.0) if longest >= SHORTEST else min(SHORTEST / longest, TIMES_AT_MOST)
    small = image if image.mode == "RGB" else image.convert("RGB")
    if scale != 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        small = small.resize(size, Image.Resampling.BILINEAR)
    found = open_detector(detector)(small)
    faces = [face.moved(0, 0, scale) for face in found if face.score >= SURE and face.width > 0 and face.height > 0]
    return sorted(faces, key=lambda face: -face.width * face.height)
