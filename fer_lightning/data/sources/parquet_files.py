"""Parquet files, read row by row without ever being in memory as a whole."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.names import one_line

_ROWS_AT_ONCE = 64


def open_parquet(path: Path) -> Any:
    """Open a file, as a `pyarrow.parquet.ParquetFile`.

    Raises:
        FERError: If it cannot be read as Parquet, or pyarrow is not installed.
    """
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingPackageError(
            f"'{path}' is a Parquet file, which needs pyarrow: pip install 'fer_lightning[parquet]'."
        ) from None
    try:
        if path.is_file():  # a pipe would be waited for
            with open(path, "rb") as stream:
                if stream.read(40).startswith(b"version https://git-lfs"):
                    raise FERError(f"'{path}' only says where Git LFS has the file. Fetch it: git lfs pull.")
        return parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)  # else a row group is read at once
    except Exception as error:  # of many kinds, by what is damaged
        if isinstance(error, FERError):
            raise
        raise _unreadable(path, error, 0) from None


def rows_of(path: Path, columns: Sequence[str] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number, from 1, and cells of each row.

    Args:
        path: The file.
        columns: Those to read; None reads all.

    Raises:
        FERError: If it cannot be read, also half-way.
    """
    with contextlib.closing(open_parquet(path)) as file:
        number = 0
        batches = file.iter_batches(_ROWS_AT_ONCE, columns=None if columns is None else list(columns))
        while True:
            try:
                batch = next(batches, None)
                found = [] if batch is None else batch.to_pylist()
            except Exception as error:
                raise _unreadable(path, error, number) from None
            if batch is None:
                return
            for row in found:
                number += 1
                yield number, row


def class_labels(path: Path, schema: Any) -> dict[str, Sequence[str]]:
    """The columns that hold numbers of classes, and the names of these, as Hugging Face writes them.

    They are in the file, or else in the README.md of the folder around it.

    Args:
        path: The file.
        schema: Its Arrow schema.
    """
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return {name: _texts(one["names"]) for name, one in features.items() if one.get("_type") == "ClassLabel"}
    for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
            with open(folder / "README.md", encoding="utf-8", errors="replace") as stream:
                known = yaml.safe_load(stream.read(1 << 20).split("---")[1])["dataset_info"]
            features = (known[0] if isinstance(known, list) else known)["features"]
            kinds = {one["name"]: one["dtype"] for one in features}
            return {
                name: _texts(dict(sorted(kind["class_label"]["names"].items(), key=lambda item: int(item[0]))).values())
                for name, kind in kinds.items()
                if isinstance(kind, Mapping) and "class_label" in kind
            }
    return {}


def holds_images(kind: Any) -> bool:
    """Whether a column of this Arrow type can have images: bytes, or a struct with them."""
    from pyarrow import types

    if types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def holds_texts(kind: Any) -> bool:
    """Whether a column of this Arrow type has texts or numbers."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    fits = (types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_boolean)
    return any(one(kind) for one in fits)


def text_of(value: object, names: Sequence[str] | None = None) -> str:
    """A cell as text; a number of a class by its name.

    Raises:
        ValueError: If a number is that of no class; it says so.
    """
    if value is None:
        return ""
    if names is not None and isinstance(value, int):
        if not 0 <= value < len(names):
            raise ValueError(f"unknown label {value}; expected 0 to {len(names) - 1}: {', '.join(names[:20])}")
        return names[value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value, default=str) if isinstance(value, list | dict | bool) else str(value)


def _texts(names: Any) -> Sequence[str]:
    return tuple(map(str, names))


def _unreadable(path: Path, error: Exception, rows: int) -> FERError:
    after = f" after {rows:,} rows" if rows else ""
    said = one_line(" ".join(str(error).split()), 200).rstrip(".")
    return FERError(f"Cannot read '{path}' as Parquet{after}: {said}. Is it complete?")
