"""Speed of `predict`: `python benchmarks/predict.py DATA [--fer PYTHON] [--images 2000] [--minutes 10]`.

DATA is a data set with photographs, of which some are taken evenly, and a video is made of them (640 x 360, 25 frames a
second, one or two faces). Printed are pictures a second, the ratio to the first row, and the peak of the resident
memory of all processes of the run together, for

- `predict --faces detect` and `--faces whole` on the folder, and `predict` on the video,
- the same work one image at a time: detection and network in a plain loop over `ExpressionRecognizer.predict`,
- the `fer` package from PyPI, as its README shows it, with a Python that has it.

Start-up of the programs is not counted.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent

ONE_BY_ONE = """
import sys, time
from pathlib import Path
from fer_lightning import ExpressionRecognizer
paths = sorted(Path(sys.argv[1]).iterdir())
recognizer = ExpressionRecognizer("pretrained", faces=sys.argv[2], workers=0)
recognizer.predict(paths[0])
start = time.monotonic()
for path in paths:
    recognizer.predict(path)
print("SECONDS", time.monotonic() - start)
"""

FER = """
import sys, time
from pathlib import Path
import cv2
from fer.fer import FER
paths = sorted(Path(sys.argv[1]).iterdir())
detector = FER()
detector.detect_emotions(cv2.imread(str(paths[0])))
found, start = 0, time.monotonic()
for path in paths:
    found += bool(detector.detect_emotions(cv2.imread(str(path))))
print("SECONDS", time.monotonic() - start)
print("FACES", found)
"""


def make_video(folder: Path, path: Path, seconds: int) -> None:
    """Faces that move and change every two seconds."""
    import cv2
    import numpy as np
    from PIL import Image

    faces = [np.asarray(Image.open(file).convert("RGB").resize((150, 150))) for file in sorted(folder.iterdir())[:400]]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (640, 360))
    for number in range(seconds * 25):
        frame = np.full((360, 640, 3), 90, np.uint8)
        scene = number // 50
        for place in range(1 if scene % 5 == 4 else 2):
            left = int(100 + 300 * place + 30 * np.sin(number / 20 + place))
            top = int(100 + 20 * np.cos(number / 15))
            frame[top : top + 150, left : left + 150] = faces[(2 * scene + place) % len(faces)]
        writer.write(frame[:, :, ::-1].copy())
    writer.release()


def measure(command: list[str]) -> tuple[float, float, str]:
    """Run a command: seconds, peak memory of it and its children in MB, and what it printed."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=PROJECT)
    peak = [0.0]

    def watch() -> None:
        while process.poll() is None:
            peak[0] = max(peak[0], memory(process.pid))
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    return time.monotonic() - start, peak[0], said


def memory(pid: int) -> float:
    """Proportional set size of a process and its children in MB, so that what they share counts once."""
    pids, total = [pid], 0.0
    while pids:
        one = pids.pop()
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
            pids += [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except (OSError, StopIteration):
            continue
    return total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--fer", help="a Python that has the package fer")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, video = Path(place) / "photographs", Path(place) / "film.mp4"
        folder.mkdir()
        files = sorted((Path(options.data) / "images").resolve().iterdir())
        step = len(files) / options.images
        for number in range(options.images):
            file = files[int(number * step)]
            (folder / f"{number:05d}{file.suffix}").symlink_to(file)
        make_video(folder, video, round(options.minutes * 60))
        train = [sys.executable, str(PROJECT / "train.py"), "predict", "--ckpt_path", "pretrained", "--input"]
        empty = Path(place) / "one"
        empty.mkdir()
        (empty / files[0].name).symlink_to(files[0])
        start_up = min(measure([*train, str(empty), "--output", f"{place}/{run}.csv"])[0] for run in range(3))
        frames = round(options.minutes * 60) * 25
        rows: list[tuple[str, int, float, float]] = []

        def add(name: str, command: list[str], count: int, inside: bool) -> None:
            seconds, peak, said = measure(command)
            if inside:
                seconds = float(said.split("SECONDS ")[1].split()[0])
            else:
                seconds -= start_up
            rows.append((name, count, seconds, peak))
            rate, first = count / seconds, rows[0][1] / rows[0][2]
            print(f"{name:<48}{rate:>9.0f}{rate / first:>8.2f}{peak:>9.0f}", flush=True)

        print(f"{platform.machine()}, {os.cpu_count()} cores; start-up of predict {start_up:.1f} s, not counted")
        print(f"{'':<48}{'a second':>9}{'ratio':>8}{'peak MB':>9}")
        for faces in ("detect", "whole"):
            name = f"predict --faces {faces}, {options.images:,} photographs"
            add(
                name, [*train, str(folder), "--faces", faces, "--output", f"{place}/{faces}.csv"], options.images, False
            )
        few = folder.with_name("fewer")
        few.mkdir()
        for file in sorted(folder.iterdir())[: options.images // 4]:
            (few / file.name).symlink_to(file.resolve())
        name = f"predict --faces detect, {options.images // 4:,} of them"
        command = [*train, str(few), "--faces", "detect", "--output", f"{place}/few.csv"]
        add(name, command, options.images // 4, False)
        name = f"predict, a video of {options.minutes:g} minutes, frames"
        add(name, [*train, str(video), "--output", f"{place}/video.csv"], frames, False)
        for faces in ("detect", "whole"):
            name = f"one photograph at a time, {faces}"
            add(name, [sys.executable, "-c", ONE_BY_ONE, str(folder), faces], options.images, True)
        if options.fer:
            add("fer (PyPI), detector and network", [options.fer, "-c", FER, str(folder)], options.images, True)


if __name__ == "__main__":
    main()
