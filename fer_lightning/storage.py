"""Files at addresses (s3://, gs://, http://, ...), through fsspec: with time-outs, retries, and names in errors."""

import contextlib
import errno
import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.files import replacing_path
from fer_lightning.names import printable

CONNECT, SILENT = 10.0, 15.0
"""Seconds after which a server that cannot be reached, or says nothing, is tried again."""

PAUSES = (0.5, 1.0, 2.0)
"""Seconds before another try."""

_FINAL = (IsADirectoryError, NotADirectoryError, NotImplementedError, ValueError, TypeError)
"""What another try would not change."""

_HIDDEN_WORDS = (
    "token|secret|key|credential|passw|pwd|jwt|signature|(?<![a-z])(?:sig|o?auth)|(?-i:(?:Sig|Auth)(?![a-z]))"
)
_HIDDEN = rf"[\w.%-]*?(?:{_HIDDEN_WORDS})[\w.%-]*="
"""Names of what a query says that only its user is to know: words that are in them, and `=`."""

_Answer = TypeVar("_Answer")


class StorageError(FERError):
    """What is at an address cannot be had, or not be put there; `reason` says why, without the address."""

    def __init__(self, reason: str, shown: str = "") -> None:
        super().__init__(f"'{shown}': {reason}." if shown else reason)
        self.reason = reason


class ObjectNotFoundError(StorageError):
    """There is nothing at an address."""


def is_address(text: str | os.PathLike[str]) -> bool:
    """Whether a text is an address of storage and not a path: a scheme, `://` and a rest."""
    return isinstance(text, str) and re.match(r"[A-Za-z][\w+.-]+(::[\w+.-]+)*://", text) is not None


def without_secret(text: str) -> str:
    """An address without user name, password and signature, to be shown and written; any other text as it is."""
    if not is_address(text):
        return text
    text = re.sub(r"://[^/?#]*@", "://", text)
    text = re.sub(r"://[^/?#@:\[]*:(?!\d*(?:[/?#]|$))[^@?#]*@", "://", text)  # a password with a slash, and no port
    start, found, query = re.split(r"([?#])", text, maxsplit=1) if re.search("[?#]", text) else (text, "", "")
    return start + found + re.sub(rf"(?i)((?:^|(?<=[?&;#])){_HIDDEN})[^&#]+", r"\1...", query)


def joined(address: str, *names: str) -> str:
    """The address, or path, of something within a folder."""
    return "/".join([address.rstrip("/"), *names])


def read(address: str) -> bytes:
    """What is at an address or path, whole; errors as of `tried`."""
    return tried(address, lambda system, path: bytes(system.cat_file(path)))


def write(address: str, content: bytes) -> None:
    """Put bytes there, all or nothing where storage works like S3; errors as of `tried`."""
    tried(address, lambda system, path: _piped(system, path, content))


def fetch(address: str, target: str | os.PathLike[str], size: int | None = None) -> None:
    """Copy what is there to a file, which is there whole or not at all.

    Args:
        address: The address or path.
        target: The file; its folder is made.
        size: Bytes that it has to have, where that is known: a connection may end early.

    Raises:
        FERError: As of `tried`.
    """

    def work(system: Any, path: str) -> None:
        with replacing_path(target) as aside:
            system.get_file(path, os.fspath(aside))
            found = os.path.getsize(aside)
            if size is not None and found != size:
                raise EOFError(f"{found:,} bytes came, of {size:,}")

    tried(address, work)


def put(source: str | os.PathLike[str], address: str) -> None:
    """Copy a file there; errors as of `tried`."""

    def work(system: Any, path: str) -> None:
        _make_folder(system, path)
        system.put_file(os.fspath(source), path)

    tried(address, work)


