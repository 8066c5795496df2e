"""Confident learning: which labels do predictions contradict? (Northcutt et al. 2021, arXiv 1911.00068)."""

from typing import NamedTuple

import numpy as np


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
