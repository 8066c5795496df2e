"""Images a second out of a stream, beside the mapped cache and ImageFolder; memory at a million images.

    python benchmarks/stream.py DATA [--batch 64] [--size 100] [--s3] [--million 100000 1000000]

DATA is a data set, as for `fit --data.root`. Batches are drawn and thrown away, shuffled, after one epoch to warm up;
nothing is trained. Each contender gives the same training images, gray, of --size pixels:

mapped cache      what `fit` does with data on this machine
stream            what `prepare` wrote, in a folder; shuffled whole, as so few bytes are
stream, in lanes  the same in the order of a stream that does not fit into memory
stream, s3        the same from an S3 server on this machine (moto), epoch by epoch: fetched in the first
litdata           LitData's own way: an item an image, StreamingDataset and StreamingDataLoader
ImageFolder       torchvision's: files are decoded and resized in every epoch

With --million, streams of so many drawn images of 24 x 24 pixels are written, and an epoch is read of each in a process
of its own; its memory is that of the process itself (RssAnon), without pages of files, which the system may drop.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Grayscale, PILToTensor, Resize

from fer_lightning.data.batches import FaceSamples
from fer_lightning.data.data_info import TrainingData
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import EXPRESSIONS, SUBSETS, Legend
from fer_lightning.data.splits import TRAINING, make_split
from fer_lightning.data.streams import order
from fer_lightning.data.streams.chunks import litdata
from fer_lightning.data.streams.writing import write_stream

_PIXELS = 24
_EPOCHS = 3


def rate(batches: Iterable[Any], epochs: int = _EPOCHS, warm: bool = True) -> list[float]:
    """Images a second of each epoch behind the first, or of all."""
    found = []
    for epoch in range(epochs + warm):
        if hasattr(getattr(batches, "sampler", None), "set_epoch"):
            batches.sampler.set_epoch(epoch)
        start, images = time.perf_counter(), 0
        for batch in batches:
            images += len(batch[0])
        found.append(images / (time.perf_counter() - start))
    return found[warm:]


def row(name: str, workers: int, rates: list[float]) -> None:
    """A line of the table."""
    print(f"| {name} | {workers} | {' '.join(f'{one:,.0f}' for one in sorted(rates))} |", flush=True)


def speeds(root: str, batch: int, size: int, s3: bool) -> None:
    """The first table."""
    with tempfile.TemporaryDirectory() as folder:
        common: dict[str, Any] = {"image_size": size, "batch_size": batch, "prepared_dir": f"{folder}/prepared"}
        local = FERDataModule(root, **common)
        local.prepare()
        place = f"{folder}/stream"
        start = time.perf_counter()
        write_stream(local.subsets, place, {}, "", overwrite=False)  # type: ignore[arg-type]
        took, images = time.perf_counter() - start, int(local.subsets.counts.sum())
        print(f"Written {images:,} images in {took:.1f} s, {images / took:,.0f} images/s, from the mapped cache.\n")
        print(f"| {size} x {size}, gray, batches of {batch} | workers | images/s, {_EPOCHS} epochs |\n|---|---|---|")
        for workers in (0, 2):
            given = common | {"num_workers": workers}
            row("mapped cache", workers, rate(FERDataModule(root, **given).train_dataloader()))
            row("stream", workers, rate(FERDataModule(place, **given).train_dataloader()))
            order.SHUFFLED_WHOLE, usual = 0, order.SHUFFLED_WHOLE
            row("stream, in lanes", workers, rate(FERDataModule(place, **given).train_dataloader()))
            order.SHUFFLED_WHOLE = usual
        if s3:
            from_s3(local, common)
        by_litdata(local, batch, folder)
        look = Compose([Grayscale(), Resize((size, size)), PILToTensor()])
        files = ImageFolder(local.subsets.tree_path / SUBSETS[TRAINING], look)  # type: ignore[union-attr]
        for workers in (0, 2):
            row("ImageFolder", workers, rate(DataLoader(files, batch, shuffle=True, num_workers=workers), 1))


def from_s3(local: FERDataModule, common: dict[str, Any]) -> None:
    """Two epochs from an S3 server: in the first, chunks are fetched."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    boto3.client("s3").create_bucket(Bucket="bucket")
    write_stream(local.subsets, "s3://bucket/faces", {}, "", overwrite=False)  # type: ignore[arg-type]
    first, *later = rate(FERDataModule("s3://bucket/faces", **common).train_dataloader(), _EPOCHS + 1, warm=False)
    row("stream, s3, fetched", 2, [first])
    row("stream, s3, later", 2, later)
    server.stop()


