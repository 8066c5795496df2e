"""The page in a bundle, with which a browser runs the model; any web server shows it."""

import gzip
from pathlib import Path

_SOURCE = Path(__file__).parents[1] / "serving" / "page"

PAGE = (
    "index.html",
    *("page.css", "page.js", "card.js", "service.js", "local.js", "worker.js", "recognize.js", "pixels.js"),
    *("ort/LICENSE", "ort/README.md", "ort/ort.wasm.min.mjs"),
    *("ort/ort-wasm-simd-threaded.mjs", "ort/ort-wasm-simd-threaded.wasm"),
)
"""What the page consists of, beside the model; `docs` is about the service."""


def write_page(folder: Path) -> None:
    """Copy the page's files, and unpack what web servers do not know to be compressed."""
    (folder / "ort").mkdir()
    for name in PAGE:
        zipped = _SOURCE / f"{name}.gz"
        content = gzip.decompress(zipped.read_bytes()) if zipped.exists() else (_SOURCE / name).read_bytes()
        (folder / name).write_bytes(content)
