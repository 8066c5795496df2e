"""The image files below a folder, and what is not taken of it."""

import os
from collections import Counter
from dataclasses import dataclass, field

from fer_lightning.data.image_files import IMAGE_SUFFIXES
from fer_lightning.names import printable

_JUNK = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
"""What systems leave behind in folders; hidden files are left out as well."""


@dataclass
class Listing:
    """What was found below a folder; folders and files by their names relative to it, with forward slashes."""

    images: dict[str, list[str]] = field(default_factory=dict)  # by folder, the image files in it, sorted
    links: int = 0  # how many of them are links to files outside
    refused: list[tuple[str, str]] = field(default_factory=list)  # files that cannot be taken, and why
    closed: list[tuple[str, str]] = field(default_factory=list)  # folders that cannot be read, and why
    others: Counter[str] = field(default_factory=Counter)  # other files, by ending


def by_ending(files: Counter[str]) -> str:
    """How many files there are of each ending, in words; the eight most frequent."""
    shown = (f"{count:,} {printable(ending[:20]) or 'without an ending'}" for ending, count in files.most_common(8))
    return ", ".join(shown)


def is_junk(name: str) -> bool:
    """Whether a file or folder is hidden, or was left behind by a system."""
    return name.startswith(".") or name in _JUNK


def list_images(root: str | os.PathLike[str], follow_links: bool = False) -> Listing:
    """Look through a folder with all that is in it.

    Args:
        root: The folder.
        follow_links: Whether links to files outside of it, and to folders, are taken.
    """
    listing = Listing()
    start = os.fspath(root)
    real_root = os.path.realpath(start).rstrip(os.sep) + os.sep
    waiting, followed = [""], {os.path.realpath(start)}
    while waiting:
        folder = waiting.pop()
        names: list[str] = []
        try:
            with os.scandir(os.path.join(start, folder)) as entries:
                for entry in entries:
                    name = entry.name
                    if is_junk(name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{folder}/{name}" if folder else name)
                        continue
                    if entry.is_symlink() and entry.is_dir():
                        inner = f"{folder}/{name}" if folder else name
                        if not follow_links:
                            why = "is a link to a folder; --data.follow_links true takes it"
                            listing.refused.append((inner, why))
                        elif (real := os.path.realpath(entry.path)) not in followed:  # else it may lead in circles
                            followed.add(real)
                            waiting.append(inner)
                        continue
                    dot = name.rfind(".")
                    ending = name[dot:].lower() if dot > 0 else ""
                    if ending not in IMAGE_SUFFIXES:
                        listing.others[ending] += 1
                        continue
                    why = "" if name.isascii() else _unspeakable(name)
                    if entry.is_symlink() and not why:
                        if not entry.is_file():
                            why = "is a link to nothing, or to a folder"
                        elif not os.path.realpath(entry.path).startswith(real_root):
                            listing.links += follow_links
                            if not follow_links:
                                why = "is a link to a file outside the folder; --data.follow_links true takes it"
                    if why:
                        listing.refused.append((f"{folder}/{name}" if folder else name, why))
                    else:
                        names.append(name)
        except OSError as error:
            listing.closed.append((folder or ".", str(error.strerror)))
        if names:
            names.sort()
            listing.images[folder] = names
    listing.refused.sort()
    return listing


def _unspeakable(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8: give the file another one"
    return ""
