"""What the service answers, as JSON and as its description for programs (OpenAPI)."""

from typing import Any

from pydantic import BaseModel, Field

from fer_lightning.inference.columns import BOX
from fer_lightning.inference.expression import Expression
from fer_lightning.serving.batcher import Seen

_DIGITS = 6
"""Of confidences and probabilities: more would be noise, as batches of other sizes add up in another order."""


class Box(BaseModel):
    """Where a face is, in pixels of the upright image."""

    left: float
    top: float
    width: float
    height: float
    score: float = Field(description="how sure the detector is that it is a face, 0 to 1")


class FaceAnswer(BaseModel):
    """What a face shows."""

    box: Box | None = Field(description="null if the whole image was taken as the face")
    landmarks: list[tuple[float, float]] | None = Field(
        description="x and y of right eye, left eye, nose, right and left corner of the mouth, as the person has them"
    )
    label: str = Field(description="the most probable class, or uncertain")
    confidence: float = Field(description="the calibrated probability of the most probable class")
    uncertain: bool = Field(description="whether that is below what was asked for")
    probabilities: dict[str, float]


class ErrorReason(BaseModel):
    """Why something was not answered."""

    code: str = Field(description="a word for programs")
    message: str = Field(description="which limit or rule it is, what was received, what to do")


class ImageAnswer(BaseModel):
    """What was seen in an image."""

    index: int = Field(description="its place in the request, from 0")
    outcome: str = Field(description="faces, no_face or error")
    width: int | None = Field(description="of the upright image; null after an error")
    height: int | None
    faces: list[FaceAnswer] = Field(description="the largest first")
    error: ErrorReason | None


class PredictAnswer(BaseModel):
    """One answer an image, in the order of the request."""

    images: list[ImageAnswer]


class ErrorAnswer(BaseModel):
    """Every error that the service sends has this form."""

    error: ErrorReason


class ModelAnswer(BaseModel):
    """What the model is, and what it must not be used for."""

    name: str
    version: str = Field(description="of fer_lightning, which serves it")
    made_with: str = Field(description="the version that the model was trained with")
    classes: list[str]
    input: dict[str, Any] = Field(description="how an image becomes the network's input")
    class_prior: dict[str, float] = Field(description="the class frequencies that it answers for; empty if not known")
    threshold: float = Field(description="the confidence below which an answer is uncertain anyway")
    limits: dict[str, float]
    must_not_be_used_for: str
    card: str = Field(description="the model card, in Markdown")


def image_answer(index: int, seen: Seen, least: float) -> dict[str, Any]:
    """An `ImageAnswer`; answers with a confidence below `least` are uncertain."""
    width, height = seen.size or (None, None)
    outcome = "error" if seen.code else "faces" if seen.faces else "no_face"
    return {
        "index": index,
        "outcome": outcome,
        "width": width,
        "height": height,
        "faces": [_face_answer(face, least) for face in seen.faces],
        "error": {"code": seen.code, "message": seen.reason} if seen.code else None,
    }


def _face_answer(said: Expression, least: float) -> dict[str, Any]:
    uncertain = said.label == "uncertain" or said.confidence < least
    box = said.face
    return {
        "box": box and {name: round(getattr(box, name), 2) for name in BOX},
        "landmarks": box and box.landmarks and [[round(value, 2) for value in point] for point in box.landmarks],
        "label": "uncertain" if uncertain else said.label,
        "confidence": round(said.confidence, _DIGITS),
        "uncertain": uncertain,
        "probabilities": {name: round(value, _DIGITS) for name, value in said.probabilities.items()},
    }
