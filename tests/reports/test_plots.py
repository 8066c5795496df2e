"""Charts can be read."""

from __future__ import annotations

import numpy as np
import pytest

from fer_lightning.reports import plots


@pytest.mark.parametrize("classes", [2, 8, 40])
def test_the_legend_of_class_counts_lies_over_no_bar(monkeypatch, classes):
    figures = []
    monkeypatch.setattr(plots, "_uri", lambda figure: figures.append(figure) or "")
    plots.class_counts(np.full((3, classes), 100), [f"class {number}" for number in range(classes)])
    (figure,) = figures
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert not legend.get_window_extent().overlaps(figure.axes[0].get_window_extent())
    assert [text.get_text() for text in legend.get_texts()] == ["training", "validation", "testing"]
