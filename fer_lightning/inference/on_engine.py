"""`predict` on an engine: what goes with it, and the way from sources to a folder of parts."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from fer_lightning.errors import FERError, check_range
from fer_lightning.inference.cluster_work import Part, Work, divided
from fer_lightning.inference.parts_folder import PartsFolder
from fer_lightning.inference.shard import digest
from fer_lightning.inference.sources import Source
from fer_lightning.inference.terminal import Counts
from fer_lightning.locks import alone
from fer_lightning.names import many
from fer_lightning.screen import say

_OFTEN = 30.0
"""Seconds between lines about the progress, where there is no terminal."""


def check_engine(
    output: str | None, workers: int | None, without: Mapping[str, Any], sources: Sequence[Source]
) -> None:
    """Refuse what does not go with an engine.

    Args:
        output: Where the rows go.
        workers: Processes at most.
        without: What was given for options that do not go with it.
        sources: What is looked at.

    Raises:
        FERError: About the first of them.
    """
    if not output or output == "-":
        raise FERError(
            "--engine needs an --output: a folder that all machines share, or an address as s3://bucket/rows, for "
            "parts in Parquet."
        )
    if given := [option for option, value in without.items() if value]:
        raise FERError(f"{' and '.join(given)} does not go with --engine: omit one of them.")
    if workers is not None:
        check_range("--workers", workers, 1, 1_000_000)
    if camera := next((source.name for source in sources if source.kind == "camera"), None):
        raise FERError(f"--engine takes images and films, and '{camera}' is a camera or stream. Omit one of them.")


def predict_on_ray(work: Work, sources: Sequence[Source], workers: int | None, device: str, overwrite: bool) -> Counts:
    """Have all sources named on a cluster, with progress on the terminal; those whose parts are there are not.

    Returns:
        What was counted in this run.

    Raises:
        FERError: If the folder cannot be used, or the cluster cannot.
        SystemExit: After an interruption, which was told.
    """
    from fer_lightning.inference import ray_cluster, ray_engine

    parts = divided(sources, work.recognizer["batch_size"])
    folder, counts = work.output, Counts(f" Written to {work.output.shown}")
    names = [part.name for part in parts]
    told = {"inputs": len(sources), "inputs_sha256": digest(sources), "parts": len(parts)}
    work = replace(work, settings=work.settings | told | {"batch_size": work.recognizer["batch_size"]})
    with _alone(folder):
        done = folder.begin(work.settings, names, overwrite)
        left = [part for part in parts if part.name not in done]
        if done:
            say(f"{len(done):,} of {many(len(parts), 'part')} are in {folder.shown} already")
        try:
            if left:
                with ray_cluster.cluster(workers) as ray:
                    device = ray_cluster.device_of(ray, device)
                    ray_engine.check_machines(ray, work)
                    say(f"Engine   ray: {ray_cluster.about(ray)}; {many(len(left), 'part')} to make")
                    for made in _shown(ray_engine.all_named(ray, work, left, workers, device), left):
                        counts.include(made)
            folder.end(names, len(sources))
        except KeyboardInterrupt:
            onward = "The same command, without --overwrite," if overwrite else "The same command"
            say(f"Interrupted. {onward} goes on after the parts that are there.", sys.stderr)
            raise SystemExit(130) from None  # after another signal than Ctrl-C, the front door makes it that one's
    return counts


@contextlib.contextmanager
def _alone(folder: PartsFolder) -> Iterator[None]:
    """Keep a second command away from a folder on a disk; at an address nothing can be locked."""
    if folder.is_address:
        yield
        return
    os.makedirs(folder.name, exist_ok=True)
    taken = f"Another process is writing to '{folder.name}'. Wait until it has ended, or choose another --output."
    with alone(os.path.join(folder.name, ".fer-lock"), taken, removed=True):
        yield


def _shown(made: Iterator[tuple[Part, Counts]], parts: Sequence[Part]) -> Iterator[Counts]:
    """Say how far it is: with a bar on a terminal, else in a line now and then, which a log keeps."""
    total, done, start = sum(len(part.sources) for part in parts), 0, time.monotonic()
    unit = "images" if all(part.sources[0].kind == "image" for part in parts) else "inputs"
    last = start
    with tqdm(total=total, desc="Predicting", unit=f" {unit}", leave=False, disable=None) as bar:
        for part, counts in made:
            yield counts
            bar.update(len(part.sources))
            done, now = done + len(part.sources), time.monotonic()
            if bar.disable and now - last >= _OFTEN:
                last, speed = now, done / (now - start)
                left = _time((total - done) / speed)
                say(f"Predicted {done:,} of {total:,} {unit}, {speed:.0f} a second, {left} left")


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min" if minutes else "a minute"
