"""What the processes of a cluster do for `predict --engine`: parts of the input in, a Parquet file each out."""

import io
import math
import os
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Any

from fer_lightning.checkpoints.finding import digest_of
from fer_lightning.errors import FERError
from fer_lightning.inference.columns import columns
from fer_lightning.inference.frames import Frame, look
from fer_lightning.inference.parquet_rows import GROUP, parquet_schema, parquet_table, pyarrow
from fer_lightning.inference.parts_folder import SETTINGS, PartsFolder
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.inference.sources import Source
from fer_lightning.inference.terminal import Counts
from fer_lightning.inference.tracks import Tracks
from fer_lightning.version import __version__

_FEWEST, _MOST, _PARTS = 64, 2000, 256
"""Images in a part: so many that there are about 256 parts, but not fewer and not more than that."""

_FILMS = 1000
"""From so many films on, several are in a part."""

_WAITING = 16
"""Images at addresses that a process fetches at once: what it waits for is the network."""


@dataclass(frozen=True)
class Part:
    """A run of neighbors in the input, images or films, whose rows are in a file of their own.

    What is in it depends on the input alone, and not on the processes there are: so a part that is made again, by
    whichever of them, is the same.
    """

    number: int
    of: int
    sources: Sequence[Source]

    @property
    def name(self) -> str:
        """Its file; sorted by name, the files have the order of the input."""
        return f"part-{self.number:05d}-of-{self.of:05d}.parquet"


def divided(sources: Sequence[Source], batch_size: int) -> list[Part]:
    """All sources in parts; parts of images that are taken whole are whole batches, as in a single process."""
    found: list[Sequence[Source]] = []
    for kind, group in groupby(sources, key=lambda source: source.kind):
        some = list(group)
        size = min(max(math.ceil(len(some) / _PARTS), _FEWEST), _MOST)
        size = math.ceil(size / batch_size) * batch_size if batch_size <= _MOST else size
        size = size if kind == "image" else max(len(some) // _FILMS, 1)
        found += [some[start : start + size] for start in range(0, len(some), size)]
    return [Part(number, len(found), some) for number, some in enumerate(found, 1)]


@dataclass(frozen=True)
class Work:
    """All that a process needs to know.

    Attributes:
        folder: Where the command was typed: the names of files are from there.
        model: The model's file.
        sha256: Its digest.
        recognizer: Further arguments of `ExpressionRecognizer`.
        films: `frame_stride`, `fps` and `smooth`.
        output: Where the parts go.
        settings: What the rows are made with.
        version: That of this package.
    """

    folder: str
    model: str
    sha256: str
    recognizer: dict[str, Any]
    films: tuple[int, float | None, float]
    output: PartsFolder
    settings: dict[str, Any]
    version: str = __version__

    def check(self, here: str) -> None:
        """Make sure that a machine sees what it needs, and would give the same answers.

        Raises:
            FERError: If not; `here` says which machine that is.
        """
        again = "All machines need the same folders under the same names, or addresses as s3://bucket/rows."
        if self.version != __version__:
            raise FERError(f"{here} has fer_lightning {__version__}, and not {self.version}: install the same on all.")
        if not os.path.isdir(self.folder):
            raise FERError(f"{here} does not have the folder '{self.folder}', from which this was started. {again}")
        os.chdir(self.folder)
        if not os.path.isfile(self.model) or digest_of(self.model) != self.sha256:
            raise FERError(f"{here} has no such model '{self.model}', or another one. {again}")
        if SETTINGS not in self.output.names():
            raise FERError(f"{here} does not share '{self.output.shown}' (--output). {again}")


class Worker:
    """A recognizer that is opened once a process, with what it needs to name all that is in a part."""

    def __init__(self, work: Work, device: str) -> None:
        work.check("A machine of the cluster")
        self.work = work
        self.recognizer = ExpressionRecognizer(work.model, device=device, workers=0, **work.recognizer)
        stride, fps, self._smooth = work.films
        self._how = replace(self.recognizer.how(False, stride, fps), processes=False)
        self._schema = parquet_schema(columns(self.recognizer.model.class_names), work.settings)

    def look(self, part: Part) -> Iterator[Frame]:
        """Decode what is in a part and find the faces in it."""
        remote = any(source.address for source in part.sources)
        return look(part.sources, self._how, _WAITING if remote else 0)

    def name(self, part: Part, frames: Iterable[Frame]) -> Counts:
        """Name the expressions, and write the part."""
        counts, content, waiting = Counts(""), io.BytesIO(), []
        answered = map(Tracks(self._smooth).follow, self.recognizer.answer(frames))
        with pyarrow().parquet.ParquetWriter(content, self._schema) as parquet:
            for frame in answered:
                seen = self.recognizer.recognition(frame)
                counts.add(frame, seen.faces)
                waiting += seen.to_dicts()
                if len(waiting) >= GROUP:
                    parquet.write_table(parquet_table(waiting, self._schema))
                    waiting = []
            parquet.write_table(parquet_table(waiting, self._schema))
        self.work.output.write(part.name, content.getvalue())
        return counts


@lru_cache(1)
def worker(work: bytes, device: str) -> Worker:
    """The worker of this process, for pickled `Work`."""
    return Worker(pickle.loads(work), device)  # noqa: S301 (what this program has sent)
