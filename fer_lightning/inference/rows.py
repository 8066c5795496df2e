"""Rows out: one for each face, as CSV, JSON Lines or Parquet, written as they come."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from fer_lightning.errors import FERError
from fer_lightning.files import replace_text, replacing_path
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.recognizer import Expression

BOX = ("left", "top", "width", "height", "score")
SUFFIXES = (".csv", ".jsonl", ".parquet")


def columns(class_names: Sequence[str]) -> list[str]:
    """The columns of the rows."""
    return ["source", "frame", "seconds", "face", *BOX, "label", "confidence", *class_names, "error"]


def rows_of(frame: Frame, expressions: Sequence[Expression], class_names: Sequence[str]) -> list[dict[str, Any]]:
    """One row a face; a frame without one, or one that cannot be read, is a row as well.

    Args:
        frame: An image or a frame of a video that has its answers.
        expressions: An answer for each of its faces.
        class_names: Names of the probabilities.

    Returns:
        Rows with all of `columns`; None where there is nothing to say.
    """
    place: dict[str, Any] = {"source": frame.source.name, "frame": frame.frame}
    place["seconds"] = None if frame.seconds is None else round(frame.seconds, 3)
    empty = dict.fromkeys(columns(class_names)) | place
    if frame.error:
        return [empty | {"label": "error", "error": frame.error}]
    if not frame.faces:
        return [empty | {"label": "no_face"}]
    rows = []
    for number, said in zip(frame.numbers, expressions, strict=True):
        box = {} if said.face is None else {name: round(getattr(said.face, name), 3) for name in BOX}
        probabilities = {name: round(value, 6) for name, value in said.probabilities.items()}
        answer = {"face": number, "label": said.label, "confidence": round(said.confidence, 6)}
        rows.append(empty | box | answer | probabilities)
    return rows


class RowWriter:
    """Writes rows as they come, and goes on with a CSV or JSON Lines file that was begun with the same settings.

    Beside such a file, `<file>.settings.json` says what it was made with. A Parquet file gets its name at the end, and
    none after an exception.

    Args:
        output: A file ending in .csv, .jsonl or .parquet; or `-` for CSV on standard output.
        class_names: Names of the probabilities.
        settings: What decides about the rows; a file made with others is not gone on with.

    Raises:
        FERError: If the ending is another, a package is missing, or there is a file made with other settings.
    """

    def __init__(self, output: str, class_names: Sequence[str], settings: dict[str, Any]) -> None:
        self.path = Path(output).expanduser()
        self.columns = columns(class_names)
        self.suffix = ".csv" if output == "-" else self.path.suffix.lower()
        self.done: set[str] = set()
        self._standard = output == "-"
        self._settings = json.dumps(settings, indent=2, default=str) + "\n"
        self._stream: TextIO = sys.stdout
        self._opened = contextlib.ExitStack()
        self._parquet: Any = None
        self._waiting: list[dict[str, Any]] = []  # of a Parquet file, whose rows go in groups
        if self.suffix not in SUFFIXES:
            raise FERError(f"Invalid value for --output. Expected {', '.join(SUFFIXES)} or -. Received: {output}.")
        if self.suffix == ".parquet":
            _pyarrow()
        elif not self._standard and self.path.exists():
            self._take_up(settings)

    @property
    def resumable(self) -> bool:
        """Whether a second run goes on after the rows of this one."""
        return not self._standard and self.suffix != ".parquet"

    @property
    def _beside(self) -> Path:
        return self.path.with_name(self.path.name + ".settings.json")

    def _take_up(self, settings: dict[str, Any]) -> None:
        """Find the sources that are done; the last one is done anew, as it may have been interrupted."""
        try:
            before = json.loads(self._beside.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = {}
        now = json.loads(self._settings)
        if before != now:
            differing = [name for name in now if before.get(name) != now[name]] if before else ["not known"]
            raise FERError(
                f"'{self.path}' is there already, made with other settings ({', '.join(differing)}). Choose another "
                "--output, or remove it."
            )
        last, start_of_last, length = "", 0, 0
        with open(self.path, encoding="utf-8", newline="", errors="surrogateescape") as stream:
            for text, source in _records(stream, self.suffix):
                if source is not None and source != last:
                    self.done |= {last} if last else set()
                    last, start_of_last = source, length
                length += len(text.encode("utf-8", "surrogateescape"))
        os.truncate(self.path, start_of_last)

    def __enter__(self) -> RowWriter:
        if self._standard:
            self._start(sys.stdout)
            return self
        if self.suffix == ".parquet":
            self._aside = self._opened.enter_context(replacing_path(self.path))
            self._opened.push(self._end_parquet)
            return self
        replace_text(self._beside, self._settings)
        stream = open(self.path, "a", encoding="utf-8", newline="", errors="backslashreplace")
        self._start(self._opened.enter_context(stream))
        return self

    def _start(self, stream: TextIO) -> None:
        self._stream = stream
        self._csv = csv.DictWriter(stream, self.columns)
        if self.suffix == ".csv" and (self._standard or stream.tell() == 0):
            self._csv.writeheader()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Write the rows of one frame; they are in the file when this returns (Parquet: at the end)."""
        if self.suffix == ".csv":
            self._csv.writerows(rows)
            self._stream.flush()
        elif self.suffix == ".jsonl":
            self._stream.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
            self._stream.flush()
        else:
            self._waiting += rows
            if len(self._waiting) >= 10_000:
                self._write_group()

    def _write_group(self) -> None:
        arrow, parquet = _pyarrow()
        text, whole = {"source", "label", "error"}, {"frame", "face"}
        kinds = {
            name: arrow.string() if name in text else arrow.int64() if name in whole else arrow.float64()
            for name in self.columns
        }
        schema = arrow.schema(list(kinds.items()), metadata={"fer_lightning": self._settings})
        if self._parquet is None:
            self._parquet = parquet.ParquetWriter(self._aside, schema)
        self._parquet.write_table(arrow.Table.from_pylist(self._waiting, schema))
        self._waiting = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def _end_parquet(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._write_group()
            self._parquet.close()
        elif self._parquet is not None:
            with contextlib.suppress(OSError):  # as of a full disk, which is known already
                self._parquet.close()


def _records(stream: TextIO, suffix: str) -> Any:
    """The whole records of a file as text, each with its source (None for the header), without a cut one at the end."""
    record = ""
    for line in stream:
        record += line
        if not line.endswith("\n"):
            return
        if suffix == ".jsonl":
            try:
                yield record, str(json.loads(record)["source"])
            except (ValueError, KeyError):
                return
        else:
            if record.count('"') % 2:
                continue  # a quoted field with a line break
            fields = next(csv.reader(io.StringIO(record)))
            yield record, None if fields[:2] == ["source", "frame"] else fields[0]
        record = ""


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise FERError("Parquet files need pyarrow: pip install pyarrow.") from None
    return pyarrow, pyarrow.parquet


def name_of(path: str | os.PathLike[str]) -> str:
    """A file name that says where an image was, for images of several folders in one."""
    return os.fspath(path).strip("./\\").replace("\\", "/").replace("/", "__")
