"""Files that torch writes (zip archives), looked at before torch reads them."""

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from fer_lightning.checkpoints.finding import check_file
from fer_lightning.errors import FERError
from fer_lightning.names import printable


def check_packed(path: str | os.PathLike[str]) -> None:
    """A ValueError if an archive unfolds to more than it holds: torch stores without compression."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError("its archive is compressed, which torch's never is")
        if sum(entry.file_size for entry in archive.infolist()) > os.stat(path).st_size:
            raise ValueError("its archive says that it holds more than there is")


def load_plain(path: str | os.PathLike[str]) -> Any:
    """What torch saved: tensors and plain values, on the CPU, without running code from the file.

    Raises:
        FERError: If it cannot be read, or holds anything else.
    """
    check_file(path)
    try:
        if zipfile.is_zipfile(path):
            check_packed(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about forms of tensors that are refused later
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise _refused(path, "it says that it holds more than fits into memory") from None
    except Exception as error:  # whatever torch's reader raises for bytes that are no archive, or a hostile one
        raise _refused(path, _reason(error)) from None


def _refused(path: str | os.PathLike[str], reason: str) -> FERError:
    what, also = "weights", ""
    if Path(path).suffix == ".ckpt":
        what, also = "checkpoint", ", such as last.ckpt or best.ckpt of the same run"
    return FERError(
        f"Cannot read the {what} '{path}': damaged, incomplete or of another kind ({reason}). Use another one{also}."
    )


def _reason(error: Exception) -> str:
    said = printable(str(error).strip().partition("\n")[0].partition(". ")[0])
    return said[:200] or type(error).__name__
