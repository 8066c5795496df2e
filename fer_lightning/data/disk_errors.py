"""What a full or closed disk means for prepared data, in plain words."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from fer_lightning.errors import FERError


@contextlib.contextmanager
def explained(folder: str | os.PathLike[str], need: str, instead: str = "") -> Iterator[None]:
    """Turn an OSError of the block into a FERError.

    Args:
        folder: Where is written.
        need: What for, such as `the image folders are built`.
        instead: What else can be done, if anything.
    """
    try:
        yield
    except OSError as error:
        hint = f"Choose another place with --data.prepared_dir DIR{instead}."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FERError(f"The disk is full: {need} in '{folder}'. {hint} Nothing half-built was left.") from None
        raise FERError(f"Cannot write to '{error.filename or folder}' ({error.strerror}). {hint}") from None
