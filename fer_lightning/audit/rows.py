"""Check the legend's rows: unusable ones, repeats, conflicts, spellings."""

from __future__ import annotations

from collections.abc import Iterator

from fer_lightning.audit.data_set import DataSet
from fer_lightning.audit.findings import Finding, many


def check(data: DataSet) -> Iterator[Finding]:
    """Findings `bad_rows`, `repeated_rows`, `conflicting_labels`, `label_spellings`."""
    legend, problems = data.legend, data.problems
    if problems:
        yield Finding(
            "bad_rows",
            "serious",
            f"{many(len(problems), 'row')} of the legend cannot be used.",
            "Training refuses this legend until they are mended.",
            "Correct or delete these lines.",
            ("line", "problem"),
            [(str(line), message) for line, message in problems],
            {"rows": len(problems)},
        )
    if legend.repeated:
        yield Finding(
            "repeated_rows",
            "info",
            f"{many(len(legend.repeated), 'row')} repeat another one word for word (image and label).",
            "They are merged. By the notebook's sequential rule they still count as rows.",
            "Nothing to do.",
            ("image",),
            [(image,) for image in legend.repeated],
            {"rows": len(legend.repeated)},
        )
    if legend.conflicting:
        yield Finding(
            "conflicting_labels",
            "warning",
            f"{many(len(legend.conflicting), 'image')} under more than one label.",
            "At least one of the labels is wrong. By default such images are left out.",
            "Decide and correct the legend, or choose --data.conflicts keep or error.",
            ("image", "labels"),
            [(image, ", ".join(labels)) for image, labels in legend.conflicting.items()],
            {"images": len(legend.conflicting)},
        )
    by_label: dict[str, list[str]] = {}
    for spelling in legend.spellings:
        by_label.setdefault(spelling.lower(), []).append(spelling)
    if len(legend.spellings) > len(by_label):
        yield Finding(
            "label_spellings",
            "info",
            f"{len(legend.spellings)} spellings of {len(by_label)} labels were merged.",
            "Upper and lower case and surrounding space do not matter here; elsewhere they make extra classes.",
            "Nothing to do.",
            ("label", "spellings"),
            [(label, ", ".join(spellings)) for label, spellings in by_label.items() if len(spellings) > 1],
            {"spellings": len(legend.spellings), "labels": len(by_label)},
        )
