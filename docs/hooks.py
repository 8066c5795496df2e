"""What the site does with files of the repository that lie outside of docs/ (mkdocs calls this function)."""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
WHOLE = {"security.md": "SECURITY.md", "changelog.md": "CHANGELOG.md"}
"""Pages that are a file of the repository. On a forge these pages only lead there."""

PAGES = {source: page for page, source in WHOLE.items()}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the file in the place of the page."""
    source = WHOLE.get(page.file.src_uri)
    if source is None:
        return markdown
    return re.sub(r"\[([^]]+)\]\(([^)\s]+)\)", _link, (DOCS.parent / source).read_text(encoding="utf-8"))


def _link(found: re.Match[str]) -> str:
    """A link of such a file starts from the root, one of a page from docs/; what is no page stays as text."""
    text, target = found.groups()
    if target.startswith(("http:", "https:", "#")):
        return found[0]
    name, mark, anchor = target.partition("#")
    name = PAGES.get(name, name.removeprefix("docs/"))
    return f"[{text}]({name}{mark}{anchor})" if (DOCS / name).is_file() else text
