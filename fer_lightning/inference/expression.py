"""What a face shows."""

from dataclasses import dataclass

from fer_lightning.data.face_detectors import Face

SAID = ("uncertain", "error", "no_face")
"""What rows say where no class is named."""


@dataclass(frozen=True)
class Expression:
    """What a face shows.

    Attributes:
        label: The most probable class, or `uncertain`; `class:uncertain` where a class is called so, and likewise for
            the other words in `SAID`.
        confidence: Its calibrated probability, 0 to 1.
        probabilities: Those of all classes.
        face: Where the face is, with its landmarks, in pixels of the image; None if the whole image was taken as the
            face.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    face: Face | None
