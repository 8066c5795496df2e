"""Files that are written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open a file beside `path` to write; it takes the place of `path` at the end, and is removed after an exception.

    Its content is on the disk (fsync) before it gets its name, so neither a kill nor a power cut leaves half a file.
    The folder is made if it is not there.

    Args:
        path: The file to replace.
        mode: `w` for text in UTF-8, `wb` for bytes.
        options: Further arguments of `open`.

    Raises:
        OSError: If the disk is full or the folder cannot be written; what stood there before still stands there.
    """
    text = {} if "b" in mode else {"encoding": "utf-8"}
    with replacing_path(path) as aside, open(aside, mode, **text | options) as stream:
        yield stream


@contextlib.contextmanager
def replacing_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As `replacing`, for what writes a file by its name: yields the name, which has the ending of `path`."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.stem}.writing-{os.getpid()}{target.suffix}")
    try:
        yield aside
        with open(aside, "rb+") as written:
            os.fsync(written.fileno())
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def replace_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file (UTF-8) in one step."""
    with replacing(path, errors="backslashreplace") as stream:
        stream.write(text)
