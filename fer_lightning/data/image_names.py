"""Which names are files inside an image folder."""

import os
import posixpath
import re
import unicodedata
from pathlib import Path, PureWindowsPath

_DETOUR = re.compile(r"[\\:]|^/|//|(^|/)\.\.?(/|$)|/$")
"""In names that may be no plain way down; to take each apart would take most of the time for a million."""


class ImageNames:
    """Answers 'is this name a file inside the image folder?', listing every folder only once.

    Args:
        image_dir: The folder that names are relative to.
        follow_links: Whether a link to a file outside counts as a file that is there, and what is behind one.

    Attributes:
        linked: How many names were links to files outside.
    """

    def __init__(self, image_dir: Path, follow_links: bool = False) -> None:
        self._root, self._follow_links, self.linked = image_dir, follow_links, 0
        self._real_root = os.path.realpath(image_dir)
        self._listings: dict[str, tuple[dict[str, str | None], dict[str, str]] | str] = {}

    def find(self, name: str) -> tuple[str, str]:
        """The name without detours such as `a/../b`, and what is wrong with it; the latter is empty if it is fine."""
        if _DETOUR.search(name):
            windows = PureWindowsPath(name)
            if name.startswith("/") or windows.is_absolute() or windows.drive or ".." in windows.parts:
                return name, f"the image name '{name}' leaves the image folder"
            name = posixpath.normpath(name)
        why = self.check(name)
        if why and not name.isascii():  # macOS writes accents in another encoding than everybody else
            for form in ("NFC", "NFD"):
                other = unicodedata.normalize(form, name)
                if other != name and not self.check(other):
                    return other, ""
        return name, f"the image '{name}' {why}" if why else ""

    def check(self, name: str) -> str | None:
        """The complaint about `name`, or None if it is fine."""
        folder, _, base = name.rpartition("/")
        if folder not in self._listings:
            self._listings[folder] = self._list(folder)
        listing = self._listings[folder]
        if isinstance(listing, str):
            return listing
        complaints, lowered = listing
        if base in complaints:
            return complaints[base]
        twin = lowered.get(base.lower())
        hint = f" (there is '{twin}': upper and lower case differ)" if twin else ""
        return f"is not a file in '{self._root}'{hint}"

    def _list(self, folder: str) -> tuple[dict[str, str | None], dict[str, str]] | str:
        """The complaint about each file of a folder, and each by its name in lower case; or that about the folder."""
        if "\0" in folder:
            return "has a name that no file can have"
        here = os.path.join(self._root, folder) if folder else os.fspath(self._root)
        if not self._follow_links and not self._inside(here):
            return "lies behind a link that leaves the image folder; --data.follow_links true takes it"
        listing: dict[str, str | None] = {}
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if not entry.name.isascii() and any("\ud800" <= sign <= "\udfff" for sign in entry.name):
                        listing[entry.name] = "has a name that is not UTF-8: give the file another one"
                    elif entry.is_symlink() and not self._inside(entry.path):
                        if not self._follow_links:
                            listing[entry.name] = (
                                "is a link to a file outside the image folder; --data.follow_links true takes it"
                            )
                        elif entry.is_file():
                            listing[entry.name] = None
                            self.linked += 1
                    elif entry.is_file():
                        listing[entry.name] = None
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            return f"is in a folder that cannot be read: {error.strerror}"
        return listing, {name.lower(): name for name in listing}

    def _inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep)
