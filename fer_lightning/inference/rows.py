"""Rows out: one for each face, as CSV, JSON Lines or Parquet, written as they come."""

from __future__ import annotations

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
from fer_lightning.inference.frames import Picture
from fer_lightning.inference.recognizer import Expression

BOX = ("left", "top", "width", "height", "score")
SUFFIXES = (".csv", ".jsonl", ".parquet")


def columns(class_names: Sequence[str]) -> list[str]:
    """The columns of the rows."""
    return ["source", "frame", "seconds", "face", *BOX, "label", "confidence", *class_names, "error"]


def rows_of(picture: Picture, expressions: Sequence[Expression], class_names: Sequence[str]) -> list[dict[str, Any]]:
    """One row a face; a picture without one, or one that cannot be read, is a row as well.

    Args:
        picture: A picture that has its answers.
        expressions: An answer for each of its faces.
        class_names: Names of the probabilities.

    Returns:
        Rows with all of `columns`; None where there is nothing to say.
    """
    place: dict[str, Any] = {"source": picture.source.name, "frame": picture.frame}
    place["seconds"] = None if picture.seconds is None else round(picture.seconds, 3)
    empty = dict.fromkeys(columns(class_names)) | place
    if picture.error:
        return [empty | {"label": "error", "error": picture.error}]
    if not picture.faces:
        return [empty | {"label": "no_face"}]
    rows = []
    for number, said in zip(picture.numbers, expressions, strict=True):
        box = {} if said.face is None else {name: round(getattr(said.face, name), 3) for name in BOX}
        shares = {name: round(share, 6) for name, share in said.probabilities.items()}
        answer = {"face": number, "label": said.label, "confidence": round(said.confidence, 6)}
        rows.append(empty | box | answer | shares)
    return rows


class RowWriter:
    """Writes rows as they come, and goes on with a CSV or JSON Lines file that was begun with the same settings.

    Beside the file, `<file>.settings.json` says what it was made with.

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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.suffix == ".parquet":
            self._aside = self.path.with_name(f".{self.path.name}.writing")
            return self
        self._write_settings()
        self._start(open(self.path, "a", encoding="utf-8", newline="", errors="backslashreplace"))
        return self

    def _write_settings(self) -> None:
        """Whole or not at all, as a cut file would make the rows unusable for a second run."""
        aside = self._beside.with_name(f".{self._beside.name}.writing")
        try:
            aside.write_text(self._settings, encoding="utf-8")
            aside.replace(self._beside)
        finally:
            aside.unlink(missing_ok=True)

    def _start(self, stream: TextIO) -> None:
        self._stream = stream
        self._csv = csv.DictWriter(stream, self.columns)
        if self.suffix == ".csv" and (self._standard or stream.tell() == 0):
            self._csv.writeheader()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Write the rows of one picture; they are in the file when this returns (Parquet: at the end)."""
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
        if self.suffix == ".parquet":
            self._write_group()
            self._parquet.close()
            self._aside.replace(self.path)
        elif not self._standard:
            self._stream.close()


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
    """A file name that says where a picture was, for pictures of several folders in one."""
    return os.fspath(path).strip("./\\").replace("\\", "/").replace("/", "__")
