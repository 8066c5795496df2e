"""What the site does with files of the repository that lie outside of docs/ (mkdocs calls these functions)."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WHOLE = {"security.md": "SECURITY.md", "changelog.md": "CHANGELOG.md"}
"""Pages that are a file of the repository. On a forge these pages only lead there."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the file in the place of the page; its links start from the root, the page's from docs/."""
    if page.file.src_uri not in WHOLE:
        return markdown
    text = (ROOT / WHOLE[page.file.src_uri]).read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/", "](", text)
    for name, source in WHOLE.items():
        text = text.replace(f"]({source}", f"]({name}")
    # Other files of the repository (the license, a model card) are no pages: their names stay, as text.
    return re.sub(r"\[([^]]+)\]\((?!https?:|#|[\w/]+\.md)[^)]*\)", r"\1", text)
