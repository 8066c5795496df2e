"""Charts for reports, as SVG in a data URI that needs no other file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_lightning.data.legend import SUBSETS
from fer_lightning.evaluation.measures import ECE_BINS, Measures
from fer_lightning.model.calibration import risk_coverage
from fer_lightning.reports.page import data_uri

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMED = 40
"""Classes that can be told apart in a chart; more would take minutes to draw."""
BLUE, ORANGE, GRAY = "#2563a8", "#d97706", "#9ca3af"


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "fer"})
    mpl.rcParams["text.parse_math"] = False  # a class may be called $x^$
    figure = Figure((width, height), layout="constrained")
    return figure, figure.add_subplot()


def _uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_uri("image/svg+xml", buffer.getvalue())


def confusion_matrix(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Counts in the cells, up to 40 classes; fractions of the true class as color."""
    counts = np.asarray(matrix)
    fractions = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = 1.6 + 0.55 * min(len(names), _NAMED)
    figure, axes = _figure(size + 0.6, size)
    image = axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    for (row, column), fraction in np.ndenumerate(fractions if len(names) <= _NAMED else fractions[:0]):
        text = f"{counts[row, column]}\n{fraction:.0%}" if counts[row, column] else "0"
        axes.text(
            column, row, text, ha="center", va="center", fontsize=7, color="white" if fraction > 0.55 else "#1f2937"
        )
    step = -(-len(names) // _NAMED)
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=40, ha="right")
    axes.set_yticks(range(0, len(names), step), names[::step])
    axes.set(xlabel="predicted", ylabel="true (label in the legend)")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.8, label="fraction of the true class", format="{x:.0%}")
    return _uri(figure)


def reliability(after: Measures, before: Measures | None) -> str:
    """Accuracy against confidence in the bins of the expected calibration error; on the diagonal is right."""
    figure, axes = _figure(4.2, 3.8)
    axes.plot([0, 1], [0, 1], color=GRAY, linestyle="--", linewidth=1, label="perfect")
    drawn = [(before, ORANGE, "before calibration", "o")] if before is not None else []
    for measures, color, label, marker in [*drawn, (after, BLUE, "as given", "s")]:
        bins, count = measures.bins, np.bincount(measures.bins, minlength=ECE_BINS)
        full = count >= 5
        confidence = np.bincount(bins, measures.confidence, ECE_BINS)[full] / count[full]
        accuracy = np.bincount(bins, measures.right, ECE_BINS)[full] / count[full]
        axes.plot(confidence, accuracy, color=color, marker=marker, markersize=4, label=label)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, loc="upper left")
    return _uri(figure)


def risk_by_coverage(measures: Measures) -> str:
    """How often given answers are wrong, if only the most confident images are answered."""
    figure, axes = _figure(4.2, 3.8)
    _, coverage, risk = risk_coverage(measures.confidence, measures.right)
    axes.plot(coverage, risk, color=BLUE, label="most confident first")
    overall = 1 - measures.right.mean()
    axes.axhline(overall, color=GRAY, linestyle="--", linewidth=1, label="everything answered")
    axes.set(xlabel="fraction of images answered", ylabel="fraction of answers that are wrong", xlim=(0, 1))
    axes.set_ylim(0, max(1.3 * overall, 0.05))
    axes.legend(frameon=False)
    return _uri(figure)


def accuracy_of_groups(slices: Sequence[Mapping[str, Any]], overall: float) -> str | None:
    """The accuracy of each measurable group with its interval, up to 40; None without two of them."""
    known = [one for one in slices if one["measurable"]][:_NAMED]
    if len(known) < 2:
        return None
    figure, axes = _figure(6.4, 0.9 + 0.28 * len(known))
    places = range(len(known), 0, -1)
    names = [f"{one['attribute'][:24]} = {one['value'][:24]}" for one in known]
    for place, one in zip(places, known, strict=True):
        axes.plot(one["intervals"]["accuracy"], [place, place], color=BLUE, linewidth=2)
        axes.plot(one["accuracy"], place, color=BLUE, marker="o", markersize=5)
    axes.axvline(overall, color=GRAY, linestyle="--", linewidth=1)
    axes.set_yticks(list(places), names)
    axes.set(xlabel="accuracy, with its 95 % interval; the dashed line is that of all images")
    axes.set_ylim(0.4, len(known) + 0.6)
    return _uri(figure)


def learning_curves(rows: Sequence[dict[str, str]]) -> str:
    """Loss and accuracy of training and validation by epoch."""
    figure, axes = _figure(8.4, 3.2)
    axes.remove()
    left, right = figure.subplots(1, 2)
    epochs = [int(row["epoch"]) + 1 for row in rows]
    for panel, measure in ((left, "loss"), (right, "acc")):
        for subset, color in (("train", ORANGE), ("val", BLUE)):
            values = [float(row[f"{subset}_{measure}"]) for row in rows if row.get(f"{subset}_{measure}")]
            if len(values) == len(epochs):
                panel.plot(epochs, values, color=color, marker="o", markersize=3, label=subset)
        panel.set(xlabel="epoch", ylabel={"loss": "loss", "acc": "accuracy"}[measure])
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.legend(frameon=False)
    return _uri(figure)


def class_counts(counts: np.ndarray, names: Sequence[str]) -> str:
    """How many images each class has, int `(3, c)`, training to the left; up to 40 classes, the largest."""
    order = np.argsort(counts.sum(0), kind="stable")[-_NAMED:]
    figure, axes = _figure(7.2, 0.9 + 0.28 * len(order))
    left = np.zeros(len(order))
    for row, subset, color in zip(counts[:, order], SUBSETS, (BLUE, GRAY, ORANGE), strict=True):
        if row.any():
            axes.barh(range(len(order)), row, left=left, color=color, label=subset)
        left += row
    for place, total in enumerate(left.astype(int).tolist()):
        axes.text(total, place, f" {total:,}", va="center", fontsize=8)
    axes.set_yticks(range(len(order)), [names[label] for label in order])
    axes.set(xlabel="images", xlim=(0, 1.12 * max(left.max(), 1)))
    figure.legend(frameon=False, loc="outside upper center", ncols=len(SUBSETS))  # not over the bars
    return _uri(figure)
