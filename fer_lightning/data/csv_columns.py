"""CSV files that somebody named: opened with care, read by their columns."""

import codecs
import contextlib
import csv
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, TextIO

from fer_lightning.errors import FERError
from fer_lightning.files import no_file
from fer_lightning.names import printable

_LONGEST_LINE = 1_000_000
"""Characters; more would be held in memory only to be refused. A row of fer2013.csv has 9,000."""


_ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SPOKEN = {"utf-16": "in UTF-16", "cp1252": "in Latin-1 (no UTF-8)", ";": "separated by semicolons", "\t": "by tabs"}


_MOST_LINES = 10
"""More in one row are no text with line breaks, but a quote that is not closed."""


class TableForm(NamedTuple):
    """How the text of a table is encoded, and what separates its fields."""

    encoding: str = "utf-8-sig"
    delimiter: str = ","

    @property
    def unusual(self) -> str:
        """What is not as in a plain CSV file, in words; empty if nothing is."""
        return ", ".join(_SPOKEN[one] for one in self if one in _SPOKEN)


def form_of(path: str | os.PathLike[str], option: str) -> TableForm:
    """Find out how a table is written: by its mark, its bytes, and the signs in its first line.

    Raises:
        FERError: If it is no regular file (a pipe would be waited for), cannot be read, or is no text.
    """
    start = f"Invalid value for {option}. Cannot read '{printable(os.fspath(path))}'"
    try:
        if why := no_file(path):
            raise FERError(f"{start}: {why}. Expected a CSV file.")
        with open(path, "rb") as stream:
            head = stream.read(1 << 16)
            encoding = next((name for mark, name in _ENCODINGS.items() if head.startswith(mark)), "")
            if not encoding and b"\0" in head:
                raise FERError(f"{start}: it is not a text. Expected a CSV file.")
            encoding = encoding or _utf8_or_latin(stream, head)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        raise FERError(f"{start}: {getattr(error, 'strerror', None) or error}. Expected a CSV file.") from None
    lines = head.decode(encoding, errors="replace").splitlines()
    first = next((line for line in lines if line.strip()), "")
    if first.lower().startswith("sep=") and len(first) == 5:  # as Excel writes
        return TableForm(encoding, first[4])
    unquoted = re.sub('"[^"]*"', "", first)
    return TableForm(encoding, max(",;\t", key=unquoted.count))


def _utf8_or_latin(stream: BinaryIO, head: bytes) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(head)
        while block := stream.read(1 << 20):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


@contextlib.contextmanager
def open_table(path: str | os.PathLike[str], option: str, form: TableForm | None = None) -> Iterator[Any]:
    """Open a CSV file; yields a `csv.reader`, and turns what goes wrong within the block into one message.

    Args:
        path: The file.
        option: The option that named it, for messages.
        form: How it is written; None finds out.

    Raises:
        FERError: If it cannot be read, is no CSV, or has a line of more than a million characters.
    """
    form = form or form_of(path, option)
    start = f"Invalid value for {option}. Cannot read '{printable(os.fspath(path))}'"
    errors = "replace" if form.encoding == "cp1252" else "strict"  # it has a few bytes without a meaning
    with open(path, newline="", encoding=form.encoding, errors=errors) as stream:
        reader = _Rows(_lines(stream, path), form.delimiter, path)
        try:
            yield reader
        except (UnicodeError, csv.Error, OSError) as error:
            line, said = reader.line_num, f"not readable as CSV: {error}"
            if isinstance(error, UnicodeError):
                line, said = line + 1, f"a byte that is no text in {form.encoding} ({error})"
            raise FERError(f"{start}, line {line}: {said}. Expected a CSV file.") from None


def read_columns(
    path: str | os.PathLike[str], option: str, columns: Sequence[str], like: str = ""
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of every row that is not blank; space around cells does not count.

    Args:
        path: The file.
        option: The option that named it, for messages.
        columns: The columns that are wanted.
        like: What kind of file it is, for messages.

    Raises:
        FERError: If it cannot be read as CSV, a column is missing or there twice, or a row is
            shorter or longer.
    """
    with open_table(path, option) as reader:
        header = [name.strip() for name in next(reader, [])]
        if missing := [name for name in columns if name not in header]:
            raise FERError(
                f"Invalid value for {option}. Expected a file with the columns {', '.join(columns)}{like}. "
                f"'{path}' does not have {', '.join(missing)}."
            )
        if twice := [name for name in columns if header.count(name) > 1]:
            raise FERError(f"Invalid value for {option}. '{path}' has the column {', '.join(twice)} more than once.")
        places = {name: header.index(name) for name in columns}
        for cells in reader:
            if not "".join(cells).strip() and len(cells) <= 1:
                continue
            if len(cells) != len(header):
                raise FERError(
                    f"{path}, line {reader.line_num}: expected {len(header)} columns, found {len(cells)}. Is the "
                    "file complete?"
                )
            yield reader.line_num, {name: cells[place].strip() for name, place in places.items()}


def read_lines(path: str | os.PathLike[str], option: str) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not blank, without surrounding space.

    Raises:
        FERError: If it cannot be read as text.
    """
    form = form_of(path, option)
    with open(path, encoding=form.encoding, errors="replace") as stream:
        for number, line in enumerate(_lines(stream, path), 1):
            if text := line.strip():
                yield number, text


class _Rows:
    """The rows of a CSV file, as `csv.reader` gives them; a quote that is not closed swallows no rows."""

    def __init__(self, lines: Iterator[str], delimiter: str, path: str | os.PathLike[str]) -> None:
        self._rows, self._path = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True), path

    @property
    def line_num(self) -> int:
        return self._rows.line_num

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        before = self.line_num
        try:
            row = next(self._rows)
        except csv.Error as error:
            if self.line_num - before > 1:
                raise FERError(self._unclosed(before)) from error
            raise
        if self.line_num - before > _MOST_LINES:
            raise FERError(self._unclosed(before))
        return row

    def _unclosed(self, before: int) -> str:
        count = self.line_num - before
        return f"{self._path}, line {before + 1}: a cell runs over {count:,} lines. Is a quote not closed there?"


def _lines(stream: TextIO, path: str | os.PathLike[str]) -> Iterator[str]:
    number = 0
    while line := stream.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise FERError(f"{path}, line {number}: longer than {_LONGEST_LINE:,} characters. Expected a CSV file.")
        yield line
