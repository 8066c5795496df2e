"""Whether images can be decoded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import numpy as np
from tqdm import tqdm

from fer_lightning.data.input_spec import InputSpec, UnreadableImageError
from fer_lightning.data.legend import Legend
from fer_lightning.errors import FERError

_SHOWN = 20


def check_images(legend: Legend, rows: np.ndarray) -> None:
    """Decode images, so that damaged files are known before they are needed.

    Args:
        legend: The legend.
        rows: int64 `(m,)`, which of its images.

    Raises:
        FERError: If images are unreadable; all are listed.
    """
    probe = InputSpec(image_size=1, color="gray", interpolation="nearest")

    def complaint(row: int) -> str | None:
        try:
            probe.load(legend.image_dir / legend.images[row])
        except UnreadableImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        checked = threads.map(complaint, rows.tolist(), chunksize=64)
        bad = [said for said in tqdm(checked, "Checking images", len(rows), delay=1, leave=False) if said]
    if bad:
        raise_unreadable(bad, legend)


def raise_unreadable(bad: Sequence[str], legend: Legend) -> NoReturn:
    """Raise FERError about the images of a legend that cannot be decoded.

    Args:
        bad: What is wrong, one sentence an image.
        legend: The legend.
    """
    more = f"\n  ... and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    raise FERError(
        f"{len(bad)} of {len(legend)} images cannot be used:\n  "
        + "\n  ".join(bad[:_SHOWN])
        + more
        + f"\nReplace the files, or take their rows out of {legend.path}."
    )
