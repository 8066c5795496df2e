"""What was seen in an image: to read, to tabulate, to look at."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.inference.columns import columns, rows_about
from fer_lightning.inference.drawing import annotated
from fer_lightning.inference.expression import Expression

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Recognition:
    """What was seen in an image, or in a frame of a film.

    Attributes:
        source: The path, or an empty string for an image given otherwise.
        faces: One answer a face, the largest first, or in the order of the boxes that were given; empty if there is
            none.
        error: Why the image could not be read; empty if it could.
        class_names: The classes, in the order of the columns.
        numbers: A number for each face; in a film, what it keeps from frame to frame.
        frame: Of a film, the frame's number.
        seconds: Of a film, its time.
        image: Gives the image again; None if it is gone.
    """

    source: str
    faces: tuple[Expression, ...]
    error: str = ""
    class_names: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    frame: int | None = None
    seconds: float | None = None
    image: Callable[[], Image.Image] | None = field(default=None, repr=False, compare=False)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows that `predict` writes: one a face, or one that says `no_face` or `error`."""
        told = (self.error, self.frame, self.seconds)
        return rows_about(self.source, self.faces, self.numbers, self.class_names, *told)

    def to_pandas(self) -> "DataFrame":
        """The same rows as a table.

        Raises:
            FERError: If pandas is missing.
        """
        return _table(self.to_dicts(), self.class_names)

    def draw(self) -> Image.Image:
        """The image with a box round each face and its most probable classes.

        Raises:
            FERError: If there is no image, or it can no longer be read.
        """
        if self.error or self.image is None:
            raise FERError(f"There is no image to draw on{f': {self.error}' if self.error else '.'}")
        return annotated(self.image(), self.faces, self.class_names)


class Recognitions(list[Recognition]):
    """One `Recognition` an image, in the order of the images."""

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows of all."""
        return [row for one in self for row in one.to_dicts()]

    def to_pandas(self) -> "DataFrame":
        """The rows of all as one table; an FERError if pandas is missing."""
        return _table(self.to_dicts(), self[0].class_names if self else ())


def _table(rows: list[dict[str, Any]], class_names: tuple[str, ...]) -> "DataFrame":
    try:
        from pandas import DataFrame
    except ImportError:
        raise MissingPackageError("to_pandas needs pandas: pip install pandas. Without it, take to_dicts.") from None
    return DataFrame(rows, columns=columns(class_names))
