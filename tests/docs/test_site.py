"""The documentation as a site: built without a warning, and read in a real browser without a server or a network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.browsers import chromium
from tests.conftest import PROJECT
from tests.docs.pages import DOCS

MISSING = [name for name in ("mkdocs", "material", "mkdocstrings") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason="the documentation is not built here: pip install -e '.[docs]'")

SOME = ("index", "results", "experiments", "security", "how_to/predict", "tutorials/own_folder")
"""Pages with pictures, code, and the widest tables."""


def build(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(config),
        "--site-dir",
        str(folder),
    ]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(PROJECT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def test_nothing_is_loaded_from_elsewhere(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?([^\"'\s>]+)", text)
        loaded += re.findall(
            r"<link\b[^>]*rel=[\"']?(?:stylesheet|icon|preconnect|preload)[^>]*href=[\"']?([^\"'\s>]+)", text
        )
        assert loaded
        assert not [name for name in loaded if name.startswith(("http:", "https:", "//"))], path


def test_files_of_the_repository_are_pages(site):
    security, changes = ((site / name).read_text(encoding="utf-8") for name in ("security.html", "changelog.html"))
    assert "torch.load(weights_only=True)" in security
    assert 'href="data.html"' in changes
    assert 'href="security.html"' in changes
    assert not list(site.rglob("*.py"))


@pytest.mark.slow
def test_a_broken_link_fails_the_build_and_docstrings_become_pages(tmp_path):
    """The settings of mkdocs.yml, over two pages."""
    settings = yaml.safe_load((PROJECT / "mkdocs.yml").read_text(encoding="utf-8"))
    settings |= {"docs_dir": str(tmp_path / "pages"), "nav": None, "hooks": [str(DOCS / "hooks.py")]}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text("# One\n\n::: fer_lightning.ExpressionRecognizer\n", encoding="utf-8")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'id="fer_lightning.ExpressionRecognizer.predict"' in text
    for link in ("[two](two.md)", "[two](#two)"):
        (tmp_path / "pages" / "index.md").write_text(f"# One\n\n{link}\n", encoding="utf-8")
        assert "two" in (done := build(tmp_path / "mkdocs.yml", tmp_path / "site")).stderr
        assert done.returncode != 0


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_pages_in_a_browser(site, browser, scheme, width):
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    asked, wrong = [], []
    context.on("request", lambda request: asked.append(request.url))
    context.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    page = context.new_page()
    for name in SOME:
        page.goto(f"file://{site}/{name}.html")
        page.locator("h1").first.wait_for()
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) == 0, name
        broken = "[...document.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src)"
        assert page.evaluate(broken) == []
        shown = page.evaluate("document.body.dataset.mdColorScheme")
        assert shown == {"light": "default", "dark": "slate"}[scheme]
    context.close()
    assert wrong == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}


@pytest.mark.browser
@pytest.mark.slow
def test_the_search_works_without_a_server(site, browser):
    context = browser.new_context(offline=True)
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"file://{site}/how_to/predict.html")  # not in the first folder: the index is found from any page
    page.keyboard.press("/")
    page.keyboard.type("quantize int8")
    found = page.locator(".md-search-result__link", has_text="Export").first
    found.wait_for(timeout=30_000)
    found.click()
    page.wait_for_url("**/how_to/export.html*")
    assert page.locator("h1").inner_text().startswith("Export")
    context.close()
    assert wrong == []
