"""Answers for a person to read: a block an image, a line a second of a film, and what there was in all."""

import sys
from collections import Counter
from collections.abc import Sequence

from tqdm import tqdm

from fer_lightning.inference.expression import Expression
from fer_lightning.inference.frames import Frame
from fer_lightning.names import many, one_line, printable
from fer_lightning.screen import WIDTH, wrapped

_BAR, _EIGHTHS = 10, " ▏▎▍▌▋▊▉"
_OFTEN = 60
"""Lines about a film, a second each; then as many of two seconds, of four, and so on."""


class Answers:
    """Prints what was seen: each image with its faces, and films in steps of a second or more.

    Args:
        class_names: Names of the classes.
        detection_size: The longer side in pixels at which faces were looked for.
        images: Whether images are so few that each is worth its lines.
    """

    def __init__(self, class_names: Sequence[str], detection_size: int, images: bool = True) -> None:
        self._images = images
        self._names = max((len(printable(name)) for name in (*class_names, "uncertain")), default=0)
        self._film, self._due, self._lines, self._detection_size = "", 0.0, 0, detection_size

    def add(self, frame: Frame, expressions: Sequence[Expression]) -> None:
        """Say what is in an image or a frame."""
        name = one_line(frame.source.name, 200)
        if frame.frame is None and frame.source.kind == "image":
            if self._images:
                _print("\n".join([_beside(f"{name}   ", self._about(frame)), *map(self._of_face, expressions)]))
            return
        if name != self._film:
            self._film, self._due, self._lines = name, 0.0, 0
            _print(name)
        if frame.error:
            _print(f"  {clock(frame.seconds)}  cannot be read: {_plain(frame)}")
        elif (now := frame.seconds or 0.0) >= self._due:
            self._due = int(now) + (1.0 if frame.source.kind == "camera" else 2.0 ** (self._lines // _OFTEN))
            self._lines += 1
            said = [f"{printable(one.label)} {one.confidence:.0%}" for one in expressions[:4]]
            more = len(expressions) - len(said)
            _print(f"  {clock(now)}  {', '.join(said) or 'no face'}{f' and {more} more' if more else ''}")

    def _about(self, frame: Frame) -> str:
        if frame.error:
            return f"cannot be read: {_plain(frame)}"
        if len(frame.faces) and not frame.faceless:
            return "taken as one face" if frame.faces[0] is None else many(len(frame.faces), "face")
        shrunk = max(frame.size) > self._detection_size
        smaller = f"; smaller ones may be found with --detection_size {max(frame.size)}"
        return f"no face{', taken whole' if frame.faceless else ''}{smaller if shrunk else ''}"

    def _of_face(self, said: Expression) -> str:
        ranked = sorted(said.probabilities.items(), key=lambda item: -item[1])
        others = [item for item in ranked if item[0] != said.label][: 3 if said.label == "uncertain" else 2]
        parts = [f"  {printable(said.label):<{self._names}} {said.confidence:>4.0%} {bar(said.confidence)}"]
        parts += [f"{printable(name)} {value:.0%}" for name, value in others]
        line = "  ".join(parts)
        if (face := said.face) is None:
            return line
        where = f"at {face.left:.0f}, {face.top:.0f}: {face.width:.0f} x {face.height:.0f} px"
        return _beside(f"{line}  ", where)

    def close(self) -> str:
        """Nothing: all was said."""
        return ""


class Counts:
    """How many frames and faces there were, and how often each answer was given."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.frames = self.failed = self.faceless = self.whole = self.several = 0
        self.labels: Counter[str] = Counter()

    def add(self, frame: Frame, expressions: Sequence[Expression]) -> None:
        """Count one frame and its faces."""
        self.frames += 1
        self.failed += bool(frame.error)
        self.several += frame.first_of_several
        self.faceless += not frame.error and not expressions
        self.whole += frame.faceless
        self.labels.update(said.label for said in expressions)

    def include(self, other: "Counts") -> None:
        """Count what another one has counted."""
        for name in ("frames", "failed", "faceless", "whole", "several"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.labels.update(other.labels)

    def close(self) -> str:
        """What there was, and what was found, the most frequent first."""
        said = f"{many(self.labels.total(), 'face')} in {many(self.frames, 'image')}"
        said += f", {self.faceless:,} without a face" if self.faceless else ""
        said += f", {self.whole:,} without a face and taken whole" if self.whole else ""
        said += f", {self.failed:,} unreadable" if self.failed else ""
        said += f", {self.several:,} of several images of which the first was taken" if self.several else ""
        labels = ", ".join(f"{printable(label)} {count:,}" for label, count in self.labels.most_common())
        return f"{said}.{self.where}" + (f"\nFound: {labels}" if labels else "")


def bar(value: float) -> str:
    """A number from 0 to 1 as a bar of ten characters; with #, where the terminal has no others."""
    eighths = round(value * _BAR * 8)
    full, rest = divmod(eighths, 8)
    drawn = ("█" * full + _EIGHTHS[rest] * (rest > 0)).ljust(_BAR)
    try:
        drawn.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeError:
        return ("#" * round(value * _BAR)).ljust(_BAR)
    return drawn


def clock(seconds: float | None) -> str:
    """A time in a film, as `1:02:03` or `2:03`."""
    minutes, rest = divmod(int(seconds or 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _beside(first: str, second: str) -> str:
    """Two texts on a line, or on two where that would be too long."""
    return first + second if len(first + second) <= WIDTH else f"{first}\n    {second}"


def _plain(frame: Frame) -> str:
    """Why a frame cannot be read, without what is said before it already."""
    return one_line(frame.error, 400).rpartition(f"'{printable(frame.source.name)}': ")[2].rstrip(".")


def _print(text: str) -> None:
    """Print above a progress bar, if there is one."""
    tqdm.write(wrapped("\n".join(line.rstrip() for line in text.split("\n"))), file=sys.stdout)
    sys.stdout.flush()
