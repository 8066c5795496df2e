"""Weights in a repository of a model hub, `hf://owner/name[@revision]`: downloaded once, and nothing else of it."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.names import printable

SCHEME = "hf://"
"""How the address of a repository begins."""

_ADDRESS = re.compile(r"hf://([\w.-]{1,96}/[\w.-]{1,96})(?:@([\w./-]{1,200}))?", re.ASCII)


_DOWNLOADED = re.compile(r"/models--([^/]+?)--([^/]+)/snapshots/([0-9a-f]{40})$")
"""Where huggingface_hub's cache keeps the files of a commit."""


def downloaded(address: str, option: str, files: Sequence[str]) -> Path:
    """The last of some files of a repository in huggingface_hub's cache, where the others lie beside it.

    All are of one revision, that of the first, and nothing else is downloaded. Without a network, what was downloaded
    before is used.

    Raises:
        FERError: If it is no such address, huggingface_hub is missing, or a file cannot be had.
    """
    match = _ADDRESS.fullmatch(address)
    if not match:
        raise FERError(
            f"Invalid value for {option}. Expected hf://owner/name, or hf://owner/name@revision. Received: "
            f"{printable(address[:200])}."
        )
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # nothing here reports home
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise MissingPackageError(f"'{address}' needs huggingface_hub: pip install 'fer_lightning[hub]'.") from None
    repository, revision = match.groups()
    path = Path()
    for name in files:
        try:
            path = Path(hf_hub_download(repository, name, revision=revision))
        except Exception as error:  # its own, its HTTP client's and the system's have no base class in common
            raise _cannot(address, name, error) from None
        revision = path.parent.name  # the commit: a repository may change between two files
    return path


def address_of(path: Path) -> str:
    """The address of a downloaded file, with the commit that it is of; empty for any other file."""
    found = _DOWNLOADED.search(path.absolute().parent.as_posix())
    return f"{SCHEME}{found[1]}/{found[2]}@{found[3]}" if found else ""


def _cannot(address: str, name: str, error: Exception) -> FERError:
    """What to do about a file that could not be downloaded."""
    from huggingface_hub import errors

    if isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError | errors.HFValidationError):
        why = "There is no such repository or revision for you. If it is private, log in first: hf auth login"
    elif isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        why = f"It has no {name}. Expected a repository of a folder that export --hub wrote"
    elif isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        why = "The hub cannot be reached, and it was not downloaded before. Try again with a network, or give a folder"
    else:
        said = " ".join(printable(str(error)).split())[:200].rstrip(".")
        why = f"{type(error).__name__}: {said}"
    return FERError(f"Cannot get {name} of '{address}'. {why}.")
