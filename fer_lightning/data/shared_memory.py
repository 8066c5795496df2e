"""The shared memory through which processes that load batches hand them over."""

import shutil
from pathlib import Path

from fer_lightning.errors import FERError
from fer_lightning.screen import say

_PLACE = Path("/dev/shm")  # noqa: S108 (where Linux has it)
_AHEAD = 2
"""Batches that each process of a DataLoader has ready."""


def fitting_workers(asked: int | None, usual: int, batch_bytes: int, place: Path = _PLACE) -> int:
    """How many processes may load batches; where shared memory is full, they die with a bus error.

    Args:
        asked: What the user wants; None for the usual number, or as many as fit.
        usual: The usual number.
        batch_bytes: What a training batch and one for validation need together.
        place: Where the system keeps shared memory.

    Raises:
        FERError: If those that are asked for do not fit.
    """
    wanted = usual if asked is None else asked
    if not wanted or not place.is_dir():
        return wanted
    free = shutil.disk_usage(place).free
    fitting = min(wanted, free // (_AHEAD * batch_bytes))
    if fitting == wanted:
        return wanted
    need = f"{place} has {free / 1e6:,.0f} MB, of which each process needs {_AHEAD * batch_bytes / 1e6:,.0f}"
    if asked is not None:
        raise FERError(
            f"Invalid value for --data.num_workers. Expected {fitting} or fewer, as {need}. Received: {asked}. Give "
            "the container more (docker run --shm-size 2g), or choose smaller batches."
        )
    say(f"Note   {fitting} instead of {wanted} processes load batches, as {need}.")
    return fitting
