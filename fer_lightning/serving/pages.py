"""The files of the page, and those with which it runs the model in the browser."""

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response

_FOLDER = Path(__file__).parent / "page"
_HTML, _CSS, _SCRIPT = (f"text/{kind}; charset=utf-8" for kind in ("html", "css", "javascript"))
_PAGES = {
    "/": ("index.html", _HTML),
    "/page.css": ("page.css", _CSS),
    "/docs": ("docs.html", _HTML),  # FastAPI's own loads its script from another site
    **{f"/{name}.js": (f"{name}.js", _SCRIPT) for name in ("page", "card", "docs", "service")},
    **{f"/{name}.js": (f"{name}.js", _SCRIPT) for name in ("local", "worker", "recognize", "pixels")},
}
_RUNTIME = {
    "/ort/ort.wasm.min.mjs": ("ort/ort.wasm.min.mjs", _SCRIPT),
    "/ort/ort-wasm-simd-threaded.mjs": ("ort/ort-wasm-simd-threaded.mjs", _SCRIPT),
    "/ort/ort-wasm-simd-threaded.wasm": ("ort/ort-wasm-simd-threaded.wasm.gz", "application/wasm"),
}
"""ONNX Runtime Web, which browsers keep; its large file is compressed already."""

PAGE_PATHS = (*_PAGES, *_RUNTIME)


def add_pages(app: FastAPI, browser: Mapping[str, tuple[bytes, str]]) -> None:
    """Let an application answer with the page, and with the files about the model that the page can run.

    Args:
        app: The application.
        browser: Contents and their kinds by path; empty if the page is not to run the model.
    """
    for path, (name, kind) in _PAGES.items():
        _add(app, path, (_FOLDER / name).read_bytes(), {"Content-Type": kind})
    for path, (name, kind) in _RUNTIME.items():
        _add(app, path, (_FOLDER / name).read_bytes(), _kept(kind, "public"), name.endswith(".gz"))
    for path, (content, kind) in browser.items():
        _add(app, path, content, _kept(kind, "private"))


def _kept(kind: str, whose: str) -> dict[str, str]:
    """Headers of what a browser keeps, and asks about before each use: all files are of one version."""
    return {"Content-Type": kind, "Cache-Control": f"{whose}, no-cache"}


def _add(app: FastAPI, path: str, content: bytes, headers: dict[str, str], zipped: bool = False) -> None:
    if kept := "Cache-Control" in headers:
        headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if zipped:
        headers["Vary"] = "Accept-Encoding"

    async def answer(request: Request) -> Any:
        if kept and headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if not zipped:
            return Response(content, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(content, headers=headers | {"Content-Encoding": "gzip"})
        return Response(gzip.decompress(content), headers=headers)

    app.add_api_route(path, answer, include_in_schema=False, response_model=None)
