"""Check the image files: unreadable ones, wrong endings, formats, sizes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

from fer_lightning.audit.data_set import DataSet
from fer_lightning.audit.findings import Finding, many

_SUFFIX_OF = {"JPEG": {".jpg", ".jpeg", ".jfif"}, "TIFF": {".tif", ".tiff"}, "PPM": {".pgm", ".ppm", ".pnm"}}


def check(data: DataSet) -> Iterator[Finding]:
    """Findings `unreadable_images`, `mislabelled_formats`, `formats_and_sizes`, `small_images`."""
    bad = [(image, one.error) for image, one in zip(data.legend.images, data.metadata, strict=True) if one.error]
    if bad:
        yield Finding(
            "unreadable_images",
            "serious",
            f"{many(len(bad), 'image')} cannot be decoded.",
            "Training refuses to start with them.",
            "Replace the files, or take their rows out of the legend.",
            ("image", "reason"),
            bad,
            {"images": len(bad)},
        )
    wrong = [
        (image, one.format)
        for image, one in data.files
        if os.path.splitext(image)[1].lower() not in _SUFFIX_OF.get(one.format, {f".{one.format.lower()}"})
    ]
    if wrong:
        yield Finding(
            "mislabelled_formats",
            "info",
            f"{many(len(wrong), 'file')} in another format than the name says.",
            "They are read by their content, so this does no harm here; other programs may stumble.",
            "Rename them.",
            ("image", "real format"),
            wrong,
            {"images": len(wrong)},
        )
    yield _formats_and_sizes(data)
    small = [
        (image, f"{one.width} x {one.height}")
        for image, one in data.files
        if min(one.width, one.height) < data.image_size
    ]
    if small:
        yield Finding(
            "small_images",
            "warning" if len(small) > 0.01 * len(data.files) else "info",
            f"{many(len(small), 'image')} smaller than the network's input of {data.image_size} pixels.",
            "They are enlarged, and blurred by it; blur can become a shortcut.",
            "Choose a smaller --data.image_size, or leave them out with --data.exclude.",
            ("image", "size"),
            small,
            {"images": len(small)},
        )


def _formats_and_sizes(data: DataSet) -> Finding:
    files = [one for _, one in data.files]
    kinds = Counter(
        f"{one.format}{', progressive' * one.progressive}, mode {one.mode}, {'color' if one.color else 'gray'}"
        for one in files
    )
    sizes = Counter(f"{one.width} x {one.height}" for one in files)
    sides = sorted(min(one.width, one.height) for one in files) or [0]
    return Finding(
        "formats_and_sizes",
        "info",
        f"{many(len(kinds), 'kind')} of files, {many(len(sizes), 'size')}; shorter side from {sides[0]} to {sides[-1]} "
        f"pixels, median {sides[len(sides) // 2]}.",
        "Mixed sources differ in more than faces: see the shortcuts below.",
        "",
        ("kind or size", "files"),
        [(kind, f"{count:,}") for kind, count in (*kinds.most_common(12), *sizes.most_common(8))],
        {"kinds": len(kinds), "sizes": len(sizes), "progressive": sum(one.progressive for one in files)},
    )
