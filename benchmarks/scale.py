"""What a data set's size costs: `python benchmarks/scale.py [10000 100000 1000000]`.

Four tables. Set-up: reading the legend, splitting (grouped), and building the image folders the first time and
finding them the second, in a process of its own for each size, with its peak memory; the images are hard links to one
file. A folder for each class: walking it, splitting it, and both as `fit` does. Decoding: the cache against a plain
loop over the files, in images a second and core. Training on a cache larger than memory: the process's own memory
(not the pages of the file, which the system may drop) is limited to far less than the cache.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from fer_lightning.cores import available_cpus
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.splits import make_split

HERE = Path(__file__).resolve()


def make(folder: Path, count: int, side: int, distinct: bool) -> None:
    """Write `count` pictures and their legend; hard links to one picture unless they are to be distinct."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    first: Path | None = None
    with open(folder / "legend.csv", "w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["user.id", "image", "emotion"])
        for number in range(count):
            name = f"Person_{number // 3:06d}_{number:07d}.jpg"
            path = folder / "images" / name
            if first is None or distinct or number % 50_000 == 0:  # a file may have only so many links
                small = Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8))
                small.resize((side, side), Image.Resampling.BICUBIC).save(path, quality=90)
                first = path
            else:
                os.link(first, path)
            rows.writerow(["me", name, EXPRESSIONS[number % 8]])


def set_up(root: str, trees: str) -> None:
    """Time the steps of one size; run in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    data = FERDataModule(root, prepared_dir=trees, cache=False, classes=list(EXPRESSIONS))
    figures = {}
    for name in ("legend", "split"):
        begun = time.perf_counter()
        _ = getattr(data, name)
        figures[name] = time.perf_counter() - begun
    begun = time.perf_counter()
    from fer_lightning.data.tree import build_tree

    build_tree(data.split, trees, "set")
    figures["folders"] = time.perf_counter() - begun
    fresh = replace(data.split, legend=replace(data.legend))  # nothing remembered, as in a new process
    begun = time.perf_counter()
    build_tree(fresh, trees, "set")
    figures["again"] = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures | {"before": before, "peak": peak}))


def set_up_table(sizes: list[int]) -> None:
    """Print the first table."""
    print(f"{'rows':>10}{'legend':>10}{'split':>9}{'folders':>10}{'found':>9}{'sum':>9}{'us a row':>10}{'peak MB':>9}")
    for count in sizes:
        with tempfile.TemporaryDirectory() as place:
            make(Path(place, "data"), count, 48, distinct=False)
            command = [sys.executable, str(HERE), "--set-up", f"{place}/data", f"{place}/trees"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
        steps = [found[name] for name in ("legend", "split", "folders", "again")]
        once = sum(steps[:3])
        print(f"{count:>10,}" + f"{steps[0]:>9.2f}s{steps[1]:>8.2f}s{steps[2]:>9.2f}s{steps[3]:>8.2f}s", end="")
        print(
            f"{once:>8.2f}s{once / count * 1e6:>10.1f}{found['peak']:>9.0f}   ({found['before']:.0f} MB before)",
            flush=True,
        )


def tree_table(sizes: list[int]) -> None:
    """Print what reading and splitting a folder for each class takes, against a plain walk and the split alone."""
    print(f"\n{'files':>10}{'walk':>9}{'split':>9}{'ready':>9}{'ratio':>8}{'peak MB':>9}   (seconds of one processor)")
    for count in sizes:
        with tempfile.TemporaryDirectory() as place:
            first: Path | None = None
            for number in range(count):
                folder = Path(place, "set", "test" if number % 5 == 0 else "train", EXPRESSIONS[number % 8])
                path = folder / f"Person_{number // 3:06d}_{number:07d}.jpg"
                if number < 100:
                    folder.mkdir(parents=True, exist_ok=True)
                if first is None or number % 50_000 == 0:
                    Image.new("L", (48, 48), number % 256).save(path)
                    first = path
                else:
                    os.link(first, path)
            command = [sys.executable, str(HERE), "--tree", f"{place}/set"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
        steps = "".join(f"{found[name]:>9.2f}" for name in ("walk", "split", "ready"))
        ratio = found["ready"] / (found["walk"] + found["split"])
        print(f"{count:>10,}{steps}{ratio:>8.2f}{found['peak']:>9.0f}   ({found['before']:.0f} MB before)", flush=True)


def tree_ready(root: str) -> None:
    """Time them for one size; run in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {}
    for _ in range(2):  # the second time, what is on the disk is in memory
        begun, waiting = time.process_time(), [root]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        figures["walk"] = time.process_time() - begun
    begun = time.process_time()
    data = FERDataModule(root, split="grouped")
    legend = data.legend
    _ = data.split
    figures["ready"] = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = time.process_time()
    make_split(legend, "grouped")
    figures["split"] = time.process_time() - begun
    print(json.dumps(figures | {"before": before, "peak": peak}))


