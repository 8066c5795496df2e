"""Images for people, written: faces framed and named."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from PIL import Image

from fer_lightning.data.image_files import IMAGE_SUFFIXES, UnreadableImageError, read_image
from fer_lightning.errors import FERError
from fer_lightning.inference.drawing import annotated
from fer_lightning.inference.expression import Expression
from fer_lightning.inference.film_writer import FilmWriter
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.pictures import Pictures
from fer_lightning.inference.sources import VIDEO_SUFFIXES
from fer_lightning.names import printable


class Annotations:
    """Writes annotated images: into a folder, or, for one video or camera, as an .mp4.

    A film has as many frames as it needs for each to be shown as long as it was: its clock is that of the video.

    Args:
        output: The folder, or the file.
        class_names: Names of the classes.
        fps: Frames a second of a film.
        overwrite: Whether images in the folder that are not ours may be replaced.
    """

    def __init__(self, output: str, class_names: Sequence[str], fps: float, overwrite: bool = False) -> None:
        self.path, self.class_names = Path(output).expanduser(), tuple(class_names)
        self.is_video = self.path.suffix.lower() == ".mp4"
        is_file = self.path.suffix.lower() in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES) and not self.path.is_dir()
        if not self.is_video and is_file:
            raise FERError(f"Invalid value for --annotate. Expected a folder or an .mp4 file. Received: {output}.")
        self.written = 0
        self._film = FilmWriter(self.path, fps) if self.is_video else None
        self._pictures = Pictures(self.path, overwrite)

    def add(self, frame: Frame, expressions: Sequence[Expression]) -> None:
        """Write one image; one that could not be read is left out."""
        if frame.error:
            return
        try:  # image files are read again: that is cheaper than to carry them along
            image = Image.fromarray(frame.image) if frame.image is not None else read_image(frame.source.name)
        except UnreadableImageError:
            return
        drawn = annotated(image, expressions, self.class_names, listed=not self.is_video)
        self.written += 1
        if self._film is not None:
            self._film.add(drawn, frame.seconds or 0.0)
            return
        self._pictures.save(drawn, frame.source, lambda name: _picture_name(name, frame.frame), quality=92)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._film is not None:
            self._film.end(whole=False)  # unless it was closed

    def close(self) -> str:
        """End a film; what was written."""
        if self._film is not None:
            self._film.end(whole=True)
        codec = f" ({self._film.codec})" if self._film is not None and self._film.codec else ""
        return f"{self.written:,} annotated images in {printable(str(self.path))}{codec}"


def _picture_name(name: str, frame: int | None) -> str:
    if frame is not None:
        return f"{name}/{frame:06d}.jpg"
    if name.lower().endswith(".jpg") and Path(name[:-4]).suffix.lower() not in IMAGE_SUFFIXES:
        return name
    return f"{name}.jpg"  # also to a.png.jpg, as a.png has that name
