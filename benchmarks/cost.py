"""What predicting costs: `python benchmarks/cost.py DATA [--images 10000 --images 100000] [--price 0.05]`.

DATA is a data set with photographs. First the cost model, on paper: of 1,000 photographs, and of a film of a minute
made of them (640 x 360, 25 frames a second, one or two faces), the core-seconds that each stage takes in one process
with one thread: read and decode; find and cut out faces; the network; rows to Parquet. Then the model is held against
runs of `predict` on folders of so many images (links to those of DATA), with `--faces whole` and `--faces detect`:
core-seconds are what all processes of the run took of the processor, start-up included (the network in one thread).
Runs that would take longer than `--minutes` look at one part of the folder (`--shard`), which the table says.

At the end, core-hours and money for 10 million photographs and a million minutes of film, and what would be left of
them if the network cost nothing, which is the most that a GPU can do. `--price` is that of a core for an hour.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow.parquet
import torch

from benchmarks.predict import make_video
from fer_lightning.data.face_tiles import find_faces_at
from fer_lightning.data.image_files import read_image
from fer_lightning.inference.columns import columns
from fer_lightning.inference.films import Film
from fer_lightning.inference.frames import Frame, Look
from fer_lightning.inference.parquet_rows import parquet_schema, parquet_table
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.inference.sources import Source

PROJECT = Path(__file__).parent.parent
PHOTOGRAPHS, FILM_MINUTES = 10**7, 10**6


@dataclass
class Stages:
    """Core-seconds by stage."""

    decode: float = 0.0
    detect: float = 0.0
    network: float = 0.0
    write: float = 0.0

    @property
    def total(self) -> float:
        """Of all stages."""
        return self.decode + self.detect + self.network + self.write

    def over(self, count: float) -> Stages:
        """For one of so many."""
        return Stages(*(getattr(self, one.name) / count for one in fields(self)))


class Clock:
    """Adds the processor's time since the last look to a stage."""

    def __init__(self) -> None:
        self.stages, self._last = Stages(), time.process_time()

    def now(self, stage: str = "") -> None:
        """Look: what has passed was for this stage, or for none."""
        now = time.process_time()
        if stage:
            setattr(self.stages, stage, getattr(self.stages, stage) + now - self._last)
        self._last = now


def name_and_write(recognizer: ExpressionRecognizer, frames: Sequence[Frame], clock: Clock) -> None:
    """The last two stages."""
    clock.now()
    answered = list(recognizer.answer(frames))
    clock.now("network")
    rows = [row for frame in answered for row in recognizer.recognition(frame).to_dicts()]
    schema = parquet_schema(columns(recognizer.model.class_names), {})
    with pyarrow.parquet.ParquetWriter(io.BytesIO(), schema) as writer:
        writer.write_table(parquet_table(rows, schema))
    clock.now("write")


def photographs(recognizer: ExpressionRecognizer, paths: Sequence[Path], faces: str) -> Stages:
    """Core-seconds of an image, stage by stage."""
    clock, frames, how = Clock(), [], Look(recognizer.input_spec)
    for path in paths:
        clock.now()
        image = read_image(path)
        clock.now("decode")
        known = find_faces_at(image, recognizer.input_spec.detector, 640) if faces == "detect" else [None]
        frames.append(how.at(image, Frame(Source(str(path), "image")), known))
        clock.now("detect")
    name_and_write(recognizer, frames, clock)
    return clock.stages.over(len(paths))


def film(recognizer: ExpressionRecognizer, path: Path, fps: float | None) -> tuple[Stages, int]:
    """Core-seconds of a film, and how many of its frames were looked at."""
    source, frames, how = Source(str(path), "video"), [], Look(recognizer.input_spec)
    clock, opened = Clock(), Film(source, fps=fps)
    for number, seconds in opened:
        image = opened.image()
        clock.now("decode")
        assert image is not None
        frames.append(how.at(image, Frame(source, number, seconds)))
        clock.now("detect")
    clock.now("decode")
    name_and_write(recognizer, frames, clock)
    return clock.stages, len(frames)


