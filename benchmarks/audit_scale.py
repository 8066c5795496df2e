"""What an audit costs by the number of images: `python benchmarks/audit_scale.py [10000 100000]`.

Makes data sets of small noise pictures (every one different) and runs `audit` on each in a process of its own. Prints
seconds, images per second and peak memory, and the ratio of the time per image to that of the first size.
"""

from __future__ import annotations

import csv
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from fer_lightning.data.legend import EXPRESSIONS


def make(folder: Path, count: int) -> None:
    """Write `count` pictures of 64 x 64 pixels and their legend."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    with open(folder / "legend.csv", "w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["user.id", "image", "emotion"])
        for number in range(count):
            name = f"person{number // 3}_{number:07d}.jpg"
            small = Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8))
            small.resize((64, 64), Image.Resampling.BICUBIC).save(folder / "images" / name, quality=90)
            rows.writerow(["me", name, EXPRESSIONS[number % 8]])


if __name__ == "__main__":
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{'images':>9} {'seconds':>9} {'images/s':>9} {'peak MB':>9} {'time per image, ratio to first':>32}")
    first = None
    for count in [int(word) for word in sys.argv[1:]] or [10_000, 100_000]:
        with tempfile.TemporaryDirectory() as place:
            make(Path(place, "data"), count)
            words = ["audit", "--data.root", f"{place}/data", "--output", f"{place}/out", "--fail_on", "never"]
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "fer_lightning", *words], check=True, capture_output=True)
            seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        first = first or seconds / count
        print(
            f"{count:>9,} {seconds:>9.1f} {count / seconds:>9.0f} {peak:>9.0f} {seconds / count / first:>32.2f}",
            flush=True,
        )
