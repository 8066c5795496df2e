"""Files that are written whole or not at all, and never over what is not ours."""

import contextlib
import errno
import hashlib
import os
import platform
import shutil
import stat
import threading
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from fer_lightning.errors import FERError

_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
"""Tells the processes of machines apart that write to one disk."""

ASIDE = f".writing-{_MACHINE}-"
"""How the name of a folder begins in which files are written before they take their places."""


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
    start = f".{target.stem[:60]}.writing-{_MACHINE}-"
    _remove_left(target.parent, start, target.suffix)
    aside = target.with_name(f"{start}{os.getpid()}-{threading.get_native_id()}{target.suffix}")
    try:
        yield aside
        with open(aside, "rb+") as written:
            os.fsync(written.fileno())
        aside.replace(target)
        sync_folder(target.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing_all(folder: str | os.PathLike[str], last: str, others: Collection[str] = ()) -> Iterator[Path]:
    """Write several files of a folder (made if it is not there), all or none: yields a folder aside for them.

    They take their places once the block has ended; after an exception those that were there still are.

    Args:
        folder: Where the files belong.
        last: The one of them that is there only if all the others are, also after a kill.
        others: What goes unless it is written anew.
    """
    target, new = Path(folder), not os.path.exists(folder)
    _remove_left(target, ASIDE, "")
    aside = target / f"{ASIDE}{os.getpid()}-{threading.get_native_id()}"
    try:
        _remove(aside)
        aside.mkdir(parents=True)
        yield aside
        written = {path: target / path.relative_to(aside) for path in aside.rglob("*") if not path.is_dir()}
        for path, place in written.items():
            if place.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(place))
            with open(path, "rb+") as stream:
                os.fsync(stream.fileno())
        (target / last).unlink(missing_ok=True)
        _remove(*(target / name for name in others if not (aside / name).exists()))
        for path in sorted(written, key=lambda path: path.name == last):
            written[path].parent.mkdir(exist_ok=True)
            path.replace(written[path])
        shutil.rmtree(aside)
        sync_folder(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        if new:
            with contextlib.suppress(OSError):
                target.rmdir()
        raise


@contextlib.contextmanager
def new_folder(folder: Path, replace: bool = False) -> Iterator[Path]:
    """A folder aside to fill; it gets the name of `folder` at the end, and is removed after an exception.

    Args:
        folder: The folder to make; that above it is made too.
        replace: Whether what stands there gives way; else it has to be empty.
    """
    start = f"{folder.name}.building-{_MACHINE}-"
    own = f"{start}{os.getpid()}-{threading.get_native_id()}"  # threads write side by side
    aside, old = folder.with_name(own), folder.with_name(f"{own}.old")
    _remove(aside, old)
    try:
        aside.mkdir(parents=True)
        for suffix in ("", ".old"):
            _remove_left(folder.parent, start, suffix)
        yield aside
        if replace and os.path.lexists(folder):
            folder.rename(old)
        elif folder.is_dir():
            folder.rmdir()  # only an empty one goes
        aside.rename(folder)
    finally:
        _remove(aside, old)


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder outlast a power cut, where the system can do that."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _remove_left(folder: Path, start: str, suffix: str) -> None:
    """Remove half-written files of processes of this machine that were killed."""
    if not folder.is_dir():
        return
    for name in [name for name in os.listdir(folder) if name.startswith(start) and name.endswith(suffix)]:
        process, path = name[len(start) : len(name) - len(suffix)].partition("-")[0], folder / name
        if process.isdecimal() and int(process) != os.getpid() and not _is_running(int(process)):
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_running(process: int) -> bool:
    if os.name == "nt":  # there, this is no question but Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except (OSError, OverflowError) as error:
        return not isinstance(error, ProcessLookupError)
    return True


def no_file(path: str | os.PathLike[str]) -> str:
    """Why what is there is no file to read; empty if it is one. To read a device or a pipe may have no end.

    Raises:
        OSError: If nothing is there; a ValueError if nothing of such a name can be.
    """
    kind = os.stat(path).st_mode
    if stat.S_ISREG(kind):
        return ""
    return "it is a folder" if stat.S_ISDIR(kind) else "it is a device or a pipe, not a file"


def check_path(option: str, path: str | os.PathLike[str], kept: bool = False) -> None:
    """Make sure that a file can have such a path.

    Args:
        option: The option that names it, for messages.
        path: The path.
        kept: Whether checkpoints and configurations hold it, which are text in UTF-8.

    Raises:
        FERError: If it is empty, has a NUL in it, or is to be kept and no UTF-8.
    """
    text = os.fspath(path)
    if not text.strip() or "\0" in text:
        raise FERError(f"Invalid value for {option}. Expected a path. Received: {text[:80]!r}.")
    if kept and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise FERError(
            f"Invalid value for {option}. Expected a path in UTF-8, as checkpoints hold it. Received: {text[:200]!r}. "
            "Rename it, or use a link with another name."
        )


def check_output(
    option: str, path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = (), overwrite: bool = False
) -> Path:
    """The file to write, if writing it loses nothing.

    Args:
        option: The option that names it, for messages.
        path: The file.
        inputs: What is read, which no output may be, also by another name (a link).
        overwrite: Whether a file that is there may be replaced, as the user said.

    Raises:
        FERError: If it is one of the inputs, a folder, or there already.
    """
    check_path(option, path)
    target = Path(path).expanduser()
    for one in inputs if target.exists() else ():
        with contextlib.suppress(OSError, ValueError):
            if os.path.samefile(one, target):
                raise FERError(
                    f"Invalid value for {option}. '{path}' is what is read ('{one}'): it would be lost. Choose "
                    "another place."
                )
    if target.is_dir():
        raise FERError(f"Invalid value for {option}. Expected a file. '{path}' is a folder.")
    if target.exists() and not overwrite:
        raise FERError(
            f"Invalid value for {option}. '{path}' is there already. Choose another place, or replace it with "
            "--overwrite."
        )
    return target


def check_output_folder(
    option: str,
    path: str | os.PathLike[str],
    mark: str,
    inputs: Iterable[str | os.PathLike[str]] = (),
    overwrite: bool = False,
) -> Path:
    """The folder to write into, if that loses nothing.

    Args:
        option: The option that names it, for messages.
        path: The folder, which need not be there.
        mark: A file that is in it if we have written into it before.
        inputs: What is read, none of which may be within it.
        overwrite: Whether to write into a folder with other content, as the user said.

    Raises:
        FERError: If it is a file, holds an input, or has content that is not ours.
    """
    check_path(option, path)
    target = Path(path).expanduser()
    real = os.path.realpath(target)
    if target.exists() and not target.is_dir():
        raise FERError(f"Invalid value for {option}. Expected a folder. '{path}' is a file.")
    there = next(place for place in (target, *target.absolute().parents) if place.exists())
    if not os.access(there, os.W_OK):
        raise FERError(f"Invalid value for {option}. '{there}' may not be written. Choose another folder.")
    for place, one in _places(inputs).items():
        if is_within(place, real):
            raise FERError(
                f"Invalid value for {option}. '{path}' holds what is read ('{one}'): it might be lost. "
                "Choose another folder."
            )
    there_already = target.iterdir() if target.is_dir() and not overwrite and not (target / mark).exists() else ()
    if any(not path.name.startswith(ASIDE) for path in there_already):
        raise FERError(
            f"Invalid value for {option}. '{path}' has files in it that are not ours. Choose another folder, or write "
            "into this one with --overwrite."
        )
    return target


def is_within(path: str, folder: str) -> bool:
    """Whether a real path is that of a folder, or of something in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _places(inputs: Iterable[str | os.PathLike[str]]) -> dict[str, str]:
    """The real paths of the folders that inputs are, or are in, each with one input; of links, those of both ends."""
    found: dict[str, str] = {}
    for one in map(str, inputs):
        found.setdefault(os.path.dirname(one) or ".", one)
        if os.path.islink(one) or os.path.isdir(one):
            found.setdefault(one, one)
    return {os.path.realpath(place): one for place, one in found.items() if "\0" not in place}


def replace_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file (UTF-8) in one step."""
    with replacing(path, errors="backslashreplace") as stream:
        stream.write(text)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The digest of a file's content, 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
