"""What was understood of a data set, to be looked at before anything is trained."""

from collections.abc import Sequence

import numpy as np

from fer_lightning.audit.findings import DataSet
from fer_lightning.data.label_words import class_name
from fer_lightning.data.legend import SUBSETS
from fer_lightning.names import many, printable

_EACH = 6
_MOST_CLASSES = 40
_NOTES = 20


def overview(data: DataSet) -> list[tuple[str, str]]:
    """Heading and sentence a row: source, images, classes, parts, people, further columns."""
    legend, split = data.legend, data.split
    words: dict[str, set[str]] = {}
    for raw, name in legend.spellings.items():
        words.setdefault(name, set()).update({class_name(raw)} - {name})
    classes = [f"{name} ({', '.join(sorted(words[name]))})" if words.get(name) else name for name in legend.class_names]
    left_out = (
        f"; {many(len(legend.problems), 'row or file', 'rows or files')} cannot be used" if legend.problems else ""
    )
    parts = ", ".join(f"{SUBSETS[part]} {count:,}" for part, count in enumerate(split.counts.sum(1).tolist()) if count)
    rule = split.options["rule"]
    said = "as the data set says" if rule == "predefined" else f"drawn here, --data.split {rule}"
    people = len(set(split.identities))
    if not legend.path.exists():
        told = f"{people:,}, told apart in each data set by itself"
    elif legend.identities is not None:
        told = f"{people:,}, as the data set says"
    elif people < len(legend):
        told = f"{people:,}, from the file names"
    else:
        told = "not known: every image counts as a person of its own"
    rows = [
        ("Source", f"{legend.path}: {legend.format}" if legend.path.exists() else legend.format),
        ("Images", f"{len(legend):,}{left_out}"),
        ("Classes", f"{len(classes)}: {', '.join(classes)}"),
        ("Parts", f"{parts} ({said})"),
        ("People", told),
    ]
    if legend.attributes:
        rows.append(("Columns", f"{', '.join(legend.attributes)}: slices of a test"))
    rows += [("Note", note) for note in (*legend.notes, *legend.warnings, *split.warnings[:_NOTES])]
    if (more := len(split.warnings) - _NOTES) > 0:
        rows.append(("Note", f"{many(more, 'more note')} of this kind on the split: fit says all of them."))
    return [(heading, printable(text)) for heading, text in rows]


def examples(data: DataSet, seed: int = 0) -> list[tuple[str, Sequence[str]]]:
    """A few images of each class, drawn with a seed: the class and the names, of at most 40 classes."""
    rng = np.random.default_rng(seed)
    shown: list[tuple[str, Sequence[str]]] = []
    for label, name in enumerate(data.legend.class_names[:_MOST_CLASSES]):
        rows = np.flatnonzero(data.legend.labels == label)
        good = [row for row in rng.permutation(rows)[: 4 * _EACH].tolist() if not data.metadata[row].error]
        shown.append((name, [data.legend.images[row] for row in good[:_EACH]]))
    return shown
