"""Writes checkpoints whole or not at all."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from fer_lightning.checkpoints.weights import SUFFIX, read_weights


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames, so that the target always is a whole checkpoint, the old one or the new.

    Lightning's own way writes to the system's temporary folder and copies across, which is cut short by a kill or a
    full disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write the file.

        Raises:
            OSError: If the disk is full or the folder cannot be written; what stood there before is still there.
        """
        if "://" in os.fspath(path):  # not a file of this machine: left to Lightning
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        buffer = io.BytesIO()  # torch.save into a file would turn a full disk into an error about its own internals
        torch.save(checkpoint, buffer)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = _aside(target)
        try:
            with open(aside, "wb") as stream:
                stream.write(buffer.getbuffer())
            aside.replace(target)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint, or weights that `export` wrote."""
        if Path(path).suffix == SUFFIX:
            return read_weights(path)
        return super().load_checkpoint(path, *args, **kwargs)


def put_same(source: Path, target: Path) -> None:
    """Let `target` be the same checkpoint as `source`, at no cost where the file system has hard links."""
    aside = _aside(target)
    aside.unlink(missing_ok=True)
    try:
        os.link(source, aside)
    except OSError:
        aside.write_bytes(source.read_bytes())
    aside.replace(target)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.writing")
