"""The report of `gpu.py`, and the setting that its steps are taken in."""

from __future__ import annotations

import contextlib
import io
import json
import time
from pathlib import Path
from typing import Any

import torch

from fer_lightning.data.sources.synthetic import synthetic_faces
from fer_lightning.training.precision import fastest_precision


class OutOfTimeError(Exception):
    """The minutes are over, or a part of them that a step may take."""


class Report:
    """What was found, printed and written as it comes; and how much time is left."""

    def __init__(self, folder: Path | None, minutes: float) -> None:
        self.folder, self.end = folder, time.monotonic() + minutes * 60
        self.about: dict[str, str] = {}
        self.rows: list[dict[str, Any]] = []
        self.step = ""

    def add(self, what: str, **figures: Any) -> None:
        """A row of the current step."""
        self.rows.append({"step": self.step, "what": what, **figures})
        print(f"| {self.step} | {what} | {self._said(figures)} |", flush=True)

    def left(self, needed: float = 0.0) -> float:
        """The seconds that are left; an OutOfTimeError if they are fewer than needed."""
        left = self.end - time.monotonic()
        if left < needed:
            raise OutOfTimeError(f"{left:.0f} seconds are left, {needed:.0f} are needed")
        return left

    def write(self) -> None:
        """Write both files."""
        if self.folder:
            lines = [f"- {name}: {value}" for name, value in self.about.items()] + ["", "| step | what | found |"]
            lines.append("| --- | --- | --- |")
            for row in self.rows:
                figures = {name: value for name, value in row.items() if name not in ("step", "what")}
                lines.append(f"| {row['step']} | {row['what']} | {self._said(figures)} |")
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "results.md").write_text("\n".join(lines) + "\n")
            (self.folder / "results.json").write_text(json.dumps({"about": self.about, "rows": self.rows}, indent=1))

    @staticmethod
    def _said(figures: dict[str, Any]) -> str:
        def one(value: Any) -> str:
            whole = isinstance(value, float) and abs(value) >= 100
            text = f"{value:,.0f}" if whole else f"{value:.4g}" if isinstance(value, float) else str(value)
            return text.replace("|", "/").replace("\n", " ")

        return "; ".join(f"{name.replace('_', ' ')} {one(value)}" for name, value in figures.items())


class Setting:
    """The device, how large everything is, and a place for files."""

    def __init__(self, device: str, small: bool, place: Path) -> None:
        self.device, self.small, self.place = torch.device(device), small, place
        self.on_gpu = self.device.type == "cuda"
        self.precision = fastest_precision(self.device.type)
        self.images = 512 if small else 7 * 4096  # all batches are full
        self.batches = [64] if small else [64, 256, 1024, 4096]
        self.middle = 64 if small else 1024
        self.subsets: dict[Any, Any] = {}  # of the noise, read once
        self.seconds, self.warm, self.least = (0.3, 2, 3) if small else (1.2, 10, 10)

    def drawn(self) -> Path:
        """The embedded data set, of fewer people."""
        with contextlib.redirect_stderr(io.StringIO()):
            return synthetic_faces(self.place, people=4 if self.small else 40)

    def wait(self) -> None:
        """Until the device is done."""
        if self.on_gpu:
            torch.cuda.synchronize()
