"""Check for images that are there twice, in particular on both sides of the split or under two labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fer_lightning.audit.data_set import DataSet
from fer_lightning.audit.findings import Exhibit, Finding, many
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.splits import TESTING

_SHOWN = 12
_ACROSS, _TORN = "across the split", "different labels"


def check(data: DataSet) -> Iterator[Finding]:
    """Findings `exact_duplicates`, `near_duplicates`."""
    exact = [_described(data, rows) for rows in data.exact_duplicates]
    near = [_described(data, (one, other), f"{alike:.3f}") for one, other, alike in data.near_duplicates]
    for name, what, groups in (
        ("exact_duplicates", "byte for byte the same file under several names", exact),
        ("near_duplicates", "nearly the same image", near),
    ):
        if not groups:
            continue
        across, torn = (sum(said in group[-1] for group in groups) for said in (_ACROSS, _TORN))
        groups.sort(key=lambda group: (_ACROSS in group[-1], _TORN in group[-1]), reverse=True)
        yield Finding(
            name,
            "serious" if across and name == "exact_duplicates" else "warning",
            f"{many(len(groups), 'group')} of images, {what}: {across} {_ACROSS}, {torn} with {_TORN}.",
            "A test image that was trained on is not a test; two labels for one image cannot both be right.",
            "Keep one of each: `fit --data.exclude duplicates.csv` leaves the others out of training.",
            ("images", "labels", "subsets", "note"),
            [(" = ".join(images), *rest) for images, *rest in groups],
            {"groups": len(groups), "across_the_split": across, "different_labels": torn},
            [Exhibit(images[:4], (labels, note)) for images, labels, _, note in groups[:_SHOWN]],
        )


def copies(data: DataSet) -> list[str]:
    """The images to leave out: of each group one image stays, the one in the testing subset if there is one."""
    extra: set[int] = set()
    for group in (*data.exact_duplicates, *((one, other) for one, other, _ in data.near_duplicates)):
        kept = max(group, key=lambda row: (data.split.subsets[row] == TESTING, -row))
        extra |= {row for row in group if row != kept}
    return [data.legend.images[row] for row in sorted(extra)]


def _described(data: DataSet, rows: Sequence[int], likeness: str = "") -> tuple[list[str], str, str, str]:
    """Images, labels, subsets, and what is to be noted about them."""
    labels = {data.legend.class_names[data.legend.labels[row]] for row in rows}
    subsets = {int(data.split.subsets[row]) for row in rows}
    across = TESTING in subsets and len(subsets) > 1
    notes = filter(None, (likeness, _ACROSS * across, _TORN * (len(labels) > 1)))
    named = sorted(SUBSETS[subset] for subset in subsets)
    return [data.legend.images[row] for row in rows], ", ".join(sorted(labels)), ", ".join(named), "; ".join(notes)
