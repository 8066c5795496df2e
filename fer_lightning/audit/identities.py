"""Check who is in the images, and who would be on both sides of the split under each rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fer_lightning.audit.data_set import DataSet
from fer_lightning.audit.findings import Finding, many


def check(data: DataSet) -> Iterator[Finding]:
    """Findings `identities`, `shared_identities`."""
    numbers = Counter(data.split.identities)
    (name, most), people = numbers.most_common(1)[0], len(numbers)
    origin = "the column 'identity'" if data.split.options.get("identity") == "column" else "the file names"
    yield Finding(
        "identities",
        "info",
        f"{many(people, 'identity', 'identities')}, taken from {origin}; the most frequent, '{name}', has "
        f"{many(most, 'image')}.",
        "Images of one person are not independent: intervals are drawn over people."
        if people < len(data.legend)
        else "Every image counts as a person of its own, as no name repeats.",
        "If that is not so, set --data.identity, or add a column 'identity' to the legend.",
        ("identity", "images"),
        [(person, str(count)) for person, count in numbers.most_common(10)],
        {"identities": people, "largest": most},
    )
    shared = {rule: split.shared_identities() for rule, split in data.splits.items()}
    said = {rule: f"{count / testing:.1%}" for rule, (count, testing) in shared.items()}
    yield Finding(
        "shared_identities",
        "serious" if shared[data.rule][0] else "info",
        "Test images that show a person from training: "
        + ", ".join(f"{fraction} with --data.split {rule}" for rule, fraction in said.items())
        + f" ({data.rule} is chosen).",
        "A network can recognise the person instead of the expression, and the result looks better than it is.",
        "Use --data.split grouped." if shared[data.rule][0] else "Keep --data.split grouped.",
        ("--data.split", "test images", "of somebody in training", "fraction"),
        [(rule, f"{testing:,}", f"{count:,}", said[rule]) for rule, (count, testing) in shared.items()],
        {f"shared_{rule}": count / testing for rule, (count, testing) in shared.items()},
    )
