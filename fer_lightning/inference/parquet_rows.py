"""Rows as Parquet: their schema, and what a file says that it was made with."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_lightning.errors import MissingPackageError
from fer_lightning.inference.begun_rows import escaped
from fer_lightning.inference.columns import TEXT

GROUP = 10_000
"""Rows that go into a file together."""


def pyarrow() -> Any:
    """The package with its module for Parquet; an FERError if it is missing."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingPackageError("Parquet files need pyarrow: pip install pyarrow.") from None
    return pyarrow


def parquet_schema(columns: Sequence[str], settings: dict[str, Any]) -> Any:
    """The columns with their types, and the settings for `parquet_settings`."""
    arrow = pyarrow()
    kinds = {name: arrow.string() if name in TEXT else arrow.float64() for name in columns}
    kinds |= dict.fromkeys(("frame", "face"), arrow.int64())
    return arrow.schema(list(kinds.items()), metadata={"fer_lightning": json.dumps(settings)})


def parquet_table(rows: Sequence[dict[str, Any]], schema: Any) -> Any:
    """Rows as a table; file names that are no UTF-8 are escaped."""
    told = [row | {name: escaped(row[name] or "") or None for name in TEXT} for row in rows]
    return pyarrow().Table.from_pylist(told, schema)


def parquet_settings(path: Path) -> str:
    """What a Parquet file says that it was made with; empty if it is not ours."""
    try:
        said = pyarrow().parquet.read_schema(path).metadata or {}
    except Exception:  # damaged, or something else
        return ""
    return str(said.get(b"fer_lightning", b"").decode(errors="replace"))
