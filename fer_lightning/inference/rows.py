"""Rows out: one for each face, as CSV, JSON Lines or Parquet, written as they come."""

import contextlib
import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TextIO

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
    """One row a face, with all of `columns`; a frame without one, or one that cannot be read, is a row as well."""
    seconds = None if frame.seconds is None else round(frame.seconds, 3)
    empty: dict[str, Any] = dict.fromkeys(columns(class_names))
    empty |= {"source": frame.source.name, "frame": frame.frame, "seconds": seconds}
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


def _printable(name: str) -> str:
    """A file name as the rows say it: bytes that are no UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


class RowWriter:
    """Writes rows as they come, and goes on with a CSV or JSON Lines file that was begun with the same settings.

    Beside such a file, `<file>.settings.json` says what it was made with. A Parquet file gets its name at the end, and
    none after an exception.

    Args:
        output: A file ending in .csv, .jsonl or .parquet; or `-` for CSV on standard output.
        class_names: Names of the probabilities.
        settings: What decides about the rows; a file made with others is refused.
    """

    def __init__(self, output: str, class_names: Sequence[str], settings: dict[str, Any]) -> None:
        self.path, self.columns = Path(output).expanduser(), columns(class_names)
        self.suffix = ".csv" if output == "-" else self.path.suffix.lower()
        self.resumable = output != "-" and self.suffix != ".parquet"
        self.done: set[str] = set()
        self._settings = json.dumps(settings, indent=2, default=str) + "\n"
        self._beside = self.path.with_name(self.path.name + ".settings.json")
        self._opened = contextlib.ExitStack()
        if self.suffix not in SUFFIXES:
            raise FERError(f"Invalid value for --output. Expected {', '.join(SUFFIXES)} or -. Received: {output}.")
        if self.suffix == ".parquet":
            _pyarrow()
        elif self.resumable and self.path.exists():
            self._take_up()

    def has(self, source: str) -> bool:
        """Whether all rows of a source were in the file already."""
        return _printable(source) in self.done

    def _take_up(self) -> None:
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
        for record, source in self._records():
            if source is not None and source != last:
                self.done |= {last} if last else set()
                last, start_of_last = source, length
            length += len(record)
        os.truncate(self.path, start_of_last)

    def _records(self) -> Iterator[tuple[bytes, str | None]]:
        """The records of a begun file with their sources (None for the header), without a cut one at its end."""
        record = b""
        with open(self.path, "rb") as stream:
            for line in stream:
                record += line
                if not line.endswith(b"\n"):
                    return
                if self.suffix == ".jsonl":
                    try:
                        yield record, _printable(str(json.loads(record)["source"]))
                    except (ValueError, KeyError):
                        return
                elif record.count(b'"') % 2:
                    continue  # a quoted field with a line break
                else:
                    fields = next(csv.reader([record.decode("utf-8", "surrogateescape")]))
                    yield record, None if fields[:2] == self.columns[:2] else fields[0]
                record = b""

    def __enter__(self) -> Self:
        if self.suffix == ".parquet":
            arrow = _pyarrow()
            text, whole = {"source", "label", "error"}, {"frame", "face"}
            kinds = {name: arrow.string() if name in text else arrow.float64() for name in self.columns}
            kinds |= dict.fromkeys(whole, arrow.int64())
            schema = arrow.schema(list(kinds.items()), metadata={"fer_lightning": self._settings})
            aside = self._opened.enter_context(replacing_path(self.path))
            self._parquet = self._opened.enter_context(arrow.parquet.ParquetWriter(aside, schema))
            self._opened.push(self._write_last)
            self._waiting: list[dict[str, Any]] = []  # rows go in groups
            return self
        self._stream: TextIO = sys.stdout
        if self.resumable:
            replace_text(self._beside, self._settings)
            stream = open(self.path, "a", encoding="utf-8", newline="", errors="backslashreplace")
            self._stream = self._opened.enter_context(stream)
        self._csv = csv.DictWriter(self._stream, self.columns)
        if self.suffix == ".csv" and not (self.resumable and self._stream.tell()):
            self._csv.writeheader()
        return self

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Write the rows of one frame; they are in the file when this returns (Parquet: at the end)."""
        if self.suffix == ".parquet":
            self._waiting += rows
            if len(self._waiting) >= 10_000:
                self._write_group()
            return
        if self.suffix == ".csv":
            self._csv.writerows(rows)
        else:
            self._stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._stream.flush()

    def _write_group(self) -> None:
        self._parquet.write_table(_pyarrow().Table.from_pylist(self._waiting, self._parquet.schema))
        self._waiting = []

    def _write_last(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._write_group()

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise FERError("Parquet files need pyarrow: pip install pyarrow.") from None
    return pyarrow
