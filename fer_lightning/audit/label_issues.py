"""Check for labels that are probably wrong, by confident learning."""

from collections.abc import Iterator
from itertools import permutations

from fer_lightning.audit.findings import DataSet, Exhibit, Finding
from fer_lightning.names import many

_SHOWN = 40


def check(data: DataSet) -> Iterator[Finding]:
    """Finding `label_issues`, if there are predictions."""
    if data.predictions is None or data.issues is None:
        return
    names, examined, issues = data.predictions.class_names, len(data.predictions.images), data.issues
    wrong = 1 - float(issues.joint.trace())
    pairs = sorted(((float(issues.joint[a, b]), a, b) for a, b in permutations(range(len(names)), 2)), reverse=True)
    yield Finding(
        "label_issues",
        "warning",
        f"{many(len(issues.rows), 'label')} of {examined:,} are in doubt; confident learning estimates that "
        f"{wrong:.0%} of all labels are wrong.",
        ("label", "looks like", "estimated fraction of all images"),
        [(names[a], names[b], f"{fraction:.2%}") for fraction, a, b in pairs[:12] if fraction > 0],
        {
            "issues": len(issues.rows),
            "estimated_error_rate": wrong,
            "examined": examined,
            "accuracy": float(data.predictions.measures.right.mean()),
        },
        [
            Exhibit([image], (f"label: {label}", f"looks like {suggested} ({float(score):.2f})", image))
            for image, label, suggested, score in listed(data)[:_SHOWN]
        ],
    )


def listed(data: DataSet) -> list[tuple[str, str, str, str]]:
    """Image, label, suggested label and issue score (-1 to 1) of the labels in doubt, the worst first."""
    predictions, issues = data.predictions, data.issues
    if predictions is None or issues is None:
        return []
    names, labels = predictions.class_names, predictions.labels
    return [
        (predictions.images[row], names[labels[row]], names[issues.suggested[row]], f"{issues.issue_score[row]:.4f}")
        for row in issues.rows.tolist()
    ]
