"""Images that are the same, or nearly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from fer_lightning.data.image_metadata import ImageMetadata

DISTANCE = 3
"""Bits of the difference hash in which near duplicates may differ."""

CORRELATION = 0.985
"""Correlation of the 16 x 16 versions that near duplicates reach."""

_BANDS, _WINDOW = 4, 100


def exact_duplicates(metadata: Sequence[ImageMetadata]) -> list[list[int]]:
    """Groups of files with the same bytes, as numbers of `metadata`."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for number, one in enumerate(metadata):
        if not one.error:
            groups[one.digest].append(number)
    return [group for group in groups.values() if len(group) > 1]


def near_duplicates(metadata: Sequence[ImageMetadata]) -> list[tuple[int, int, float]]:
    """Pairs of images that look the same but are not the same file: resized, re-encoded, slightly cropped or lit.

    Two hashes of 64 bits that differ in at most three bits agree in at least one of four bands of 16 bits, so only
    images that agree in a band are compared; in a crowded band, each with its next hundred in the order of hashes. That
    keeps the work near-linear. Candidates must also correlate at 16 x 16 pixels.

    Returns:
        Numbers of both images, the smaller first, and their correlation.
    """
    usable = [number for number, one in enumerate(metadata) if not one.error]
    thumbnails = np.zeros((len(metadata), 256), np.float32)
    for number in usable:
        pixels = np.frombuffer(metadata[number].thumbnail, np.uint8).astype(np.float32)
        pixels -= pixels.mean()
        thumbnails[number] = pixels / max(float(np.linalg.norm(pixels)), 1e-6)
    found = []
    for one, other in sorted(set(_candidates(metadata, usable))):
        close = (metadata[one].dhash ^ metadata[other].dhash).bit_count() <= DISTANCE
        if close and metadata[one].digest != metadata[other].digest:
            alike = float(thumbnails[one] @ thumbnails[other])
            if alike >= CORRELATION:
                found.append((one, other, alike))
    return found


def _candidates(metadata: Sequence[ImageMetadata], usable: list[int]) -> Iterator[tuple[int, int]]:
    for band in range(_BANDS):
        shelves: dict[int, list[int]] = defaultdict(list)
        for number in usable:
            shelves[metadata[number].dhash >> (16 * band) & 0xFFFF].append(number)
        for shelf in shelves.values():
            shelf.sort(key=lambda number: metadata[number].dhash)
            for place, one in enumerate(shelf):
                for other in shelf[place + 1 : place + 1 + _WINDOW]:
                    yield min(one, other), max(one, other)
