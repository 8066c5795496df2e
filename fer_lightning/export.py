"""Export: a checkpoint's network as a file of its own."""

from __future__ import annotations

from pathlib import Path

from fer_lightning.checkpoints import find_checkpoint, open_checkpoint
from fer_lightning.errors import FERError
from fer_lightning.weights_file import SUFFIX, read_weights, save_weights


def export(ckpt_path: str, output: str, name: str = "default", runs_dir: str = "runs", half: bool = True) -> None:
    """Write a checkpoint's network to a small file of its own.

    The file holds the network's weights with class names, preprocessing contract and temperature; `--ckpt_path FILE`
    takes it for `test`, `validate` and `predict`, and `fit` starts a new run from it.

    Args:
        ckpt_path: best, last, or a checkpoint.
        output: The file to write, ending in .safetensors.
        name: Name of the run that best and last are of.
        runs_dir: Folder that holds the runs.
        half: Write numbers in half precision, which halves the file.

    Raises:
        FERError: If there is no such checkpoint, or the output has another ending.
    """
    target = Path(output).expanduser()
    if target.suffix != SUFFIX:
        raise FERError(f"Invalid value for --output. Expected a file ending in {SUFFIX}. Received: {output}.")
    checkpoint = open_checkpoint(find_checkpoint(ckpt_path, Path(runs_dir) / name))
    save_weights(checkpoint, target, half)
    count = sum(value.numel() for value in read_weights(target)["state_dict"].values())
    print(f"Written {target}: {count:,} numbers, {target.stat().st_size / 1e6:.2f} MB")
