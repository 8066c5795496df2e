"""Templates, filled: HTML pages that open offline, Markdown, tables for the terminal."""

import base64
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from fer_lightning.data.image_files import UnreadableImageError
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.names import printable
from fer_lightning.screen import wrapped


def filled(template: str, **content: Any) -> str:
    """A template of this folder with its content.

    Text from files cannot become markup in HTML and Markdown, nor move the cursor of a terminal, whose lines are short.
    """
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=template.endswith(".html"),
        finalize=_plain if template.endswith(".md") else None,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters |= {
        "figure": _figure,
        "percent": _percent,
        "thousands": "{:,}".format,
        "code": _code,
        "options": _options,
    }
    pages.globals |= {"span": _span, "zip": zip}
    text = pages.get_template(template).render(**content)
    return wrapped(printable(text)) if template.endswith(".txt") else text


def _plain(value: Any) -> Any:
    """A text that Markdown shows as it is, on one line; `code` and `fenced` make texts that are marked up already."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub(r"[\\`*<>\[\]|&$]", r"\\\g<0>", printable(value.replace("\n", " ")))


def _code(value: str) -> Markup:
    """A text as code in Markdown, within a line or a table."""
    shown = printable(value).replace("\n", " ").replace("|", "\\|")
    mark = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    space = " " if "`" in shown else ""
    return Markup(f"{mark}{space}{shown}{space}{mark}")  # noqa: S704 (it is no HTML)


def _options(text: str) -> Markup:
    """A text for HTML whose options, as `--data.root`, are code that no line break divides."""
    marked = re.sub(r"--\w[\w.]*\w", r'<code class="option">\g<0></code>', str(escape(text)))
    return Markup(marked)  # noqa: S704 (escaped above)


def fenced(text: str, language: str) -> Markup:
    """A text of several lines as a block of code in Markdown."""
    mark = "`" * max(3, max(map(len, re.findall("`+", text)), default=0) + 1)
    return Markup(f"{mark}{language}\n{text}\n{mark}")  # noqa: S704 (it is no HTML)


def _figure(value: float | None, digits: int = 3, sign: str = "") -> str:
    """`0.813`, or `-` for what could not be measured; with `sign` "+", `+0.813`."""
    return "-" if value is None else f"{value:{sign}.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _span(low: float | None, high: float | None, digits: int = 3, sign: str = "", why: str = "") -> str:
    """`0.790 to 0.831`, or `no interval` and why."""
    if low is None or high is None:
        return f"no interval: {why}" if why else "no interval"
    return f"{_figure(low, digits, sign)} to {_figure(high, digits, sign)}"


def without_nan(value: Any) -> Any:
    """Plain values for JSON, which has neither NaN nor infinity: what could not be measured is None."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
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
