"""Expressions over the time of a video, as a plot."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_lightning.errors import FERError
from fer_lightning.files import replacing_path
from fer_lightning.inference.drawing import COLORS, on_one_line
from fer_lightning.inference.expression import Expression
from fer_lightning.inference.frames import Frame
from fer_lightning.names import printable

MAKER = "fer_lightning timeline"
"""What a plot says it was made by."""


class Timeline:
    """How probable each expression is over the time of a video, in one plot (PNG, SVG or PDF)."""

    def __init__(self, output: str, class_names: Sequence[str]) -> None:
        self.path, self.class_names = Path(output).expanduser(), tuple(class_names)
        if self.path.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise FERError(f"Invalid value for --timeline. Expected a .png, .svg or .pdf file. Received: {output}.")
        self._cells = np.zeros((2_000, len(self.class_names) + 1))  # sums of probabilities, and of frames
        self._step = 0.25  # seconds of a cell
        self._last = self._gap = 0.0  # time of the last frame, and since the one before

    def add(self, frame: Frame, expressions: Sequence[Expression]) -> None:
        """Take in one frame; its faces divide its weight."""
        if frame.seconds is None or frame.error:
            return
        while frame.seconds >= self._step * len(self._cells):  # flat memory however long the video: cells twice as wide
            halves = self._cells.reshape(len(self._cells) // 2, 2, -1).sum(1)
            self._cells, self._step = np.concatenate([halves, np.zeros_like(halves)]), self._step * 2
        self._gap, self._last = max(frame.seconds - self._last, 0.0), frame.seconds
        cell = self._cells[int(frame.seconds / self._step)]
        for said in expressions:
            cell[:-1] += np.array(list(said.probabilities.values())) / len(expressions)
        cell[-1] += 1

    def close(self) -> str:
        """Draw it; what was written."""
        filled = np.flatnonzero(self._cells[:, -1])
        if not len(filled):
            return "No timeline, as no video was read"
        from matplotlib.figure import Figure

        end = max(filled[-1] + 1, min(int((self._last + self._gap) / self._step), len(self._cells)))
        cells = self._cells[:end]
        lasting = np.maximum.accumulate(np.where(cells[:, -1] > 0, np.arange(len(cells)), -1))  # a frame, till the next
        means = np.where(lasting[:, None] >= 0, cells[lasting, :-1] / np.maximum(cells[lasting, -1:], 1), 0)
        edges = np.arange(len(means) + 1) * self._step
        order = np.argsort(-means.sum(0), kind="stable")
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        axes = figure.subplots()
        areas = axes.stackplot(
            edges,
            np.vstack([means, means[-1:]])[:, order].T,
            step="post",
            colors=[COLORS[place % len(COLORS)] for place in order],
            linewidth=0,
        )
        axes.set(xlim=(0, edges[-1]), ylim=(0, 1), xlabel="seconds", ylabel="mean probability")
        axes.set_title("Expressions over time (white: no face)", loc="left", fontsize=11)
        shown = [f"\u200b{on_one_line(self.class_names[place])}" for place in order]  # one with _ first were left out
        legend = axes.legend(areas, shown, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, reverse=True)
        for text in legend.get_texts():
            text.set_parse_math(False)
        axes.spines[["top", "right"]].set_visible(False)
        maker = {"Software" if self.path.suffix.lower() == ".png" else "Creator": MAKER}
        with replacing_path(self.path) as aside:
            figure.savefig(aside, dpi=130, metadata=maker)
        return f"Timeline in {printable(str(self.path))}"
