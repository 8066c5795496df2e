"""Checks of the labels: their rows, classes, people."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice

import numpy as np

from fer_lightning.audit.findings import DataSet, Exhibit, Finding
from fer_lightning.data.splits import TRAINING
from fer_lightning.names import many

_RARE = 50
_ANOTHER_SPLIT = (
    "Choose another split (--data.split grouped), or leave the class out: --data.classes without it, and "
    "--data.on_error drop."
)


def rows(data: DataSet) -> Iterator[Finding]:
    """Findings `bad_rows`, `repeated_rows`, `conflicting_labels`, `label_spellings`."""
    legend = data.legend
    if legend.problems:
        yield Finding(
            "bad_rows",
            "serious",
            f"{many(len(legend.problems), 'row')} of the legend cannot be used.",
            ("line", "problem"),
            [(f"{one.file}:{one.number}".lstrip(":"), one.message) for one in legend.problems],
            {"rows": len(legend.problems)},
        )
    if legend.repeated:
        yield Finding(
            "repeated_rows",
            "info",
            f"{many(len(legend.repeated), 'row')} repeat another one word for word (image and label).",
            ("image",),
            [(image,) for image in legend.repeated],
            {"rows": len(legend.repeated)},
        )
    if legend.conflicting:
        yield Finding(
            "conflicting_labels",
            "warning",
            f"{many(len(legend.conflicting), 'image')} under more than one label.",
            ("image", "labels"),
            [(image, ", ".join(labels)) for image, labels in legend.conflicting.items()],
            {"images": len(legend.conflicting)},
            [Exhibit([image], (", ".join(labels), image)) for image, labels in islice(legend.conflicting.items(), 12)],
        )
    by_label = defaultdict(list)
    for spelling, name in legend.spellings.items():
        by_label[name].append(spelling)
    if len(legend.spellings) > len(by_label):
        yield Finding(
            "label_spellings",
            "info",
            f"{len(legend.spellings)} spellings of {many(len(by_label), 'label')} were merged.",
            ("label", "spellings"),
            [(label, ", ".join(spellings)) for label, spellings in by_label.items() if len(spellings) > 1],
            {"spellings": len(legend.spellings), "labels": len(by_label)},
        )


def classes(data: DataSet) -> Iterator[Finding]:
    """Findings `class_counts`, `rare_classes`, `classes_without_training_images`."""
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
        ("class", "images", "frequency"),
        [(names[label], f"{counts[label]:,}", f"{counts[label] / counts.sum():.2%}") for label in order],
        {"majority": float(majority), "two_classes": float(two), "ratio": float(ratio)},
    )
    if rare := [names[label] for label in order if counts[label] < _RARE]:
        yield Finding(
            "rare_classes",
            "warning",
            f"Fewer than {_RARE} images of {', '.join(rare)}.",
            figures={"classes": len(rare)},
        )
    table = data.split.counts
    if absent := [name for name, column in zip(names, table.T, strict=True) if column.any() and not column[TRAINING]]:
        yield Finding(
            "classes_without_training_images",
            "serious",
            f"No training image of {', '.join(absent)}.",
            figures={"classes": len(absent)},
            remedy="" if data.rule in ("stratified", "grouped") else _ANOTHER_SPLIT,
        )


def people(data: DataSet) -> Iterator[Finding]:
    """Findings `identities`, `shared_identities`."""
    numbers = Counter(data.split.identities)
    name, most = numbers.most_common(1)[0]
    alone = len(numbers) == len(data.legend)
    origin = "as the data set says" if data.legend.identities is not None else "from the file names"
    count = many(len(numbers), "identity", "identities")
    told = f"{count}, {origin}; the most frequent, '{name}', has {many(most, 'image')}."
    yield Finding(
        "identities",
        "info",
        f"No identity repeats in {many(len(numbers), 'image')}." if alone else told,
        ("identity", "images"),
        [(person, str(count)) for person, count in numbers.most_common(10)],
        {"identities": len(numbers), "largest": most},
        meaning="Images of one person are not independent: intervals are drawn over people."
        if not alone
        else "Every image counts as a person of its own, as no name repeats.",
    )
    shared = {rule: split.shared_identities() for rule, split in data.splits.items()}
    if alone:
        yield Finding(
            "shared_identities",
            "info",
            "It is not known whether test images show a person from training, as no identity repeats.",
            remedy="If people do repeat, set --data.identity to a pattern that fits the file names, or add a column "
            "'identity' to the legend.",
        )
        return
    said = {rule: f"{count / testing:.1%}" for rule, (count, testing) in shared.items()}
    yield Finding(
        "shared_identities",
        "serious" if shared[data.rule][0] else "info",
        "Test images that show a person from training: "
        + ", ".join(f"{fraction} with --data.split {rule}" for rule, fraction in said.items())
        + f" ({data.rule} is chosen).",
        ("--data.split", "test images", "of somebody in training", "fraction"),
        [(rule, f"{testing:,}", f"{count:,}", said[rule]) for rule, (count, testing) in shared.items()],
        {f"shared_{rule}": count / testing for rule, (count, testing) in shared.items()},
        remedy="Use --data.split grouped." if shared[data.rule][0] else f"Keep --data.split {data.rule}.",
    )
