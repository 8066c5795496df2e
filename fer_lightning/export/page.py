"""The page in a bundle, with which a browser runs the model; any web server shows it."""

import gzip
import shutil
from pathlib import Path

_SOURCE = Path(__file__).parents[1] / "serving" / "page"

PAGE = (
    "index.html",
    *("page.css", "page.js", "card.js", "service.js", "local.js", "worker.js", "recognize.js"),
    "ort",
)
"""What the page consists of, beside the model; `docs` is about the service."""


def write_page(folder: Path) -> None:
    """Copy the page's files, and unpack what web servers do not know to be compressed."""
    for name in PAGE:
        if (source := _SOURCE / name).is_dir():
            shutil.copytree(source, folder / name)
        else:
            (folder / name).write_bytes(source.read_bytes())
    for zipped in (folder / "ort").glob("*.gz"):
        zipped.with_suffix("").write_bytes(gzip.decompress(zipped.read_bytes()))
        zipped.unlink()
