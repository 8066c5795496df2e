"""Templates, filled: HTML pages that open offline, Markdown, tables for the terminal."""

import base64
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from fer_lightning.data.image_files import UnreadableImageError
from fer_lightning.data.input_spec import InputSpec


def filled(template: str, **content: Any) -> str:
    """A template of this folder with its content; in HTML, text from files cannot become markup."""
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=template.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters |= {"figure": _figure, "percent": _percent, "thousands": "{:,}".format}
    pages.globals["span"] = _span
    return pages.get_template(template).render(**content)


def _figure(value: float | None, digits: int = 3, sign: str = "") -> str:
    """`0.813`, or `-` for what could not be measured; with `sign` "+", `+0.813`."""
    return "-" if value is None else f"{value:{sign}.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _span(low: float | None, high: float | None, digits: int = 3, sign: str = "") -> str:
    """`0.790 to 0.831`, or `no interval`."""
    return "no interval" if low is None else f"{_figure(low, digits, sign)} to {_figure(high, digits, sign)}"


def without_nan(value: Any) -> Any:
    """Plain values for JSON, which has no NaN: what could not be measured is None."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value


def json_text(content: Any) -> str:
    """Plain values as the text of a JSON file."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def thumbnail(path: str | os.PathLike[str], size: int = 96) -> str:
    """A small JPEG of an image file as a data URI; a blank one if the file cannot be read."""
    try:
        image = Image.fromarray(InputSpec(size).load(path).permute(1, 2, 0).numpy())
    except UnreadableImageError:
        image = Image.new("RGB", (size, size), "#e5e7eb")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return data_uri("image/jpeg", buffer.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """A file of some media type as an address that needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
