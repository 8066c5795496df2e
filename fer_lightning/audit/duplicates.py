"""Check for images that are there twice, byte for byte or nearly."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from fer_lightning.audit.findings import DataSet, Exhibit, Finding
from fer_lightning.data.image_metadata import ImageMetadata
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.splits import TESTING
from fer_lightning.names import many

DISTANCE = 3
"""Bits of the difference hash in which near duplicates may differ."""

CORRELATION = 0.985
"""Correlation of the 16 x 16 versions that near duplicates reach."""

_BANDS, _WINDOW, _SHOWN = 4, 100, 12
_ACROSS, _TORN = "across the split", "different labels"


def check(data: DataSet) -> Iterator[Finding]:
    """Findings `exact_duplicates`, `near_duplicates`."""
    same = [(rows, "") for rows in exact_duplicates(data.metadata)]
    near = [([one, other], f"{alike:.3f}") for one, other, alike in near_duplicates(data.metadata)]
    for name, what, groups in (
        ("exact_duplicates", "byte for byte the same file under several names", same),
        ("near_duplicates", "nearly the same image", near),
    ):
        described = [_described(data, rows, likeness) for rows, likeness in groups]
        if not described:
            continue
        across, torn = (sum(said in note for *_, note in described) for said in (_ACROSS, _TORN))
        described.sort(key=lambda group: (_ACROSS in group[-1], _TORN in group[-1]), reverse=True)
        yield Finding(
            name,
            "serious" if across and name == "exact_duplicates" else "warning",
            f"{many(len(groups), 'group')} of images, {what}: {across} {_ACROSS}, {torn} with {_TORN}.",
            ("images", "labels", "subsets", "note"),
            [(" = ".join(images), *rest) for images, *rest in described],
            {"groups": len(groups), "across_the_split": across, "different_labels": torn},
            [Exhibit(images[:4], (labels, note)) for images, labels, _, note in described[:_SHOWN]],
            [image for rows, _ in groups for image in _copies(data, rows)],
        )


def _copies(data: DataSet, rows: Sequence[int]) -> list[str]:
    """All images but one, which is in the testing subset if any is."""
    kept = max(rows, key=lambda row: (data.split.subsets[row] == TESTING, -row))
    return [data.legend.images[row] for row in rows if row != kept]


def _described(data: DataSet, rows: Sequence[int], likeness: str) -> tuple[list[str], str, str, str]:
    """Images, labels, subsets, and what is to be noted about them."""
    labels = {data.legend.class_names[data.legend.labels[row]] for row in rows}
    subsets = {int(data.split.subsets[row]) for row in rows}
    across = TESTING in subsets and len(subsets) > 1
    notes = filter(None, (likeness, _ACROSS * across, _TORN * (len(labels) > 1)))
    named = sorted(SUBSETS[subset] for subset in subsets)
    return [data.legend.images[row] for row in rows], ", ".join(sorted(labels)), ", ".join(named), "; ".join(notes)


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
        alike = float(thumbnails[one] @ thumbnails[other])
        if alike >= CORRELATION:
            found.append((one, other, alike))
    return found


def _candidates(metadata: Sequence[ImageMetadata], usable: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs of close hashes that are not the same file; some come more than once."""
    for band in range(_BANDS):
        shelves: dict[int, list[int]] = defaultdict(list)
        for number in usable:
            shelves[metadata[number].dhash >> (16 * band) & 0xFFFF].append(number)
        for shelf in tqdm(shelves.values(), "Comparing images", delay=1, leave=False):
            shelf.sort(key=lambda number: metadata[number].dhash)
            for place, one in enumerate(shelf):
                first = metadata[one]
                for other in shelf[place + 1 : place + 1 + _WINDOW]:
                    near = (first.dhash ^ metadata[other].dhash).bit_count() <= DISTANCE
                    if near and first.digest != metadata[other].digest:
                        yield min(one, other), max(one, other)
