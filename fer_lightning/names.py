"""Names that come from outside: of classes, runs and files; checked, or made safe, before they are used."""

import hashlib
import re
import unicodedata

from fer_lightning.errors import FERError

_LONGEST = 100
"""Bytes in UTF-8 that a name may have: a file system takes 255, and others put words before and behind it."""


def complaint(name: str) -> str:
    """Why a name cannot be that of a class or a run, each of which names a folder; empty if it can."""
    if not name.strip():
        return "it is empty"
    if name in (".", ".."):
        return "it is a place, not a name"
    if any(sign in name for sign in "/\\"):
        return "it has a slash in it"
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
        return "it has a control character in it"
    if name != name.strip():
        return "it has space around it"
    if len(name.encode()) > _LONGEST:
        return f"it is longer than {_LONGEST} bytes"
    return ""


def check_name(name: str, option: str) -> str:
    """The name, if a folder can have it.

    Raises:
        FERError: If not; it says why.
    """
    if why := complaint(name):
        shown = printable(name[:80]).replace("\n", "\\n").replace("\t", "\\t")
        raise FERError(
            f"Invalid value for {option}. Expected a name that a folder can have. Received: '{shown}', {why}."
        )
    return name


def printable(text: str) -> str:
    """A text for a terminal or a log: what would move the cursor, change direction or is no UTF-8 is escaped."""
    return "".join(_escaped(sign) if unicodedata.category(sign) in ("Cc", "Cf", "Cs") else sign for sign in text)


def file_name(path: str) -> str:
    """A name for a file about another one, wherever that is: each path has its own, of at most 100 bytes.

    A plain relative path stays readable, `a/b.jpg` as `a__b.jpg`; of others, a digest tells them apart.
    """
    readable = re.sub(r"[^\w.+@=, -]", "_", path.strip("./\\ ").replace("\\", "/").replace("/", "__"))
    plain = readable.replace("__", "/") == path and len(readable.encode()) <= _LONGEST
    if plain and "/" not in readable:
        return readable
    digest = hashlib.sha256(path.encode(errors="surrogatepass")).hexdigest()[:10]
    start = readable.encode(errors="ignore")[-_LONGEST + 11 :].decode(errors="ignore")
    return f"{digest}-{start}"


def _escaped(sign: str) -> str:
    return sign if sign in "\n\t" else sign.encode("unicode_escape", "backslashreplace").decode()
