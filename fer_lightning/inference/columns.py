"""The columns of the rows about faces, and what stands in them."""

from collections.abc import Sequence
from typing import Any

from fer_lightning.inference.expression import Expression
from fer_lightning.names import column

BOX = ("left", "top", "width", "height", "score")
TEXT = ("source", "label", "error")
"""The columns that hold text."""

_FIXED = ("source", "frame", "seconds", "face", *BOX, "label", "confidence", "error")


def class_columns(class_names: Sequence[str]) -> list[str]:
    """The columns of the probabilities: the class names, with `class:` before one that another column has already."""
    return [column(name, _FIXED) for name in class_names]


def columns(class_names: Sequence[str]) -> list[str]:
    """The columns of the rows."""
    return [*_FIXED[:-1], *class_columns(class_names), _FIXED[-1]]


def rows_about(
    source: str,
    expressions: Sequence[Expression],
    numbers: Sequence[int],
    class_names: Sequence[str],
    error: str = "",
    frame: int | None = None,
    seconds: float | None = None,
) -> list[dict[str, Any]]:
    """One row a face, with all of `columns`; an image without one, or one that cannot be read, is a row as well."""
    empty: dict[str, Any] = dict.fromkeys(columns(class_names))
    empty |= {"source": source, "frame": frame, "seconds": None if seconds is None else round(seconds, 3)}
    if error:
        return [empty | {"label": "error", "error": error}]
    if not expressions:
        return [empty | {"label": "no_face"}]
    rows = []
    for number, said in zip(numbers, expressions, strict=True):
        box = {} if said.face is None else {name: round(getattr(said.face, name), 3) for name in BOX}
        values = (round(said.probabilities[name], 6) for name in class_names)
        probabilities = dict(zip(class_columns(class_names), values, strict=True))
        answer = {"face": number, "label": said.label, "confidence": round(said.confidence, 6)}
        rows.append(empty | box | answer | probabilities)
    return rows