def exists(address: str) -> bool:
    """Whether there is something at an address or path; errors as of `tried`."""

    def work(system: Any, path: str) -> bool:
        try:
            system.info(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    return tried(address, work)


def listing(address: str) -> dict[str, tuple[int, str]]:
    """The files below an address: their names from there on, each with its size in bytes and a mark of its version.

    Raises:
        FERError: As of `tried`.
    """

    def work(system: Any, path: str) -> dict[str, tuple[int, str]]:
        start = path.rstrip("/") + "/"
        system.invalidate_cache()
        found = system.find(path, detail=True)
        return {
            name.removeprefix(start): _mark(about)
            for name, about in found.items()
            if name.startswith(start) and not name.endswith("/") and about.get("type") != "directory"
        }

    return tried(address, work)


def mark(address: str) -> tuple[int, str]:
    """The size of a file in bytes, and a mark of its version, empty if it has none; errors as of `tried`."""
    if address.lower().startswith(("http://", "https://")):  # of what such a server says, fsspec keeps too little
        return tried(address, lambda _, path: _head(path))
    return tried(address, lambda system, path: _mark(system.info(path)))


def _head(address: str) -> tuple[int, str]:
    import urllib.error
    import urllib.request

    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 (http or https)
    try:
        with urllib.request.urlopen(request, timeout=SILENT) as answer:  # noqa: S310
            said = answer.headers
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            raise FileNotFoundError(address) from None
        if error.code in (401, 403):
            raise PermissionError(f"the server answers {error.code}") from None
        raise
    return int(said.get("Content-Length") or 0), said.get("ETag") or said.get("Last-Modified") or ""


def _mark(about: dict[str, Any]) -> tuple[int, str]:
    known = ("ETag", "etag", "md5Hash", "LastModified", "updated", "mtime", "created")
    return int(about.get("size") or 0), next((str(about[name]) for name in known if about.get(name)), "")


def matching(pattern: str) -> list[str]:
    """The addresses that a pattern with `*`, `?` or `[...]` stands for, sorted; errors as of `tried`."""

    def work(system: Any, path: str) -> list[str]:
        system.invalidate_cache()
        found = system.glob(path)
        return sorted(system.unstrip_protocol(name) for name in found)

    return tried(pattern, work)


def remove(address: str) -> None:
    """Remove a file if it is there; errors as of `tried`."""

    def work(system: Any, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            system.rm_file(path)

    tried(address, work)


def tried(address: str, action: Callable[[Any, str], _Answer]) -> _Answer:
    """Do something with the file system of an address: again, after pauses, where the connection is to blame.

    Args:
        address: The address or path.
        action: Takes the fsspec file system, and the path in it.

    Raises:
        ObjectNotFoundError: If nothing is there.
        StorageError: If it may not be had, or the last try fails as well.
        MissingPackageError: If the package for its kind is missing.
        OSError: If this machine's own disk is full, or a path on it cannot be used.
    """
    shown = printable(without_secret(os.fspath(address)))
    for pause in (*PAUSES, None):
        try:
            return action(*_opened(address))
        except FERError:
            raise
        except Exception as error:  # whatever fsspec's many implementations, and the libraries below them, raise
            here = not is_address(address) and not isinstance(error, FileNotFoundError)
            if isinstance(error, OSError) and (here or error.errno in (errno.ENOSPC, errno.EDQUOT)):
                raise  # of this machine's own disk
            if refusal := _refusal(error, address, shown):
                raise refusal from None
            if pause is None:
                raise StorageError(f"it cannot be had, in {len(PAUSES) + 1} tries: {_said(error)}", shown) from None
            time.sleep(pause)
    raise AssertionError


def _refusal(error: Exception, address: str, shown: str) -> FERError | None:
    """What to say of what another try would not change; None where the connection may be to blame."""
    if isinstance(error, ImportError):
        return _missing(address, error)
    if isinstance(error, FileNotFoundError):
        return ObjectNotFoundError("there is nothing", shown)
    if isinstance(error, PermissionError):
        return StorageError(f"it may not be used ({_said(error)}): look at the credentials", shown)
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
        return StorageError("it needs credentials, and there are none", shown)
    return StorageError(f"it cannot be used ({_said(error)})", shown) if isinstance(error, _FINAL) else None


def _opened(address: str) -> tuple[Any, str]:
    """The file system of an address and the path in it, as this process may use it: fsspec keeps one a process."""
    import fsspec

    options: dict[str, Any] = {}
    scheme = address.partition("://")[0].lower() if is_address(address) else ""
    if scheme in ("http", "https"):
        import aiohttp

        options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(sock_connect=CONNECT, sock_read=SILENT)}
    elif scheme in ("s3", "s3a") and "config_kwargs" not in fsspec.config.conf.get("s3", {}):
        options["config_kwargs"] = {
            "connect_timeout": CONNECT,
            "read_timeout": SILENT,
            "retries": {"max_attempts": 1},  # as tries are counted here
        }
    system, path = fsspec.core.url_to_fs(address, **options)
    if scheme in ("s3", "s3a"):
        system.retries = 1
    return system, path


def _make_folder(system: Any, path: str) -> None:
    """Make the folder of a file, where there are folders: with S3 and its like, that would make a bucket."""
    kinds = {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)
    if not kinds & {"s3", "gs", "gcs", "abfs", "az", "hf"}:
        folder = path.rpartition("/")[0]
        try:
            system.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise FERError(f"The folder '{printable(folder)}' cannot be made: {_said(error)}.") from None


def _piped(system: Any, path: str, content: bytes) -> None:
    _make_folder(system, path)
    system.pipe_file(path, content)


def _missing(address: str, error: ImportError) -> MissingPackageError:
    scheme = address.partition("://")[0]
    packages = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
    package = packages.get(scheme, error.name or "a package of fsspec's")
    return MissingPackageError(f"Addresses as {scheme}:// need {package}: pip install {package}.")


def _said(error: BaseException) -> str:
    """What an exception says, in a line without secrets."""
    if isinstance(error, TimeoutError) or "timeout" in type(error).__name__.lower():
        return f"the server said nothing for {SILENT:.0f} seconds"
    said = str(error) or str(error.__cause__ or "") or type(error).__name__
    said = re.sub(r"\w[\w+.-]*://\S+", lambda found: without_secret(found[0]), " ".join(said.split()))
    return printable(said)[:200].rstrip(".")


def local_copies(address: str, folder: Path) -> Path:
    """The folder, in another, in which copies of what is at an address are kept."""
    name = re.sub(r"[^\w-]+", "_", without_secret(address).partition("?")[0].rstrip("/").rpartition("/")[2]) or "data"
    return folder / f"{name[:60]}-{hashlib.sha256(address.rstrip('/').encode()).hexdigest()[:8]}"
