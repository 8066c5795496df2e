"""Check how well file metadata, which should not matter, predict the label."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fer_lightning.audit.findings import DataSet, Finding
from fer_lightning.data.legend import Legend

_LEVELS = 12


class Shortcut(NamedTuple):
    """What one kind of metadata, or all together, says about the label."""

    name: str
    cramers_v: float  # association with the label, 0 (none) to 1, corrected for chance (Bergsma 2013)
    accuracy: float  # cross-validated, of answering each value's most frequent label
    balanced_accuracy: float  # the same, of answering the label that a value makes most likelier than usual


def check(data: DataSet) -> Iterator[Finding]:
    """Finding `shortcuts`, if any image can be read."""
    if not data.files:
        return
    legend, metadata = data.legend, data.metadata
    pixels = np.array([max(one.width * one.height, 1) for one in metadata])
    numbered = {
        "color": np.array([one.color for one in metadata], np.int64),
        "format and mode": _numbered([f"{one.format} {one.mode} {one.progressive}" for one in metadata]),
        "width and height": _numbered([f"{one.width}x{one.height}" for one in metadata]),
        "compression": _binned(np.array([one.compression for one in metadata])),
        "bytes per pixel": _binned(np.array([one.size for one in metadata]) / pixels),
        "user.id": _numbered(legend.users),
    }
    found = shortcuts(numbered, legend, data.split.identities)
    counts = np.bincount(legend.labels, minlength=len(legend.class_names))
    majority, chance = float(counts.max() / counts.sum()), 1 / int((counts > 0).sum())
    *each, whole = found
    strongest = max(each, key=lambda shortcut: shortcut.cramers_v)
    strong = whole.balanced_accuracy > 2 * chance or whole.accuracy > majority + 0.03 or strongest.cramers_v > 0.3
    color = next(shortcut for shortcut in each if shortcut.name == "color")
    advice = "Choose --data.color gray, so that color cannot be used. " if color.cramers_v > 0.1 else ""
    yield Finding(
        "shortcuts",
        "warning" if strong else "info",
        f"File metadata alone, without a look at the face, reach {whole.accuracy:.1%} accuracy (majority "
        f"{majority:.1%}) and {whole.balanced_accuracy:.1%} balanced accuracy (chance {chance:.1%}); the strongest is "
        f"{strongest.name}, with a Cramer's V of {strongest.cramers_v:.2f}.",
        ("metadata", "Cramer's V", "accuracy", "balanced accuracy"),
        [
            (s.name, "" if s is whole else f"{s.cramers_v:.2f}", f"{s.accuracy:.1%}", f"{s.balanced_accuracy:.1%}")
            for s in found
        ],
        {
            "accuracy": whole.accuracy,
            "balanced_accuracy": whole.balanced_accuracy,
            "majority": majority,
            **{f"cramers_v_{s.name.replace(' ', '_')}": s.cramers_v for s in each},
        },
        remedy=advice + "Compare the slices in the report of a test.",
    )


def shortcuts(
    metadata: Mapping[str, np.ndarray], legend: Legend, groups: Sequence[str], folds: int = 5
) -> list[Shortcut]:
    """Measure each of the metadata, and all of them together (naive Bayes), on people they were not fitted to.

    Args:
        metadata: For each kind, its values as whole numbers from 0, int64 `(n,)`.
        legend: The labels.
        groups: `n` identities; all images of one are in one fold.
        folds: Number of folds of the cross-validation.
    """
    labels = legend.labels
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    fold = np.random.default_rng(0).permutation(int(codes.max()) + 1)[codes] % folds
    each = [
        Shortcut(name, _cramers_v(values, labels), *_predict([values], labels, fold))
        for name, values in metadata.items()
    ]
    return [*each, Shortcut("all together", 0.0, *_predict(list(metadata.values()), labels, fold))]


def _predict(columns: list[np.ndarray], labels: np.ndarray, fold: np.ndarray) -> tuple[float, float]:
    """Accuracy with the classes' frequencies, and balanced accuracy without."""
    classes = int(labels.max()) + 1
    likely, likelier = np.zeros_like(labels), np.zeros_like(labels)
    for number in range(int(fold.max()) + 1):
        held, used = fold == number, fold != number
        prior = np.bincount(labels[used], minlength=classes) + 1e-9
        scores = np.zeros((int(held.sum()), classes))
        for values in columns:
            table = np.bincount(values[used] * classes + labels[used], minlength=(values.max() + 1) * classes)
            frequencies = (table.reshape(-1, classes) + 20 * prior / prior.sum()) / (prior + 20)
            scores += np.log(frequencies)[values[held]]
        likely[held] = (scores + np.log(prior / prior.sum())).argmax(1)
        likelier[held] = scores.argmax(1)
    recalls = [(likelier[labels == label] == label).mean() for label in np.unique(labels)]
    return float((likely == labels).mean()), float(np.mean(recalls))


def _cramers_v(values: np.ndarray, labels: np.ndarray) -> float:
    table = np.zeros((values.max() + 1, labels.max() + 1))
    np.add.at(table, (values, labels), 1)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    total, (rows, columns) = table.sum(), table.shape
    if min(rows, columns) < 2:
        return 0.0
    expected = np.outer(table.sum(1), table.sum(0)) / total
    phi = ((table - expected) ** 2 / expected).sum() / total
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (total - 1))
    rows, columns = rows - (rows - 1) ** 2 / (total - 1), columns - (columns - 1) ** 2 / (total - 1)
    return float(np.sqrt(phi / max(min(rows, columns) - 1, 1e-9)))


def _numbered(values: Sequence[str]) -> np.ndarray:
    """The most frequent values as 1, 2, ...; all others as 0."""
    names, counts = np.unique(np.asarray(values), return_counts=True)
    order = {str(name): place + 1 for place, name in enumerate(names[np.argsort(-counts, kind="stable")][:_LEVELS])}
    return np.array([order.get(value, 0) for value in values], np.int64)


def _binned(values: np.ndarray) -> np.ndarray:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _LEVELS + 1)[1:-1]))
    return np.asarray(np.searchsorted(edges, values, "right"), np.int64)
