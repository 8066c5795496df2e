"""Checks of the image files: labels, formats, sizes, colors."""

import os
from collections import Counter
from collections.abc import Iterator

import numpy as np

from fer_lightning.audit.findings import DataSet, Exhibit, Finding
from fer_lightning.data.image_listing import list_images
from fer_lightning.names import many

_EXHIBITS = 12
_JPEG = {".jpg", ".jpeg", ".jfif"}
_SUFFIX_OF = {"JPEG": _JPEG, "MPO": _JPEG | {".mpo"}, "TIFF": {".tif", ".tiff"}, "PPM": {".pgm", ".ppm", ".pnm"}}
_SUFFIX_OF |= {"HEIF": {".heic", ".heif"}, "JPEG2000": {".jp2", ".j2k", ".jpx"}}


def unlabelled(data: DataSet) -> Iterator[Finding]:
    """Findings `unreadable_folders`, `unlabelled_images`."""
    if not data.legend.path.exists():
        return  # of several data sets: the folder that they have in common may hold anything
    listing = list_images(data.legend.image_dir)
    found = {f"{folder}/{name}" if folder else name for folder, names in listing.images.items() for name in names}
    if listing.closed:
        yield Finding(
            "unreadable_folders",
            "warning",
            f"{many(len(listing.closed), 'folder')} among the images cannot be read: what is there was not examined.",
            ("folder", "reason"),
            listing.closed,
            {"folders": len(listing.closed)},
        )
    if found := found.difference(data.legend.images, data.legend.conflicting):
        yield Finding(
            "unlabelled_images",
            "info",
            f"{many(len(found), 'image file')} without a label.",
            ("image",),
            [(image,) for image in sorted(found)],
            {"images": len(found)},
        )


def formats(data: DataSet) -> Iterator[Finding]:
    """Findings `unreadable_images`, `mislabelled_formats`, `formats_and_sizes`, `small_images`."""
    if bad := [(image, one.error) for image, one in zip(data.legend.images, data.metadata, strict=True) if one.error]:
        yield Finding(
            "unreadable_images",
            "serious",
            f"{many(len(bad), 'image')} cannot be decoded.",
            ("image", "reason"),
            bad,
            {"images": len(bad)},
            [Exhibit([image], (image, error)) for image, error in bad[:_EXHIBITS]],
        )
    if wrong := [
        (image, one.format)
        for image, one in data.files
        if os.path.splitext(image)[1].lower() not in _SUFFIX_OF.get(one.format, {f".{one.format.lower()}"})
    ]:
        yield Finding(
            "mislabelled_formats",
            "info",
            f"{many(len(wrong), 'file')} in another format than the name says.",
            ("image", "real format"),
            wrong,
            {"images": len(wrong)},
        )
    files = [one for _, one in data.files]
    kinds = Counter(
        f"{one.format}{', progressive' * one.progressive}, mode {one.mode}, {'color' if one.color else 'gray'}"
        for one in files
    )
    sizes = Counter(f"{one.width} x {one.height}" for one in files)
    sides = sorted(min(one.width, one.height) for one in files) or [0]
    yield Finding(
        "formats_and_sizes",
        "info",
        f"{many(len(kinds), 'kind')} of files, {many(len(sizes), 'size')}; shorter side from {sides[0]} to {sides[-1]} "
        f"pixels, median {sides[len(sides) // 2]}.",
        ("kind or size", "files"),
        [(kind, f"{count:,}") for kind, count in (*kinds.most_common(12), *sizes.most_common(8))],
        {"kinds": len(kinds), "sizes": len(sizes), "progressive": sum(one.progressive for one in files)},
    )
    small = [(image, one) for image, one in data.files if min(one.width, one.height) < data.image_size]
    if small:
        yield Finding(
            "small_images",
            "warning" if len(small) > 0.01 * len(files) else "info",
            f"{many(len(small), 'image')} smaller than the network's input of {data.image_size} pixels.",
            ("image", "size"),
            [(image, f"{one.width} x {one.height}") for image, one in small],
            {"images": len(small)},
        )


def colors(data: DataSet) -> Iterator[Finding]:
    """Finding `color_by_class`."""
    names = data.legend.class_names
    tally = np.zeros((len(names), 2), np.int64)
    for label, one in zip(data.legend.labels.tolist(), data.metadata, strict=True):
        tally[label, int(one.color)] += not one.error
    overall = tally[:, 1].sum() / max(tally.sum(), 1)
    if overall in (0, 1):
        return
    colored = tally[:, 1] / np.maximum(tally.sum(1), 1)
    apart = int(np.abs(colored - overall).argmax())
    yield Finding(
        "color_by_class",
        "info",
        f"{overall:.1%} of the images are in color, but {colored[apart]:.1%} of '{names[apart]}' "
        f"({tally[apart, 1]:,} of {tally[apart].sum():,}).",
        ("class", "gray", "color", "in color"),
        [(names[k], f"{tally[k, 0]:,}", f"{tally[k, 1]:,}", f"{colored[k]:.1%}") for k in range(len(names))],
        {"colored": float(overall), "furthest": float(colored[apart])},
    )
