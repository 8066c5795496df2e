"""What the legend says: rows, classes, people, parts. Each check returns its findings."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_lightning.audit.findings import Finding, many
from fer_lightning.data.input_spec import IMAGE_SUFFIXES
from fer_lightning.data.legend import Legend
from fer_lightning.data.splits import TRAINING, Split


def check_rows(legend: Legend, problems: Sequence[tuple[int, str]]) -> list[Finding]:
    """The legend itself: bad rows, repeats, conflicts, spellings."""
    found = []
    if problems:
        found.append(
            Finding(
                "bad_rows",
                "serious",
                f"{many(len(problems), 'row')} of the legend cannot be used.",
                "Training refuses this legend until they are mended.",
                "Correct or delete these lines.",
                ("line", "problem"),
                [(str(line), message) for line, message in problems],
                {"rows": len(problems)},
            )
        )
    if legend.repeated:
        found.append(
            Finding(
                "repeated_rows",
                "info",
                f"{many(len(legend.repeated), 'row')} repeat another one word for word (image and label).",
                "They are merged. By the notebook's sequential rule they still count as rows.",
                "Nothing to do.",
                ("image",),
                [(image,) for image in legend.repeated],
                {"rows": len(legend.repeated)},
            )
        )
    if legend.conflicting:
        found.append(
            Finding(
                "conflicting_labels",
                "warning",
                f"{many(len(legend.conflicting), 'image')} under more than one label.",
                "At least one of the labels is wrong. By default such images are left out.",
                "Decide and correct the legend, or choose --data.conflicts keep or error.",
                ("image", "labels"),
                [(image, ", ".join(labels)) for image, labels in legend.conflicting.items()],
                {"images": len(legend.conflicting)},
            )
        )
    if len(legend.spellings) > len({spelling.lower() for spelling in legend.spellings}):
        by_label: dict[str, list[str]] = {}
        for spelling in legend.spellings:
            by_label.setdefault(spelling.lower(), []).append(spelling)
        found.append(
            Finding(
                "label_spellings",
                "info",
                f"{len(legend.spellings)} spellings of {len(by_label)} labels were merged.",
                "Upper and lower case and surrounding space do not matter here; elsewhere they make extra classes.",
                "Nothing to do.",
                ("label", "spellings"),
                [(label, ", ".join(spellings)) for label, spellings in by_label.items() if len(spellings) > 1],
                {"spellings": len(legend.spellings), "labels": len(by_label)},
            )
        )
    return found


def check_unlabelled(legend: Legend, image_dir: Path) -> list[Finding]:
    """Image files that the legend does not mention."""
    named = set(legend.images) | set(legend.conflicting)
    unlabelled = []
    for folder, _, names in os.walk(image_dir):
        inside = os.path.relpath(folder, image_dir)
        for name in names:
            image = name if inside == "." else f"{inside}/{name}".replace(os.sep, "/")
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and image not in named:
                unlabelled.append(image)
    if not unlabelled:
        return []
    return [
        Finding(
            "unlabelled_images",
            "info",
            f"{many(len(unlabelled), 'image file')} without a label.",
            "They are not used.",
            "Label them, or let them be.",
            ("image",),
            [(image,) for image in sorted(unlabelled)],
            {"images": len(unlabelled)},
        )
    ]


def check_classes(legend: Legend) -> list[Finding]:
    """How many images of each class, and what that does to accuracy."""
    counts = np.bincount(legend.labels, minlength=len(legend.class_names))
    order = np.argsort(-counts, kind="stable")
    majority, two = counts[order[0]] / counts.sum(), counts[order[:2]].sum() / counts.sum()
    ratio = counts[order[0]] / max(counts[order[-1]], 1)
    names = legend.class_names
    found = [
        Finding(
            "class_counts",
            "warning" if ratio > 10 else "info",
            f"Always answering '{names[order[0]]}' is right in {majority:.1%}; knowing only '{names[order[0]]}' and "
            f"'{names[order[1]]}', without a mistake, in {two:.1%}.",
            f"The most frequent class has {ratio:,.0f} times the images of the rarest. Accuracy hides whether a "
            "network knows the rare classes at all.",
            "Judge by balanced accuracy and macro-F1, beside accuracy.",
            ("class", "images", "share"),
            [(names[label], f"{counts[label]:,}", f"{counts[label] / counts.sum():.2%}") for label in order],
            {"majority": float(majority), "two_classes": float(two), "ratio": float(ratio)},
        )
    ]
    rare = [names[label] for label in order if counts[label] < 50]
    if rare:
        found.append(
            Finding(
                "rare_classes",
                "warning",
                f"Fewer than 50 images of {', '.join(rare)}.",
                "With a fifth of them for testing, fewer than 10 are left: their recall and F1 cannot be measured.",
                "Collect more, use `crossval` (which tests on every image once), or leave these classes out.",
                figures={"classes": len(rare)},
            )
        )
    return found


def check_identities(splits: dict[str, Split], chosen: str) -> list[Finding]:
    """Who is in the pictures, and who would stand on both sides under each rule."""
    split = splits[chosen]
    numbers = Counter(split.identities)
    rows: list[tuple[str, ...]] = []
    figures: dict[str, float] = {}
    for rule, other in splits.items():
        shared, testing = other.shared_identities()
        rows.append((rule, f"{testing:,}", f"{shared:,}", f"{shared / testing:.1%}"))
        figures[f"shared_{rule}"] = shared / testing
    shared, testing = split.shared_identities()
    origin = "the column 'identity'" if split.options.get("identity") == "column" else "the file names"
    (name, most), people = numbers.most_common(1)[0], len(numbers)
    return [
        Finding(
            "identities",
            "info",
            f"{many(people, 'identity', 'identities')}, taken from {origin}; the most frequent, '{name}', has "
            f"{many(most, 'image')}.",
            "Images of one person are not independent: intervals are drawn over people."
            if people < len(split.identities)
            else "Every image counts as a person of its own, as no name repeats.",
            "If that is not so, set --data.identity, or add a column 'identity' to the legend.",
            ("identity", "images"),
            [(person, str(count)) for person, count in numbers.most_common(10)],
            {"identities": people, "largest": most},
        ),
        Finding(
            "shared_identities",
            "serious" if shared else "info",
            "Test images that show a person from training: "
            + ", ".join(f"{row[3]} with --data.split {row[0]}" for row in rows)
            + f" ({chosen} is chosen).",
            "A network can recognise the person instead of the expression, and the result looks better than it is.",
            "Keep --data.split grouped." if not shared else "Use --data.split grouped.",
            ("--data.split", "test images", "of somebody in training", "share"),
            rows,
            figures,
        ),
    ]


def check_parts(split: Split) -> list[Finding]:
    """Classes that a part of the split lacks."""
    names, counts = split.legend.class_names, split.counts
    absent = [name for label, name in enumerate(names) if counts[:, label].sum() and not counts[TRAINING, label]]
    if not absent:
        return []
    return [
        Finding(
            "classes_without_training_images",
            "serious",
            f"No training image of {', '.join(absent)}.",
            "The network cannot learn them.",
            "Choose another --data.split_seed, or collect more.",
            figures={"classes": len(absent)},
        )
    ]