def measured(folder: Path, faces: str, part: str, place: Path) -> tuple[float, float, int]:
    """Core-seconds and seconds of a run of `predict`, and its images."""
    words = [
        "predict",
        str(folder),
        "--faces",
        faces,
        "--output",
        str(place / f"{faces}.parquet"),
        "--overwrite",
        "true",
    ]
    words += ["--shard", part] if part else []
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, PROJECT / "train.py", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    rows = max(place.glob(f"{faces}*.parquet"), key=lambda path: path.stat().st_mtime)
    images = len(set(pyarrow.parquet.read_table(rows, columns=["source"])["source"].to_pylist()))
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, seconds, images


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, action="append")
    parser.add_argument("--price", type=float, default=0.05, help="of a core for an hour, in whatever money")
    parser.add_argument("--minutes", type=float, default=7, help="that a run may take")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recognizer = ExpressionRecognizer("pretrained", faces="detect", device="cpu", workers=0)
    files = sorted((options.data / "images").resolve().iterdir())
    some = files[:: max(len(files) // 1000, 1)][:1000]
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, {platform.machine()}, Python {platform.python_version()}")
    print("\nOn paper, milliseconds of a core        decode   detect  network    write    total")
    photographs(recognizer, some[:100], "detect")  # warms up
    paper = {faces: photographs(recognizer, some, faces) for faces in ("whole", "detect")}
    for faces, stages in paper.items():
        show(f"a photograph, --faces {faces}", stages)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "photographs").mkdir()
        for number, path in enumerate(some[:400]):
            (place / "photographs" / f"{number:03d}.jpg").symlink_to(path)
        make_video(place / "photographs", place / "film.mp4", 60)
        films = {}
        for fps in (None, 2.0):
            films[fps], count = film(recognizer, place / "film.mp4", fps)
            show(f"a frame of {count} in a minute of film", films[fps].over(count))
        print("\nChecked by runs of predict                   seconds  core-seconds  on paper  ratio")
        for count in options.images or [10_000, 100_000]:
            folder = place / f"{count}"
            folder.mkdir()
            for number in range(count):
                path = files[number % len(files)]
                (folder / f"{number // len(files):05d}_{path.name}").symlink_to(path)
            for faces, stages in paper.items():
                parts = math.ceil(stages.total * count / cores / 60 / options.minutes)
                part = f"1/{parts}" if parts > 1 else ""
                used, seconds, images = measured(folder, faces, part, place)
                what = f"{images:,} photographs, {faces}" + (f", part {part} of {count:,}" if part else "")
                expected = stages.total * images
                print(f"{what:<44}{seconds:8.0f}{used:14.0f}{expected:10.0f}{used / expected:7.2f}", flush=True)
    print(f"\nFor all, at {options.price:g} a core-hour                  core-hours     money   without network")
    for what, stages, count in (
        (f"{PHOTOGRAPHS:,} photographs, whole", paper["whole"], PHOTOGRAPHS),
        (f"{PHOTOGRAPHS:,} photographs, detect", paper["detect"], PHOTOGRAPHS),
        (f"{FILM_MINUTES:,} minutes of film, all frames", films[None], FILM_MINUTES),
        (f"{FILM_MINUTES:,} minutes of film, --fps 2", films[2.0], FILM_MINUTES),
    ):
        hours = stages.total * count / 3600
        rest = 1 - stages.network / stages.total
        print(f"{what:<44}{hours:12,.0f}{hours * options.price:10,.2f}{rest:12.0%}")


def show(what: str, stages: Stages) -> None:
    """A line of milliseconds."""
    values = "".join(f"{getattr(stages, one.name) * 1000:9.2f}" for one in fields(stages))
    print(f"{what:<37}{values}{stages.total * 1000:9.2f}", flush=True)


if __name__ == "__main__":
    main()
