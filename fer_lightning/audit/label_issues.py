"""Check for labels that are probably wrong, by confident learning (Northcutt et al. 2021, arXiv 1911.00068)."""

from collections.abc import Iterator
from itertools import permutations
from typing import NamedTuple

import numpy as np

from fer_lightning.audit.findings import DataSet, Exhibit, Finding, many
from fer_lightning.evaluation.predictions import Predictions

_SHOWN = 40


def check(data: DataSet) -> Iterator[Finding]:
    """Finding `label_issues`, if there are predictions."""
    if data.predictions is None:
        return
    names, examined = data.predictions.class_names, len(data.predictions.images)
    issues = confident_learning(data.predictions.labels, data.predictions.probabilities)
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
            for image, label, suggested, score in listed(data.predictions)[:_SHOWN]
        ],
    )


def listed(predictions: Predictions) -> list[tuple[str, str, str, str]]:
    """Image, label, suggested label and issue score (-1 to 1) of the labels in doubt, the worst first."""
    names, labels = predictions.class_names, predictions.labels
    issues = confident_learning(labels, predictions.probabilities)
    return [
        (predictions.images[row], names[labels[row]], names[issues.suggested[row]], f"{issues.issue_score[row]:.4f}")
        for row in issues.rows.tolist()
    ]


class LabelIssues(NamedTuple):
    """What confident learning says of `n` images and `c` classes."""

    joint: np.ndarray  # float `(c, c)`, estimated fraction with given label (row) and true label (column); sums to 1
    rows: np.ndarray  # numbers of the images whose label is in doubt, the most doubtful first
    suggested: np.ndarray  # int64 `(n,)`, the label each image looks like
    issue_score: np.ndarray  # float `(n,)`, probability of the suggested label minus that of the given one, -1..1


def confident_learning(labels: np.ndarray, probabilities: np.ndarray) -> LabelIssues:
    """Find labels that a network which was not trained on these images confidently contradicts.

    An image counts for class `j` if its probability of `j` reaches the mean probability of `j` over the images labelled
    `j` (section 3.1); of several such classes, for the most probable one. Images that count for another class than
    their label are issues; the counts, scaled to the given labels' numbers, estimate the joint distribution
    (equation 3).

    Two precautions go beyond the paper. A class that the networks have not learned has a mean near 0 and would attract
    every image, so no threshold is below `1 / c`. And an image whose given label is also the most probable one is no
    issue.

    Args:
        labels: int `(n,)`, the given labels.
        probabilities: float `(n, c)`, out-of-sample: from networks that did not train on the image in question.
    """
    classes = probabilities.shape[1]
    given = np.bincount(labels, minlength=classes)
    means = [probabilities[labels == label, label].mean() if given[label] else np.inf for label in range(classes)]
    reached = np.where(probabilities >= np.maximum(means, 1 / classes), probabilities, -1.0)
    counted, confident = reached.argmax(1), reached.max(1) >= 0
    table = np.bincount((labels * classes + counted)[confident], minlength=classes**2).reshape(classes, classes)
    joint = table / np.maximum(table.sum(1, keepdims=True), 1) * given[:, None]
    everyone = np.arange(len(labels))
    score = probabilities[everyone, counted] - probabilities[everyone, labels]
    rows = np.flatnonzero(confident & (counted != labels) & (probabilities.argmax(1) != labels))
    return LabelIssues(joint / max(joint.sum(), 1e-12), rows[np.argsort(-score[rows], kind="stable")], counted, score)
