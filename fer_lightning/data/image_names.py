"""Is a legend's image name a file inside the image folder?"""

from __future__ import annotations

import os
from pathlib import Path


class ImageNames:
    """Answers 'is this name a file inside the image folder?', listing every folder only once."""

    def __init__(self, image_dir: Path) -> None:
        self._root = image_dir
        self._real_root = os.path.realpath(image_dir)
        self._listings: dict[str, dict[str, str | None] | None] = {}
        self._lowered: dict[str, dict[str, str]] = {}

    def check(self, name: str) -> str | None:
        """The complaint about `name`, or None if it is fine."""
        folder, _, base = name.rpartition("/")
        if folder not in self._listings:
            self._listings[folder] = self._list(folder)
        listing = self._listings[folder]
        if listing is None:
            return "lies behind a link that leaves the image folder"
        if base in listing:
            return listing[base]
        if folder not in self._lowered:  # once a folder, as thousands of names may be missing
            self._lowered[folder] = {other.lower(): other for other in listing}
        twin = self._lowered[folder].get(base.lower())
        hint = f" (there is '{twin}': upper and lower case differ)" if twin else ""
        return f"is not a file in '{self._root}'{hint}"

    def _list(self, folder: str) -> dict[str, str | None] | None:
        """The complaint about each file of a folder; None for a folder that is not inside the image folder."""
        here = os.path.join(self._root, folder) if folder else os.fspath(self._root)
        if not self._inside(here):
            return None
        listing: dict[str, str | None] = {}
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_symlink() and not self._inside(entry.path):
                        listing[entry.name] = "is a link to a file outside the image folder"
                    elif entry.is_file():
                        listing[entry.name] = None
        except (FileNotFoundError, NotADirectoryError):
            pass
        return listing

    def _inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep)
