"""Check how the classes are spread over color and gray images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_lightning.audit.data_set import DataSet
from fer_lightning.audit.findings import Finding


def check(data: DataSet) -> Iterator[Finding]:
    """Finding `color_by_class`."""
    names = data.legend.class_names
    tally = np.zeros((len(names), 2), np.int64)
    for label, one in zip(data.legend.labels.tolist(), data.metadata, strict=True):
        if not one.error:
            tally[label, int(one.color)] += 1
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
        "Where classes differ in this, color gives away the class.",
        "",
        ("class", "gray", "color", "in color"),
        [(names[k], f"{tally[k, 0]:,}", f"{tally[k, 1]:,}", f"{colored[k]:.1%}") for k in range(len(names))],
        {"colored": float(overall), "furthest": float(colored[apart])},
    )
