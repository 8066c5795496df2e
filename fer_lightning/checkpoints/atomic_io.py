"""Lightning's checkpoint files, written whole or not at all."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from fer_lightning.checkpoints.info import KEY
from fer_lightning.checkpoints.weights import SUFFIX, read_weights
from fer_lightning.files import replacing, replacing_path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames; Lightning copies across, which a kill or a full disk cuts short."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write the file; after an OSError, what stood there before is still there."""
        if "://" in os.fspath(path):  # not a file of this machine: left to Lightning
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        buffer = io.BytesIO()  # torch.save into a file would turn a full disk into an error about its own internals
        torch.save(checkpoint, buffer)
        with replacing(path, "wb") as stream:
            stream.write(buffer.getbuffer())

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint, or weights that `export` wrote, in a checkpoint's form."""
        if Path(path).suffix != SUFFIX:
            return super().load_checkpoint(path, *args, **kwargs | {"weights_only": True})  # whatever is asked for
        info, network = read_weights(path)
        state = {f"model.network.{name}": value for name, value in network.items()}
        state["model.temperature"] = torch.tensor(info.temperature)
        frame = {"epoch": 0, "global_step": 0, "pytorch-lightning_version": "2.6.6", "callbacks": {}}
        return frame | {"state_dict": state, KEY: info.to_dict()}


def put_same(source: Path, target: Path) -> None:
    """Let `target` be the same checkpoint as `source`, at no cost where the file system has hard links."""
    with replacing_path(target) as aside:
        try:
            os.link(source, aside)
        except OSError:
            aside.write_bytes(source.read_bytes())
