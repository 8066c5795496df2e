"""A folder of Parquet parts, on a disk or at an address (s3://bucket/rows): begun with settings, ended with a mark."""

import json
import os
import re
from collections.abc import Iterable
from typing import Any

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
        kind, is_address, _ = output.partition("://")
        self.name = output if is_address else os.path.abspath(os.path.expanduser(output))
        self.is_address = bool(is_address) and kind.lower() not in ("file", "local")
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
        self._storage: Any = None
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_storage": None}  # connections stay here

    def _open(self) -> tuple[Any, str]:
        """The file system, and the folder's path in it."""
        import fsspec  # torch depends on it

        try:
            self._storage = self._storage or fsspec.core.url_to_fs(self.name)
        except ImportError as error:
            raise MissingPackageError(f"--output needs another package: {error}.") from None
        except Exception as error:  # each kind of storage has its own: of names, of keys, of the network
            raise self._failed("open", error) from None
        found: tuple[Any, str] = self._storage
        return found

    def _failed(self, what: str, error: Exception) -> FERError:
        said = printable(" ".join(str(error).split()))[:200] or type(error).__name__
        return FERError(
            f"Cannot {what} '{printable(self.name)}' (--output): {said}. Put that right, or choose another."
        )

    def names(self) -> set[str]:
        """The names of what is in the folder; nothing if it is not there."""
        storage, path = self._open()
        try:
            storage.invalidate_cache()
            found = {str(one["name"]).rstrip("/").rpartition("/")[2] for one in storage.ls(path, detail=True)}
        except FileNotFoundError:
            return set()
        except NotADirectoryError:
            raise FERError(f"Invalid value for --output. Expected a folder. '{self.name}' is a file.") from None
        except Exception as error:
            raise self._failed("list", error) from None
        return {name for name in found if name != path.rstrip("/").rpartition("/")[2] or storage.isdir(path)}

    def read(self, name: str) -> str:
        """The text of a small file; empty if there is none."""
        storage, path = self._open()
        try:
            return bytes(storage.cat_file(f"{path}/{name}")).decode(errors="replace")
        except FileNotFoundError:
            return ""
        except Exception as error:
            raise self._failed("read", error) from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all, whoever else writes the same."""
        storage, path = self._open()
        try:
            if self.is_address:
                storage.pipe_file(f"{path}/{name}", content)
                return
            with replacing(f"{path}/{name}", "wb") as stream:
                stream.write(content)
        except Exception as error:
            raise self._failed("write to", error) from None

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that are gone already are no mistake."""
        storage, path = self._open()
        for name in names:
            try:
                storage.rm_file(f"{path}/{name}")
            except FileNotFoundError:
                continue
            except Exception as error:
                raise self._failed("write to", error) from None

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
                f"Invalid value for --output. '{printable(self.name)}' has files in it that are not ours, as "
                f"'{printable(min(others))}': who reads the folder would read them, too. Choose another one."
            )
        now = dict(json.loads(json.dumps(settings, default=str)))
        if old and not overwrite:
            if differing := differences(before, now):
                raise FERError(
                    f"'{printable(self.name)}' is there already, made with other settings or input "
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
                f"{len(missing):,} of {len(expected):,} parts are not in '{printable(self.name)}', as '{missing[0]}': "
                "they were removed, or written by a machine that does not share this folder. Choose one that all "
                "share, or an address, and try again."
            )
        if not self.is_address:
            left = [name for name in there if name.startswith(".part-") and ".writing-" in name]
            self.remove(left)  # of processes that were killed
            sync_folder(self._folder())
        told = {"parts": len(expected), "images": images}
        self.write(ENDED, (json.dumps(told) + "\n").encode())

    def _folder(self) -> Any:
        from pathlib import Path

        return Path(self._open()[1])


def _dictionary(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return {}
