"""Check for labels that are probably wrong, by what networks say that were not trained on the images."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from fer_lightning.audit.confident_learning import confident_learning
from fer_lightning.audit.data_set import DataSet
from fer_lightning.audit.findings import Exhibit, Finding, many

_SHOWN = 40


def check(data: DataSet) -> Iterator[Finding]:
    """Finding `label_issues`, if there are predictions."""
    if data.predictions is None:
        return
    names, images = data.predictions.class_names, data.predictions.images
    issues = confident_learning(data.predictions.labels, data.predictions.probabilities)
    wrong = 1 - float(issues.joint.trace())
    pairs = sorted(((float(issues.joint[a, b]), a, b) for a, b in permutations(range(len(names)), 2)), reverse=True)
    yield Finding(
        "label_issues",
        "warning",
        f"{many(len(issues.rows), 'label')} of {len(images):,} are in doubt; confident learning estimates that "
        f"{wrong:.0%} of all labels are wrong.",
        "These images look like another class to networks that were not trained on them. Some are hard, not wrong: the "
        f"networks' own accuracy here is {data.predictions.measures.right.mean():.1%}, and the weaker they are, the "
        "more the estimate is too high.",
        "Look at the images. Then give label_issues.csv back to `fit`: --data.exclude leaves these images out of "
        "training and validation, --data.relabel takes the suggested labels there. The testing subset never changes.",
        ("label", "looks like", "estimated fraction of all images"),
        [(names[a], names[b], f"{fraction:.2%}") for fraction, a, b in pairs[:12] if fraction > 0],
        {"issues": len(issues.rows), "estimated_error_rate": wrong, "examined": len(images)},
        [
            Exhibit([image], (f"label: {label}", f"looks like {suggested} ({float(score):.2f})", image))
            for image, label, suggested, score in listed(data)[:_SHOWN]
        ],
    )


def listed(data: DataSet) -> list[tuple[str, str, str, str]]:
    """Image, label, suggested label and issue score (-1 to 1) of the labels in doubt, the worst first."""
    if data.predictions is None:
        return []
    names, images, labels = data.predictions.class_names, data.predictions.images, data.predictions.labels
    issues = confident_learning(labels, data.predictions.probabilities)
    return [
        (images[row], names[labels[row]], names[issues.suggested[row]], f"{issues.issue_score[row]:.4f}")
        for row in issues.rows.tolist()
    ]
