"""CSV files that somebody named: opened with care, read by their columns."""

import contextlib
import csv
import os
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from fer_lightning.errors import FERError
from fer_lightning.files import no_file
from fer_lightning.names import printable

_LONGEST_LINE = 1_000_000
"""Characters; more would be held in memory only to be refused. A row of fer2013.csv has 9,000."""


@contextlib.contextmanager
def open_table(path: str | os.PathLike[str], option: str) -> Iterator[Any]:
    """Open a CSV file in UTF-8; yields a `csv.reader`, and turns what goes wrong within the block into one message.

    Raises:
        FERError: If it is no regular file (a pipe would be waited for), cannot be read, is no CSV, or has a line of
            more than a million characters.
    """
    start = f"Invalid value for {option}. Cannot read '{printable(os.fspath(path))}'"
    try:
        if why := no_file(path):
            raise FERError(f"{start}: {why}. Expected CSV in UTF-8.")
        stream = open(path, newline="", encoding="utf-8-sig")  # noqa: SIM115 (closed below)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        raise FERError(f"{start}: {getattr(error, 'strerror', None) or error}. Expected CSV in UTF-8.") from None
    with stream:
        reader = csv.reader(_lines(stream, path), skipinitialspace=True)
        try:
            yield reader
        except (UnicodeDecodeError, csv.Error, OSError) as error:
            line, said = reader.line_num, f"not readable as CSV: {error}"
            if isinstance(error, UnicodeDecodeError):
                line, said = line + 1, f"expected UTF-8 text, found a byte that is not ({error.reason})"
            raise FERError(f"{start}, line {line}: {said}. Expected CSV in UTF-8.") from None


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
        FERError: If it cannot be read as CSV in UTF-8, a column is missing or there twice, or a row is
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


def _lines(stream: TextIO, path: str | os.PathLike[str]) -> Iterator[str]:
    number = 0
    while line := stream.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise FERError(f"{path}, line {number}: longer than {_LONGEST_LINE:,} characters. Expected a CSV file.")
        yield line
