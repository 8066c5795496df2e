"""What is in a file of rows that was begun before."""

import csv
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from fer_lightning.errors import FERError
from fer_lightning.names import printable


def escaped(name: str) -> str:
    """A file name as the rows say it: bytes that are no UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


_FRAMING = "faces_in_videos"
"""What settings say of the framing of faces in videos, or nothing where there was none."""


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The names of the settings that differ, `input` among them if something is looked at that was not before."""
    keep_framing(before, now)
    names = [name for name in before | now if name != "input" and before.get(name) != now.get(name)]
    earlier, given = before.get("input"), now.get("input")
    if isinstance(earlier, list) and isinstance(given, list) and all(one in earlier for one in given):
        now["input"] = earlier
    return names or (["input"] if now.get("input") != earlier else [])


def keep_framing(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Rows of images alone say nothing of videos: then it is no difference, and what one of both says is kept."""
    ours, theirs = now.get("input_spec"), before.get("input_spec")
    if isinstance(ours, dict) and isinstance(theirs, dict):
        said = ours.get(_FRAMING) or theirs.get(_FRAMING)
        for spec in (ours, theirs):
            if _FRAMING in spec and spec[_FRAMING] is None:
                spec[_FRAMING] = said


def together(before: Any, now: list[str]) -> list[str]:
    """All that was looked at, in order."""
    return list(dict.fromkeys([*map(str, before if isinstance(before, list) else []), *now]))


def rows_done(
    path: Path, columns: Sequence[str], sources: Collection[str], ended: bool, whole: Any = 0
) -> tuple[set[str], int]:
    """The sources that are done in a CSV or JSON Lines file, and the length of it to keep, in bytes.

    The last source is done anew, as it may have been interrupted, unless the run came to its end and the file is as
    long as it was then. A row that was cut at the end is not kept.

    Args:
        path: The file.
        columns: The columns that it must have.
        sources: The names of what is looked at now; empty if not known. Rows of others stay.
        ended: Whether the run that wrote it came to its end.
        whole: Bytes at its start that are of runs which came to their end.

    Raises:
        FERError: If the file is damaged before its end, or its last source may be incomplete and is not looked at now.
    """
    done: set[str] = set()
    last, start_of_last, length = "", 0, 0
    for record, source in _records(path, columns):
        if source is not None and source != last:
            done |= {last} if last else set()
            last, start_of_last = source, length
        length += len(record)
    if last and ended and length == whole:  # nothing was interrupted, and nothing cut off since
        return done | {last}, length
    if last and sources and last not in sources:
        if ended or length == whole:  # the later run was interrupted before its first row
            return done | {last}, length
        raise FERError(
            f"'{path}' is of a run that was interrupted at '{printable(last)}', which is not among the inputs now. Go "
            "on with that one first, choose another --output, or replace the file with --overwrite."
        )
    return done - {last}, start_of_last if last else length


def _records(path: Path, columns: Sequence[str]) -> Iterator[tuple[bytes, str | None]]:
    """The records of a file with their sources (None for the header), without a cut one at its end."""
    record, number, is_csv = b"", 0, path.suffix.lower() == ".csv"
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, 1):
            record += line
            if record.count(b'"') % 2 and is_csv:
                if len(record) > 1_000_000 or _fields(line, columns):
                    break  # a quoted field with a line break does not have a row within
                continue
            if not line.endswith(b"\n"):
                return
            if is_csv:
                fields = _fields(record, columns)
                if (number == 1) != (fields == list(columns)) or not fields:
                    break
                yield record, fields[0] if number > 1 else None
            else:
                try:
                    found = json.loads(record)
                    yield record, escaped(found["source"])
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    break
            record = b""
        else:
            return
    expected = "a cell for each column of this model" if is_csv else "a row as JSON"
    raise FERError(
        f"'{path}' is damaged in line {number}: expected {expected}. "
        "Nothing was changed. Repair it, choose another --output, or replace it with --overwrite."
    )


def _fields(record: bytes, columns: Sequence[str]) -> list[str]:
    """The cells of a CSV record; empty if they are not as many as there are columns."""
    try:
        (fields,) = csv.reader([record.decode("utf-8", "surrogateescape")])
    except (csv.Error, ValueError):
        return []
    return fields if len(fields) == len(columns) else []
