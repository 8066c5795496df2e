"""What the image files say: formats, duplicates, shortcuts. Each check returns its findings."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np

from fer_lightning.audit.findings import Finding, many
from fer_lightning.audit.shortcuts import file_facts, shortcuts
from fer_lightning.data.image_metadata import ImageMetadata
from fer_lightning.data.legend import PARTS, Legend
from fer_lightning.data.splits import TESTING, Split

_SUFFIX_OF = {"JPEG": {".jpg", ".jpeg", ".jfif"}, "TIFF": {".tif", ".tiff"}, "PPM": {".pgm", ".ppm", ".pnm"}}


def check_files(legend: Legend, facts: Sequence[ImageMetadata], image_size: int) -> list[Finding]:
    """Formats, sizes, colour modes, and files that are not what they seem."""
    found = []
    bad: list[tuple[str, ...]] = [
        (image, fact.error) for image, fact in zip(legend.images, facts, strict=True) if fact.error
    ]
    if bad:
        found.append(
            Finding(
                "unreadable_images",
                "serious",
                f"{many(len(bad), 'image')} cannot be decoded.",
                "Training refuses to start with them.",
                "Replace the files, or take their rows out of the legend.",
                ("image", "reason"),
                bad,
                {"images": len(bad)},
            )
        )
    good = [(image, fact) for image, fact in zip(legend.images, facts, strict=True) if not fact.error]
    wrong: list[tuple[str, ...]] = []
    for image, fact in good:
        suffix = os.path.splitext(image)[1].lower()
        if suffix not in _SUFFIX_OF.get(fact.format, {f".{fact.format.lower()}"}):
            wrong.append((image, fact.format))
    if wrong:
        found.append(
            Finding(
                "mislabelled_formats",
                "info",
                f"{many(len(wrong), 'file')} in another format than the name says.",
                "They are read by their content, so this does no harm here; other programs may stumble.",
                "Rename them.",
                ("image", "real format"),
                wrong,
                {"images": len(wrong)},
            )
        )
    kinds = Counter(
        f"{fact.format}{', progressive' if fact.progressive else ''}, mode {fact.mode}, "
        f"{'colour' if fact.colour else 'grey'}"
        for _, fact in good
    )
    sizes = Counter(f"{fact.width} x {fact.height}" for _, fact in good)
    sides = sorted(min(fact.width, fact.height) for _, fact in good) or [0]
    found.append(
        Finding(
            "formats_and_sizes",
            "info",
            f"{many(len(kinds), 'kind')} of files, {many(len(sizes), 'size')}; shorter side from {sides[0]} to "
            f"{sides[-1]} pixels, median {sides[len(sides) // 2]}.",
            "Mixed sources differ in more than faces: see the shortcuts below.",
            "",
            ("kind or size", "files"),
            [(kind, f"{count:,}") for kind, count in (*kinds.most_common(12), *sizes.most_common(8))],
            {"kinds": len(kinds), "sizes": len(sizes), "progressive": sum(fact.progressive for _, fact in good)},
        )
    )
    small: list[tuple[str, ...]] = [
        (image, f"{fact.width} x {fact.height}") for image, fact in good if min(fact.width, fact.height) < image_size
    ]
    if small:
        found.append(
            Finding(
                "small_images",
                "warning" if len(small) > 0.01 * len(good) else "info",
                f"{many(len(small), 'image')} smaller than the network's input of {image_size} pixels.",
                "They are enlarged, and blurred by it; blur can become a shortcut.",
                "Choose a smaller --data.image_size, or leave them out with --data.exclude.",
                ("image", "size"),
                small,
                {"images": len(small)},
            )
        )
    return found


def check_duplicates(
    split: Split, exact: Sequence[Sequence[int]], near: Sequence[tuple[int, int, float]]
) -> list[Finding]:
    """The same picture twice, in particular on both sides of the split or under two labels."""
    images, labels, names = split.legend.images, split.legend.labels, split.legend.class_names

    def row(numbers: Sequence[int], extra: str = "") -> tuple[str, ...]:
        parts = {PARTS[split.parts[number]] for number in numbers}
        said = {names[labels[number]] for number in numbers}
        notes = [extra] if extra else []
        notes += ["across the split"] if TESTING in {split.parts[n] for n in numbers} and len(parts) > 1 else []
        notes += ["different labels"] if len(said) > 1 else []
        return (
            " = ".join(images[n] for n in numbers),
            ", ".join(sorted(said)),
            ", ".join(sorted(parts)),
            "; ".join(notes),
        )

    found = []
    for name, rows, what in (
        ("exact_duplicates", [row(group) for group in exact], "byte for byte the same file under several names"),
        ("near_duplicates", [row((a, b), f"{alike:.3f}") for a, b, alike in near], "nearly the same picture"),
    ):
        if not rows:
            continue
        across = sum("across the split" in line[3] for line in rows)
        torn = sum("different labels" in line[3] for line in rows)
        rows.sort(key=lambda line: -(2 * ("across the split" in line[3]) + ("different labels" in line[3])))
        found.append(
            Finding(
                name,
                "serious" if across and name == "exact_duplicates" else "warning",
                f"{many(len(rows), 'group')} of images, {what}: {across} across the split, {torn} with different "
                "labels.",
                "A test image that was trained on is not a test; two labels for one picture cannot both be right.",
                "Keep one of each: `fit --data.exclude duplicates.csv` leaves the others out of training.",
                ("images", "labels", "parts", "note"),
                rows,
                {"groups": len(rows), "across_the_split": across, "different_labels": torn},
            )
        )
    return found


def check_sources(legend: Legend, facts: Sequence[ImageMetadata]) -> list[Finding]:
    """How the classes are spread over colour and grey pictures."""
    names = legend.class_names
    tally = np.zeros((len(names), 2), np.int64)
    for label, fact in zip(legend.labels.tolist(), facts, strict=True):
        if not fact.error:
            tally[label, int(fact.colour)] += 1
    share = tally[:, 1].sum() / max(tally.sum(), 1)
    if share in (0, 1):
        return []
    shares = tally[:, 1] / np.maximum(tally.sum(1), 1)
    apart = int(np.abs(shares - share).argmax())
    return [
        Finding(
            "colour_by_class",
            "info",
            f"{share:.1%} of the pictures are in colour, but {shares[apart]:.1%} of '{names[apart]}' "
            f"({tally[apart, 1]:,} of {tally[apart].sum():,}).",
            "Where classes differ in this, colour gives away the class.",
            "",
            ("class", "grey", "colour", "share in colour"),
            [(names[k], f"{tally[k, 0]:,}", f"{tally[k, 1]:,}", f"{shares[k]:.1%}") for k in range(len(names))],
            {"share": float(share), "furthest": float(shares[apart])},
        )
    ]


def check_shortcuts(split: Split, facts: Sequence[ImageMetadata]) -> list[Finding]:
    """What facts about the file alone give away."""
    legend = split.legend
    found = shortcuts(file_facts(facts, legend.users), legend, split.identities)
    counts = np.bincount(legend.labels, minlength=len(legend.class_names))
    majority, chance = float(counts.max() / counts.sum()), 1 / int((counts > 0).sum())
    whole = found[-1]
    strongest = max(found[:-1], key=lambda shortcut: shortcut.cramers_v)
    strong = whole.balanced_accuracy > 2 * chance or whole.accuracy > majority + 0.03 or strongest.cramers_v > 0.3
    colour = next(shortcut for shortcut in found if shortcut.fact == "colour")
    advice = "Choose --data.color grey, so that colour cannot be used. " if colour.cramers_v > 0.1 else ""
    return [
        Finding(
            "shortcuts",
            "warning" if strong else "info",
            f"Facts about the file alone, without a look at the face, reach {whole.accuracy:.1%} accuracy (majority "
            f"{majority:.1%}) and {whole.balanced_accuracy:.1%} balanced accuracy (chance {chance:.1%}); the strongest "
            f"is {strongest.fact}, with a Cramer's V of {strongest.cramers_v:.2f}.",
            "A network may learn the source of a picture instead of the expression, and fail on other pictures.",
            advice + "Compare the slices in the report of `test`.",
            ("fact", "Cramer's V", "accuracy", "balanced accuracy"),
            [
                (
                    s.fact,
                    "" if s is whole else f"{s.cramers_v:.2f}",
                    f"{s.accuracy:.1%}",
                    f"{s.balanced_accuracy:.1%}",
                )
                for s in found
            ],
            {
                "accuracy": whole.accuracy,
                "balanced_accuracy": whole.balanced_accuracy,
                "majority": majority,
                **{f"cramers_v_{s.fact.replace(' ', '_')}": s.cramers_v for s in found[:-1]},
            },
        )
    ]
