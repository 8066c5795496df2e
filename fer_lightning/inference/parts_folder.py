"""A folder of Parquet parts, on a disk or at an address (s3://bucket/rows): begun with settings, ended with a mark."""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fer_lightning import storage
from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.files import check_path, replacing, sync_folder
from fer_lightning.inference.begun_rows import differences
from fer_lightning.names import printable

SETTINGS, ENDED = "_settings.json", "_SUCCESS"
"""What the parts are made with, there from the beginning; how many there are, there at the end.

Readers of Parquet leave out what begins like that.
"""

_OF_ONE_PROCESS = ("memory", "http", "https", "data")
"""Kinds of addresses that other processes do not see, or that nobody can write to."""


class PartsFolder:
    """Where the parts go; it can be sent to other machines, which write to the same place.

    Args:
        output: A folder, which need not be there, or an address that fsspec knows.

    Raises:
        FERError: If there can be no such folder, or a package for its kind of address is missing.
    """

    def __init__(self, output: str) -> None:
        check_path("--output", output)
        kind, _, rest = output.partition("://")
        self.is_address = storage.is_address(output) and kind.lower() not in ("file", "local")
        path = rest if storage.is_address(output) else output
        self.name = output if self.is_address else os.path.abspath(os.path.expanduser(path))
        if self.is_address and kind.lower() in _OF_ONE_PROCESS:
            raise FERError(
                f"Invalid value for --output. Expected a folder, or an address that can be written to, as "
                f"s3://bucket/rows. Received: {printable(output)}."
            )
        if not self.is_address and re.search(r"\.(csv|jsonl|parquet)$", output, re.IGNORECASE):
            raise FERError(
                "Invalid value for --output. With --engine ray, it is a folder (or an address, as s3://bucket/rows) "
                f"for parts in Parquet. Received: {printable(output)}."
            )
        if self.is_address:
            self._check_kind(kind.lower())

    def _check_kind(self, kind: str) -> None:
        import fsspec  # torch depends on it

        try:
            fsspec.get_filesystem_class(kind)
        except ImportError as error:
            raise MissingPackageError(f"--output needs another package: {error}.") from None
        except ValueError as error:
            raise FERError(f"Invalid value for --output. '{self.shown}' is no address: {error}.") from None

    @property
    def shown(self) -> str:
        """Its name, without what only its user is to know."""
        return printable(storage.without_secret(self.name))

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        """One message where the folder cannot be used."""
        try:
            yield
        except (OSError, storage.StorageError) as error:
            why = error.reason if isinstance(error, storage.StorageError) else error.strerror or error
            raise FERError(f"Cannot use '{self.shown}' (--output): {why}. Put that right, or choose another.") from None

    def names(self) -> set[str]:
        """The names of what is in the folder; nothing if it is not there."""
        if not self.is_address and os.path.isfile(self.name):
            raise FERError(f"Invalid value for --output. Expected a folder. '{self.shown}' is a file.")
        with self._used():
            return set(storage.listing(self.name))

    def read(self, name: str) -> str:
        """The text of a small file; empty if there is none."""
        with self._used():
            try:
                return storage.read(storage.joined(self.name, name)).decode(errors="replace")
            except storage.ObjectNotFoundError:
                return ""

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all, whoever else writes the same."""
        path = storage.joined(self.name, name)
        with self._used():
            if self.is_address:
                storage.write(path, content)
                return
            with replacing(path, "wb") as stream:
                stream.write(content)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that are gone already are no mistake."""
        with self._used():
            for name in names:
                storage.remove(storage.joined(self.name, name))

    def begin(self, settings: dict[str, Any], parts: Iterable[str], overwrite: bool) -> set[str]:
        """Begin the folder, or go on with one that was begun with the same settings: the names of the parts it has.

        Raises:
            FERError: If something else is there.
        """
        there, expected = self.names(), set(parts)
        before = _dictionary(self.read(SETTINGS)) if SETTINGS in there else {}
        ours = "fer_lightning" in before
        old = {name for name in there if re.fullmatch(r"part-\d+-of-\d+\.parquet", name)} if ours else set()
        known = old | ({SETTINGS, ENDED} if ours else {ENDED})
        others = {name for name in there - known if not name.startswith(".")}
        if (others and not ours) or any(name.endswith(".parquet") for name in others):
            raise FERError(
                f"Invalid value for --output. '{self.shown}' has files in it that are not ours, as "
                f"'{printable(min(others))}': who reads the folder would read them, too. Choose another one."
            )
        now = dict(json.loads(json.dumps(settings, default=str)))
        if old and not overwrite:
            if differing := differences(before, now):
                raise FERError(
                    f"'{self.shown}' is there already, made with other settings or input "
                    f"({', '.join(differing)}). Choose another --output, or replace it with --overwrite."
                )
            if done := there & expected:
                return done
        self.remove(sorted(name for name in (ENDED, *sorted(old)) if name in there))
        self.write(SETTINGS, (json.dumps(now, indent=2) + "\n").encode())
        return set()

    def end(self, parts: Iterable[str], images: int) -> None:
        """Make sure that all parts are there and nothing else is, and say so in the folder.

        Raises:
            FERError: If parts are missing.
        """
        there, expected = self.names(), set(parts)
        if missing := sorted(expected - there):
            raise FERError(
                f"{len(missing):,} of {len(expected):,} parts are not in '{self.shown}', as '{missing[0]}': "
                "they were removed, or written by a machine that does not share this folder. Choose one that all "
                "share, or an address, and try again."
            )
        if not self.is_address:
            left = [name for name in there if name.startswith(".part-") and ".writing-" in name]
            self.remove(left)  # of processes that were killed
            sync_folder(Path(self.name))
        told = {"parts": len(expected), "images": images}
        self.write(ENDED, (json.dumps(told) + "\n").encode())


def _dictionary(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return {}
