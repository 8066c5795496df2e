"""Figures as text, the same in pages, tables and cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def without_nan(value: Any) -> Any:
    """Plain values for JSON, which has no NaN: what could not be measured is None."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value


def figure(value: float | None, digits: int = 3, sign: str = "") -> str:
    """`0.813`, or `-` for what could not be measured; with `sign` "+", `+0.813`."""
    return "-" if value is None else f"{value:{sign}.{digits}f}"


def percent(value: float | None) -> str:
    """`81.3%`, or `-` for what could not be measured."""
    return "-" if value is None else f"{value:.1%}"


def span(low: float | None, high: float | None, digits: int = 3, sign: str = "") -> str:
    """`0.790 to 0.831`, or `no interval`."""
    return "no interval" if low is None else f"{figure(low, digits, sign)} to {figure(high, digits, sign)}"
