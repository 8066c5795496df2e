"""Rows out: one for each face, as CSV, JSON Lines or Parquet, written as they come."""

import contextlib
import csv
import hashlib
import json
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self, TextIO, cast

from fer_lightning.errors import FERError
from fer_lightning.files import check_output, replace_text, replacing_path
from fer_lightning.inference.begun_rows import differences, escaped, rows_done, together
from fer_lightning.inference.columns import columns
from fer_lightning.inference.parquet_rows import GROUP, parquet_schema, parquet_settings, parquet_table, pyarrow
from fer_lightning.locks import alone
from fer_lightning.names import cell

SUFFIXES = (".csv", ".jsonl", ".parquet")
_WHOLE = "bytes_of_ended_runs"


class RowWriter:
    """Writes rows as they come, and goes on with a CSV or JSON Lines file that was begun with the same settings.

    With the same input, it goes on with what is not in the file yet. With other input (`settings["input"]`), it goes on
    as well once the run that wrote the file has come to its end: its rows stay, and what is in it already is not
    doubled; then `appends` is true. Beside such a file, `<file>.settings.json` says what it was made with. A Parquet
    file gets its name at the end, and none after an exception. While it is entered, no other process can write to the
    same file.

    Args:
        output: A file ending in .csv, .jsonl or .parquet; or `-` for CSV on standard output.
        class_names: Names of the probabilities.
        settings: What decides about the rows; a file made with others is refused.
        sources: The names of what is looked at now; see `rows_done`. A Parquet file made of others is refused.
        overwrite: Whether to begin anew whatever is there, as the user said.
    """

    def __init__(
        self,
        output: str,
        class_names: Sequence[str],
        settings: dict[str, Any],
        sources: Collection[str] = (),
        overwrite: bool = False,
    ) -> None:
        self.path, self.columns = Path(output).expanduser(), columns(class_names)
        self.suffix = ".csv" if output == "-" else self.path.suffix.lower()
        self.resumable = output != "-" and self.suffix != ".parquet"
        self.done: set[str] = set()
        self.appends, self._whole = False, 0
        self.beside = self.path.with_name(self.path.name + ".settings.json")
        self._sources, self._overwrite = {escaped(source) for source in sources}, overwrite
        if self.suffix == ".parquet":
            listed = hashlib.sha256("\n".join(map(escaped, sources)).encode())
            settings = settings | {"sources_sha256": listed.hexdigest()}
        self._settings: dict[str, Any] = json.loads(json.dumps(settings, default=str))
        self._opened = contextlib.ExitStack()
        if self.suffix not in SUFFIXES:
            raise FERError(f"Invalid value for --output. Expected {', '.join(SUFFIXES)} or -. Received: {output}.")
        if self.suffix == ".parquet":
            pyarrow()

    def has(self, source: str) -> bool:
        """Whether all rows of a source were in the file already."""
        return escaped(source) in self.done

    def _check(self) -> None:
        """Find out whether what is there can be gone on with, or replaced.

        Raises:
            FERError: If not.
        """
        if self._overwrite or not self.path.exists():
            if self.resumable and self.beside.exists() and b'"fer_lightning": "' not in self.beside.read_bytes():
                check_output("--output", self.beside, overwrite=self._overwrite)
        elif self.resumable:
            known = self.beside.is_file()
            ended = self._check_settings(self.beside.read_text(encoding="utf-8", errors="replace") if known else "")
            headings = [*map(cell, self.columns)] if self.suffix == ".csv" else self.columns
            self.done, self._end = rows_done(self.path, headings, self._sources, ended, self._whole)
            self._whole = self._end if ended else self._whole
        else:
            self._check_settings(parquet_settings(self.path))

    def _check_settings(self, text: str) -> bool:
        """Whether the run with these settings came to its end; an FERError if they differ from those of now."""
        try:
            before = dict(json.loads(text))
        except (ValueError, TypeError, RecursionError):
            before = {}
        ended, self._whole, now = bool(before.pop("ended", False)), before.pop(_WHOLE, 0), self._settings
        differing = differences(before, now) if before else ["not known"]
        if self.resumable and differing == ["input"]:
            now["input"], self.appends, differing = together(before["input"], now["input"]), True, []
        if differing:
            raise FERError(
                f"'{self.path}' is there already, made with other settings ({', '.join(differing)}). "
                "Choose another --output, or replace it with --overwrite."
            )
        return ended

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            if self.path != Path("-"):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                taken = (
                    f"Another process is writing to '{self.path}'. Wait until it has ended, or choose another --output."
                )
                opened.enter_context(alone(self.path.with_name(f".{self.path.name}.fer-lock"), taken, removed=True))
                self._check()
            self._open(opened)
            self._opened = opened.pop_all()
        return self

    def _open(self, opened: contextlib.ExitStack) -> None:
        if self.suffix == ".parquet":
            schema = parquet_schema(self.columns, self._settings)
            aside = opened.enter_context(replacing_path(self.path))
            self._parquet = opened.enter_context(pyarrow().parquet.ParquetWriter(aside, schema))
            opened.push(self._write_last)
            self._waiting: list[dict[str, Any]] = []  # rows go in groups
            return
        self._stream: TextIO = sys.stdout
        begun = self.resumable and self.path.exists() and not self._overwrite
        if self.resumable:
            if begun:
                os.truncate(self.path, self._end)
            self._write_beside(self._settings | ({_WHOLE: self._whole} if begun and self._whole else {}))
            mode = "a" if begun else "w"
            stream = self.path.open(mode, encoding="utf-8", newline="", errors="backslashreplace")
            self._stream = opened.enter_context(cast(TextIO, stream))
        self._csv = csv.DictWriter(self._stream, self.columns)
        if self.suffix == ".csv" and not (begun and self._stream.tell()):
            self._csv.writerow({name: cell(name) for name in self.columns})
            self._stream.flush()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Write the rows of one frame; they are in the file when this returns (Parquet: at the end)."""
        if self.suffix == ".parquet":
            self._waiting += rows
            if len(self._waiting) >= GROUP:
                self._write_group()
            return
        if self.suffix == ".csv":
            for row in rows:
                self._csv.writerow(row | {"label": cell(row["label"])})
        else:
            self._stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._stream.flush()

    def end(self) -> None:
        """Say beside the file that all sources have been written."""
        if self.resumable:
            self._stream.flush()
            self._write_beside(self._settings | {"ended": True, _WHOLE: self.path.stat().st_size})

    def _write_beside(self, settings: dict[str, Any]) -> None:
        replace_text(self.beside, json.dumps(settings, indent=2) + "\n")

    def _write_group(self) -> None:
        self._parquet.write_table(parquet_table(self._waiting, self._parquet.schema))
        self._waiting = []

    def _write_last(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._write_group()

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)
