"""Columns of a CSV file that somebody named."""

import csv
import os
from collections.abc import Iterator, Sequence

from fer_lightning.errors import FERError


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
        FERError: If it cannot be read as CSV in UTF-8, a column is missing, or a row is shorter or longer.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, skipinitialspace=True)
            header = [name.strip() for name in next(reader, [])]
            if missing := [name for name in columns if name not in header]:
                raise FERError(
                    f"Invalid value for {option}. Expected a file with the columns {', '.join(columns)}{like}. "
                    f"'{path}' does not have {', '.join(missing)}."
                )
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
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = getattr(error, "strerror", None) or error
        raise FERError(f"Invalid value for {option}. Cannot read '{path}': {said}. Expected CSV in UTF-8.") from None
