"""What several tests need: small data sets, the command line, the real data where it is."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import lightning.pytorch  # noqa: F401 (its logger keeps the standard error it finds: not that of one test)
import numpy as np
import pytest
from PIL import Image

PROJECT = Path(__file__).parent.parent
REAL_DATA = PROJECT.parent / "shared" / "facial_expressions"
FERPLUS = PROJECT.parent / "shared" / "ferplus"

TINY = ["--data.num_workers", "0", "--data.image_size", "32", "--data.batch_size", "16"]
"""Options that make a fit on the small synthetic data set take a second."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("real_data") and not (REAL_DATA.is_dir() and FERPLUS.is_dir()):
            item.add_marker(pytest.mark.skip(reason=f"the real data are not at {REAL_DATA.parent}"))
        if item.get_closest_marker("slow") and not (config.getoption("--slow") or os.environ.get("CI")):
            item.add_marker(pytest.mark.skip(reason="slow: runs with --slow, and in CI"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell a failure when it happens as well: a run that is cut short would keep it."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nFAILED {report.nodeid} ({report.when}, {report.duration:.0f} s)\n{report.longreprtext}", flush=True)


@pytest.fixture(scope="session", autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Synthetic faces go to a temporary cache, here and in processes of here; no cluster of another test is found."""
    os.environ["FER_LIGHTNING_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as place:  # a short path, for sockets
        os.environ["RAY_TMPDIR"] = place
        yield


@pytest.fixture(scope="session")
def aligning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of the package as those of a network for aligned faces."""
    return _framed(tmp_path_factory.mktemp("aligning") / "aligning.safetensors", align=True)


@pytest.fixture(scope="session")
def by_box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of the package as those of a network for faces as they are in their box."""
    return _framed(tmp_path_factory.mktemp("by_box") / "by_box.safetensors", align=False)


def _framed(path: Path, align: bool) -> Path:
    from dataclasses import replace

    from fer_lightning.checkpoints.finding import PRETRAINED
    from fer_lightning.checkpoints.reading import read_checkpoint
    from fer_lightning.checkpoints.weights import save_weights

    info, state = read_checkpoint(PRETRAINED)
    save_weights(replace(info, input_spec=replace(info.input_spec, align=align)), state, path)
    return path


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve invented people with two images of each expression: 192 images."""
    from fer_lightning.data.sources.synthetic import synthetic_faces

    return synthetic_faces(tmp_path_factory.mktemp("drawn"), people=12, images=2)


def linked(drawn: Path, folder: Path, copies: int) -> Path:
    """Make a folder, unless it is there, of so many links to each of the 192 drawn images."""
    folder.mkdir(exist_ok=True)
    for copy in range(copies):
        for path in (drawn / "images").iterdir():
            (folder / f"{copy}_{path.name}").symlink_to(path)
    return folder


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_data(tmp_path: Path) -> Callable[..., Path]:
    """Writes a data set from `(image, emotion)` rows; every image is small noise."""

    def make(rows: Sequence[tuple[str, str]], root: Path | None = None) -> Path:
        folder = root or tmp_path / "data_set"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        with open(folder / "legend.csv", "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["user.id", "image", "emotion"])
            for image, emotion in rows:
                writer.writerow(["tester", image, emotion])
        for number, image in enumerate(dict.fromkeys(image for image, _ in rows)):
            path = folder / "images" / image
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(path)
        return folder

    return make


def flat(text: str) -> str:
    """What was printed, without its breaks between lines."""
    return " ".join(text.replace(" \\\n", "\n").split())


def session(leader: int, until: float = 0) -> list[str]:
    """The processes of a session; those that are still there after some seconds."""
    end = time.monotonic() + until
    while True:
        done = subprocess.run(["pgrep", "-s", str(leader)], capture_output=True, text=True, check=False)
        if not done.stdout or time.monotonic() >= end:
            return done.stdout.split()
        time.sleep(0.1)


def heed_signals() -> None:
    """In a process that begins: heed signals also where the tests were started in the background, or with nohup."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def run_here(*words: str | os.PathLike[str], cwd: Path) -> None:
    """Run the command line in this process: quicker, where a process of its own shows nothing more."""
    from fer_lightning.cli.main import main

    before = Path.cwd()
    os.chdir(cwd)
    try:
        main([str(word) for word in words])
    finally:
        os.chdir(before)


def run(*words: str | os.PathLike[str], cwd: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run train.py in a process of its own."""
    command = [sys.executable, str(PROJECT / "train.py"), *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)
