"""Threads against one after the other: `python benchmarks/threads.py DATA [--detector YUNET.onnx] [--images 1000]`.

DATA is a folder of photographs. Eight threads walk through all of them, each from another place on, while the main
process forks children that do the same; printed is how many detections and answers differ from those of one thread,
which has to be 0, for one recognizer that all share and for one a thread. The first use of a detector is in threads.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from fer_lightning import ExpressionRecognizer
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.image_files import IMAGE_SUFFIXES, read_image


def walk(images: list[Image.Image], threads: int, ask: Callable[[int, Image.Image], Any]) -> list[list[Any]]:
    """What each thread was told for each image; all start at once."""
    together = threading.Barrier(threads)

    def one(me: int) -> list[Any]:
        told: list[Any] = [None] * len(images)
        together.wait()
        for place in range(len(images)):
            number = (place + me * len(images) // threads) % len(images)
            told[number] = ask(me, images[number])
        return told

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(threads)))


def differing(found: list[list[Any]], wanted: list[Any]) -> int:
    """How many of all answers are not those of one thread."""
    return sum(one != other for answers in found for one, other in zip(answers, wanted, strict=True))


def forked(images: list[Image.Image], detector: str) -> int:
    """How many of ten children, forked while eight threads detect, do not come to the same faces within a minute."""
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            for image in images[:20]:
                find_faces(image, detector)

    threads = [threading.Thread(target=busy) for _ in range(8)]
    for thread in threads:
        thread.start()
    wanted, failed = [find_faces(image, detector) for image in images[:5]], 0
    for _ in range(10):
        child = os.fork()
        if not child:
            os._exit([find_faces(image, detector) for image in images[:5]] != wanted)
        until, status = time.monotonic() + 60, None
        while status is None and time.monotonic() < until:
            done, said = os.waitpid(child, os.WNOHANG)
            status = said if done else time.sleep(0.05)
        failed += status != 0
        if status is None:
            os.kill(child, 9)
    stop.set()
    for thread in threads:
        thread.join()
    return failed


def main() -> None:
    """Read the command line, print a line a check; status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--detector", default="yunet")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(path for path in given.data.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    images = [read_image(path) for path in paths[:: max(1, len(paths) // given.images)][: given.images]]
    many = given.threads * len(images)
    first = walk(images, given.threads, lambda me, image: find_faces(image, given.detector))
    wanted = [find_faces(image, given.detector) for image in images]
    wrong = [differing(first, wanted)]
    print(f"detections, first use in threads   {wrong[0]:,} of {many:,} differ", flush=True)
    shared = ExpressionRecognizer("pretrained", faces="detect", detector=given.detector, device="cpu")
    own = [ExpressionRecognizer(shared, faces="detect", detector=given.detector) for _ in range(given.threads)]
    answers = [shared.predict(image).faces for image in images]
    for title, recognizers in (("one recognizer", [shared] * given.threads), ("one a thread", own)):
        found = walk(images, given.threads, lambda me, image, some=recognizers: some[me].predict(image).faces)
        wrong.append(differing(found, answers))
        print(f"answers, {title:<25} {wrong[-1]:,} of {many:,} differ", flush=True)
    if hasattr(os, "fork"):
        wrong.append(forked(images, given.detector))
        print(f"forked while threads detect        {wrong[-1]} of 10 differ", flush=True)
    sys.exit(any(wrong))


if __name__ == "__main__":
    main()
