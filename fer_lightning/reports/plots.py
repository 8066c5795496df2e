"""Charts for reports, as SVG in a data URI that needs no other file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fer_lightning.evaluation.measures import ECE_BINS, Measures
from fer_lightning.model.calibration import risk_coverage
from fer_lightning.reports.page import data_uri

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GRAY, INK = "#2563a8", "#d97706", "#9ca3af", "#1f2937"
_COLORS = {"ink": (INK, "#e5e7eb"), "blue": (BLUE, "#60a5fa"), "orange": (ORANGE, "#f59e0b")}
"""What stands for a color in a page that is light, and in a dark one."""


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "fer"})
    mpl.rcParams.update({"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK})
    mpl.rcParams.update({"xtick.color": INK, "ytick.color": INK})
    figure = Figure((width, height), layout="constrained")
    return figure, figure.add_subplot()


def _uri(figure: Figure) -> str:
    """The chart on no ground, in colors that follow the reader's choice of light or dark."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    chart = buffer.getvalue()
    for name, (light, _) in _COLORS.items():
        chart = chart.replace(light, f"var(--{name})")
    light, dark = ("".join(f"--{name}: {pair[k]}; " for name, pair in _COLORS.items()) for k in (0, 1))
    style = f"<style>:root {{ {light}}} @media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}</style>"
    return data_uri("image/svg+xml", chart.replace("<defs>", f"{style}<defs>", 1).encode())


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


def learning_curves(rows: Sequence[dict[str, str]]) -> list[str]:
    """Loss and accuracy of training and validation by epoch, a chart each."""
    from matplotlib.ticker import MaxNLocator

    epochs, charts = [int(row["epoch"]) + 1 for row in rows], []
    for measure, said in (("loss", "loss"), ("acc", "accuracy")):
        figure, axes = _figure(4.2, 3.2)
        for subset, color in (("train", ORANGE), ("val", BLUE)):
            values = [float(row[f"{subset}_{measure}"]) for row in rows if row.get(f"{subset}_{measure}")]
            if len(values) == len(epochs):
                axes.plot(epochs, values, color=color, marker="o", markersize=3, label=subset)
        axes.set(xlabel="epoch", ylabel=said)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.lines:
            axes.legend(frameon=False)
        charts.append(_uri(figure))
    return charts
