"""Check how many images each class has, and what that does to accuracy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_lightning.audit.data_set import DataSet
from fer_lightning.audit.findings import Finding

_RARE = 50


def check(data: DataSet) -> Iterator[Finding]:
    """Findings `class_counts`, `rare_classes`."""
    names = data.legend.class_names
    counts = np.bincount(data.legend.labels, minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    majority, two = counts[order[0]] / counts.sum(), counts[order[:2]].sum() / counts.sum()
    ratio = counts[order[0]] / max(counts[order[-1]], 1)
    yield Finding(
        "class_counts",
        "warning" if ratio > 10 else "info",
        f"Always answering '{names[order[0]]}' is right in {majority:.1%}; knowing only "
        f"{' and '.join(repr(names[label]) for label in order[:2])}, without a mistake, in {two:.1%}.",
        f"The most frequent class has {ratio:,.0f} times the images of the rarest. Accuracy hides whether a network "
        "knows the rare classes at all.",
        "Judge by balanced accuracy and macro-F1, beside accuracy.",
        ("class", "images", "frequency"),
        [(names[label], f"{counts[label]:,}", f"{counts[label] / counts.sum():.2%}") for label in order],
        {"majority": float(majority), "two_classes": float(two), "ratio": float(ratio)},
    )
    rare = [names[label] for label in order if counts[label] < _RARE]
    if rare:
        yield Finding(
            "rare_classes",
            "warning",
            f"Fewer than {_RARE} images of {', '.join(rare)}.",
            "With a fifth of them for testing, fewer than 10 are left: their recall and F1 cannot be measured.",
            "Collect more, use `crossval` (which tests on every image once), or leave these classes out.",
            figures={"classes": len(rare)},
        )
