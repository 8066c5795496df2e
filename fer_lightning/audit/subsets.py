"""Check for classes that the training subset lacks."""

from __future__ import annotations

from collections.abc import Iterator

from fer_lightning.audit.data_set import DataSet
from fer_lightning.audit.findings import Finding
from fer_lightning.data.splits import TRAINING


def check(data: DataSet) -> Iterator[Finding]:
    """Finding `classes_without_training_images`."""
    names, counts = data.legend.class_names, data.split.counts
    absent = [name for label, name in enumerate(names) if counts[:, label].sum() and not counts[TRAINING, label]]
    if absent:
        yield Finding(
            "classes_without_training_images",
            "serious",
            f"No training image of {', '.join(absent)}.",
            "The network cannot learn them.",
            "Choose another --data.split_seed, or collect more.",
            figures={"classes": len(absent)},
        )
