"""Check for image files that the legend does not mention."""

from __future__ import annotations

import os
from collections.abc import Iterator

from fer_lightning.audit.data_set import DataSet
from fer_lightning.audit.findings import Finding, many
from fer_lightning.data.input_spec import IMAGE_SUFFIXES


def check(data: DataSet) -> Iterator[Finding]:
    """Finding `unlabelled_images`."""
    named = set(data.legend.images) | set(data.legend.conflicting)
    unlabelled = []
    for folder, _, names in os.walk(data.legend.image_dir):
        for name in names:
            image = os.path.relpath(os.path.join(folder, name), data.legend.image_dir).replace(os.sep, "/")
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and image not in named:
                unlabelled.append(image)
    if unlabelled:
        yield Finding(
            "unlabelled_images",
            "info",
            f"{many(len(unlabelled), 'image file')} without a label.",
            "They are not used.",
            "Label them, or let them be.",
            ("image",),
            [(image,) for image in sorted(unlabelled)],
            {"images": len(unlabelled)},
        )
