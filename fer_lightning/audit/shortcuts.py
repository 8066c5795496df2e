"""How well do facts that should not matter predict the label?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_lightning.data.image_metadata import ImageMetadata
from fer_lightning.data.legend import Legend

_LEVELS = 12


@dataclass(frozen=True)
class Shortcut:
    """What one fact, or all together, says about the label.

    Attributes:
        fact: Its name.
        cramers_v: Association with the label, 0 (none) to 1, corrected for chance (Bergsma 2013).
        accuracy: Cross-validated accuracy of answering each value's most frequent label.
        balanced_accuracy: The same, of answering the label that a value makes most likelier than usual.
    """

    fact: str
    cramers_v: float
    accuracy: float
    balanced_accuracy: float


def file_facts(facts: Sequence[ImageMetadata], users: Sequence[str]) -> dict[str, np.ndarray]:
    """The facts that should not matter, each as a whole number a picture."""
    areas = np.array([fact.width * fact.height for fact in facts], float)
    return {
        "colour": np.array([fact.colour for fact in facts], np.int64),
        "format and mode": _numbered([f"{fact.format} {fact.mode} {fact.progressive}" for fact in facts]),
        "width and height": _numbered([f"{fact.width}x{fact.height}" for fact in facts]),
        "compression": _binned(np.array([fact.compression for fact in facts])),
        "bytes per pixel": _binned(np.array([fact.size for fact in facts]) / np.maximum(areas, 1)),
        "user.id": _numbered(users),
    }


def shortcuts(facts: dict[str, np.ndarray], legend: Legend, groups: Sequence[str], folds: int = 5) -> list[Shortcut]:
    """Measure every fact, and all of them together (naive Bayes), on people they were not fitted to.

    Args:
        facts: From `file_facts`.
        legend: The labels.
        groups: `n` identities; all pictures of one are in one fold.
        folds: Number of folds of the cross-validation.
    """
    labels, classes = legend.labels, len(legend.class_names)
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    fold = np.random.default_rng(0).permutation(int(codes.max()) + 1)[codes] % folds
    found = []
    for name, columns in [*((n, [v]) for n, v in facts.items()), ("all together", list(facts.values()))]:
        accuracy, balanced = _predict(columns, labels, classes, fold, folds)
        found.append(Shortcut(name, _cramers_v(columns[0], labels) if len(columns) == 1 else 0.0, accuracy, balanced))
    return found


def _predict(
    columns: list[np.ndarray], labels: np.ndarray, classes: int, fold: np.ndarray, folds: int
) -> tuple[float, float]:
    likely, likelier = np.zeros_like(labels), np.zeros_like(labels)
    for number in range(folds):
        held, used = fold == number, fold != number
        prior = np.bincount(labels[used], minlength=classes) + 1e-9
        scores = np.zeros((int(held.sum()), classes))
        for values in columns:
            table = np.bincount(values[used] * classes + labels[used], minlength=(values.max() + 1) * classes)
            shares = (table.reshape(-1, classes) + 20 * prior / prior.sum()) / (prior + 20)
            scores += np.log(shares)[values[held]]
        likely[held] = (scores + np.log(prior / prior.sum())).argmax(1)
        likelier[held] = scores.argmax(1)
    present = [label for label in range(classes) if (labels == label).any()]
    balanced = float(np.mean([(likelier[labels == label] == label).mean() for label in present]))
    return float((likely == labels).mean()), balanced


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
