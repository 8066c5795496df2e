"""Names that come from outside: of classes, runs and files; checked, or made safe, before they are used."""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable

from fer_lightning.errors import FERError

MOST_CLASSES = 1000
"""Classes that a data set or model may have."""

_LONGEST = 100
"""Bytes in UTF-8 that a name may have: a file system takes 255, and others put words before and behind it."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of control and format characters, surrogates and separators of lines."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""What Windows takes for a device, whatever its ending."""

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def complaint(name: str) -> str:
    """Why a name cannot be that of a class or a run, each of which names a folder; empty if it can."""
    if not name.strip():
        return "it is empty"
    if name in (".", ".."):
        return "it is a place, not a name"
    if any(sign in name for sign in "/\\"):
        return "it has a slash in it"
    if any(unicodedata.category(sign) in _UNSEEN - {"Cf"} for sign in name):
        return "it has a control character in it"
    if all(unicodedata.category(sign) == "Cf" for sign in name):
        return "nothing of it is to be seen"
    if name != name.strip():
        return "it has space around it"
    if len(name.encode()) > _LONGEST:
        return f"it is longer than {_LONGEST} bytes"
    if _RESERVED.fullmatch(name):
        return "Windows takes it for a device"
    if name.endswith("."):
        return "it ends with a dot, which Windows leaves out"
    return ""


def twins(names: Iterable[str]) -> tuple[str, str] | None:
    """Two of the names that a file system or a reader may take for one, if there are any.

    They are the same, or differ in case, in how letters are encoded (Unicode normalization), or in signs that are not
    to be seen.
    """
    seen: dict[str, str] = {}
    for name in names:
        shown = "".join(sign for sign in name if unicodedata.category(sign) != "Cf")
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", shown).casefold())
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None


def column(name: str, taken: Collection[str]) -> str:
    """The heading of a class's column in a table with other columns: `class:image` where `image` is one of these."""
    return f"class:{name}" if name in taken or name.startswith("class:") else name


def of_column(heading: str) -> str:
    """The class whose column has this heading; the inverse of `column`."""
    return heading.removeprefix("class:")


def cell(text: str) -> str:
    """A text for a CSV file that a spreadsheet will not take for a formula: `=1+1` as `'=1+1`; numbers stay."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def of_cell(text: str) -> str:
    """The text of which `cell` made this; any other stays as it is."""
    return text[1:] if text.startswith("'") and cell(text[1:]) == text else text


def check_name(name: str, option: str) -> str:
    """The name, if a folder can have it.

    Raises:
        FERError: If not; it says why.
    """
    if why := complaint(name):
        raise FERError(
            f"Invalid value for {option}. Expected a name that a folder can have. Received: '{one_line(name)}', {why}."
        )
    return name


def many(count: int, one: str, more: str | None = None) -> str:
    """`1 image`, `2,000 images`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def printable(text: str) -> str:
    """A text for a terminal or a log: what would move the cursor, change direction or is no UTF-8 is escaped."""
    return "".join(_escaped(sign) if unicodedata.category(sign) in _UNSEEN else sign for sign in text)


def one_line(text: str, most: int = 80) -> str:
    """The beginning of a text for a message: as `printable`, and line breaks are escaped too."""
    shown = printable(text[:most]).replace("\n", "\\n").replace("\t", "\\t")
    return shown if len(text) <= most else f"{shown}..."


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