def by_litdata(local: FERDataModule, batch: int, folder: str) -> None:
    """LitData with an item an image."""
    litdata()
    from litdata import StreamingDataLoader, StreamingDataset
    from litdata.streaming import Cache

    place = f"{folder}/items"
    os.makedirs(place)
    cache, samples = Cache(place, chunk_bytes="8MB"), local.samples(TRAINING)
    for number in range(len(samples)):
        one = samples.__getitems__([number])
        cache[number] = (one.images[0], int(one.labels[0]))
    cache.done()
    cache.merge()
    for workers in (0, 2):
        items = StreamingDataset(place, shuffle=True)
        row("litdata", workers, rate(StreamingDataLoader(items, batch_size=batch, num_workers=workers)))


def drawn(seed: int, numbers: list[int]) -> torch.Tensor:
    """Noise; the same numbers give the same."""
    pixels = np.random.default_rng([seed, numbers[0]]).integers(0, 256, (len(numbers), 1, _PIXELS, _PIXELS), np.uint8)
    return torch.from_numpy(pixels)


def write_drawn(count: int, place: str) -> None:
    """A stream of drawn images."""
    labels = np.arange(count) % len(EXPRESSIONS)
    declared = np.where(np.arange(count) % 100 < 98, 0, np.arange(count) % 100 - 97).astype(np.int8)
    names = [f"{number:08d}.png" for number in range(count)]
    rows = {"users": [""] * count, "ranks": np.zeros(count, np.int64), "class_rows": np.bincount(labels)}
    legend = Legend(Path(place), Path(place), names, labels, EXPRESSIONS, **rows, declared=declared,
                    identities=names, votes=None, warnings=())  # fmt: skip
    split = make_split(legend, "predefined")
    subsets = SimpleNamespace(
        split=split, legend=legend, legends=[legend], counts=split.counts, class_names=EXPRESSIONS, cache=True,
        input_spec=InputSpec(_PIXELS, "gray"), prepare=lambda subset: None,
        samples=lambda subset: FaceSamples(legend.labels[split.subsets == subset], partial(drawn, subset)),
        training=TrainingData(names=("drawn",), class_counts=tuple(split.counts[0].tolist()),
                              split_fingerprint=split.fingerprint, split="predefined"),
    )  # fmt: skip
    write_stream(subsets, place, {}, "", overwrite=False)  # type: ignore[arg-type]


def own_memory() -> float:
    """MB that this process has for itself."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1000


def read_epoch(place: str) -> None:
    """Read an epoch in this process, and print what it took."""
    data = FERDataModule(place, image_size=_PIXELS, num_workers=0)
    before, most, images = own_memory(), [0.0] * 10, 0
    loader = data.train_dataloader()
    start = time.perf_counter()
    for number, batch in enumerate(loader):
        images += len(batch.images)
        if number % 50 == 0:
            tenth = 10 * number // len(loader)
            most[tenth] = max(most[tenth], own_memory())
    print(json.dumps({"before": before, "most": most, "images": images, "seconds": time.perf_counter() - start}))


def memory(counts: list[int]) -> None:
    """The second table."""
    print("\n| images | bytes of pixels | written | before | in the first tenth | in the last | at most | images/s |")
    print("|---|---|---|---|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            subprocess.run([sys.executable, __file__, "--write", str(count), folder], check=True)
            took = time.perf_counter() - start
            command = [sys.executable, __file__, "--read", f"{folder}/stream"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            cells = [f"{found['before']:.0f} MB", f"{found['most'][0]:.0f} MB", f"{found['most'][-1]:.0f} MB"]
            cells += [f"{max(found['most']):.0f} MB", f"{found['images'] / found['seconds']:,.0f}"]
            pixels = count * _PIXELS**2 / 1e6
            print(f"| {count:,} | {pixels:,.0f} MB | {took:.0f} s | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--s3", action="store_true", help="also from an S3 server; needs moto[server] and s3fs")
    parser.add_argument("--million", type=int, nargs="*", default=[], metavar="IMAGES")
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write_drawn(int(given.write[0]), f"{given.write[1]}/stream")
        return
    if given.read:
        read_epoch(given.read)
        return
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}\n")
    if given.data:
        speeds(given.data, given.batch, given.size, given.s3)
    if given.million:
        memory(given.million)


if __name__ == "__main__":
    main()
