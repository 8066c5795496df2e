"""Templates, filled: HTML pages that open offline, Markdown."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from fer_lightning.data.input_spec import InputSpec, UnreadableImageError
from fer_lightning.reports.figures import figure, percent, span


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
    pages.filters |= {"figure": figure, "percent": percent, "thousands": "{:,}".format}
    pages.globals["span"] = span
    return pages.get_template(template).render(**content)


def thumbnail(path: str | os.PathLike[str], size: int = 96) -> str:
    """A small JPEG of an image file as a data URI; a blank one if the file cannot be read."""
    try:
        image = Image.fromarray(InputSpec(size).load(path).permute(1, 2, 0).numpy())
    except UnreadableImageError:
        image = Image.new("RGB", (size, size), "#e5e7eb")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