def decoding_table(count: int = 6000) -> None:
    """Print the second table."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "data")
        make(root, count, 224, distinct=True)
        data = FERDataModule(str(root), prepared_dir=f"{place}/trees", classes=list(EXPRESSIONS))
        contract = InputSpec(data.image_size, "gray")
        images = [data.legend.image_dir / image for image in data.legend.images]
        begun = time.perf_counter()
        for path in images:
            contract.load(path)
        plain = time.perf_counter() - begun
        begun = time.perf_counter()
        data.subsets.prepare()
        cached = time.perf_counter() - begun
        samples = data.samples(0)
        order = np.random.default_rng(0).permutation(len(samples))
        begun = time.perf_counter()
        for start in range(0, len(order), 64):
            samples.__getitems__(order[start : start + 64].tolist())
        read = time.perf_counter() - begun
    cores = available_cpus(keep=0)
    print(f"\n{count:,} JPEGs of 224 x 224 to 100 x 100, gray; {cores} cores")
    print(f"{'plain loop, one core':<34}{count / plain:>9.0f} images/s and core   ratio 1.00")
    ratio = plain / cached / cores
    print(f"{'building the cache':<34}{count / cached / cores:>9.0f} images/s and core   ratio {ratio:.2f}")
    print(f"{'reading random batches of 64':<34}{len(order) / read:>9.0f} images/s")


def large_cache(count: int = 40_000, limit: int = 1500) -> None:
    """Print the third table."""
    with tempfile.TemporaryDirectory() as place:
        make(Path(place, "data"), count, 48, distinct=False)
        words = ["fit", "--data.root", f"{place}/data", "--data.image_size", "224", "--data.color", "rgb"]
        words += [
            "--model.network",
            "CompactResNet",
            "--trainer.limit_train_batches",
            "60",
            "--trainer.max_epochs",
            "1",
        ]
        words += ["--data.batch_size", "16", "--trainer.limit_val_batches", "2", "--data.split", "stratified"]
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(HERE), "--limited", str(limit), *words],
            cwd=place,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(HERE.parents[1])},
            check=False,
        )
        seconds = time.perf_counter() - begun
        size = max(path.stat().st_size for path in Path(place, "prepared_data").glob("*.npy")) / 2**20
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    print(f"\ncache of {size:,.0f} MB, the process's own memory limited to {limit} MB over that after the imports:")
    print(f"{done.stdout.splitlines()[-1]} ({seconds:.0f} s in all)")


def limited(limit: int, words: list[str]) -> None:
    """Run the command line with little memory of its own; run in a process of its own."""
    import fer_lightning.cli.trainer  # noqa: F401 (what it needs itself is no memory of the run)
    from fer_lightning.cli.main import main

    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    used = int(status["VmData"].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + limit * 2**20, resource.RLIM_INFINITY))
    main(words)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    own, mapped = (int(status[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    print(f"own memory at the end {own:,.0f} MB, pages of files {mapped:,.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--set-up"]:
        set_up(*sys.argv[2:])
    elif sys.argv[1:2] == ["--tree"]:
        tree_ready(sys.argv[2])
    elif sys.argv[1:2] == ["--limited"]:
        limited(int(sys.argv[2]), sys.argv[3:])
    else:
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        sizes = [int(word) for word in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
        set_up_table(sizes)
        tree_table(sizes)
        decoding_table()
        large_cache()
