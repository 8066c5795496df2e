"""A real server in a process of its own, on a free port."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import skimage.data
from PIL import Image

from fer_lightning.inference.recognizer import ExpressionRecognizer, Recognition
from tests.browsers import chromium
from tests.conftest import PROJECT, heed_signals

TOKEN = "a-token-for-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
OPTIONS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@dataclass
class Served:
    """A server that runs."""

    process: subprocess.Popen[str]
    url: str
    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ask(self, method: str = "POST", path: str = "/v1/predict", **given: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, **({"timeout": 60} | given))

    def end(self, number: int = signal.SIGTERM, timeout: float = 60) -> int:
        """Stop it; `said` has what it printed."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.said += self.process.communicate(timeout=timeout)[0].splitlines()
        return self.process.returncode


@contextlib.contextmanager
def serving(folder: Path, *options: str, **environment: str) -> Iterator[Served]:
    """Run `serve` in an empty folder, which is its folder for temporary files too."""
    path = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_lightning", "serve", "--port", "0", *options],
        cwd=folder,
        preexec_fn=heed_signals,
        env=os.environ | {"PYTHONPATH": path, "TMPDIR": str(folder)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        first = process.stdout.readline()
        found = re.search(r"http://\S+:\d+", first)
        assert found, first + process.communicate(timeout=60)[0]
        second = process.stdout.readline()  # as it is buffered with the first, `communicate` would not see it
        yield Served(process, found[0], folder, [first.rstrip(), second.rstrip()])
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Served]:
    """With defaults, for the local machine. It has to end in order, and to have written and logged nothing."""
    with serving(tmp_path_factory.mktemp("served")) as served:
        yield served
        assert served.end() == 143
        assert [line.partition(" ")[0] for line in served.said] == ["Serving", "Images", "Stopped"], "\n".join(
            served.said
        )[:6000]
        assert list(served.folder.iterdir()) == []


@pytest.fixture(scope="session")
def guarded(tmp_path_factory) -> Iterator[Served]:
    """With a token and low limits."""
    limits = {"megabytes": 2, "megapixels": 4, "images": 4, "waiting": 6}
    options = [f"--max_{name}={value}" for name, value in limits.items()]
    with serving(tmp_path_factory.mktemp("guarded"), *options, "--timeout=4", FER_TOKEN=TOKEN) as served:
        yield served
        assert served.end() == 143
        assert [line.partition(" ")[0] for line in served.said] == ["Serving", "Images", "Stopped"], "\n".join(
            served.said
        )[:6000]
        assert list(served.folder.iterdir()) == []


@pytest.fixture(scope="session")
def recognizer() -> ExpressionRecognizer:
    return ExpressionRecognizer("pretrained", device="cpu")


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The content of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def photograph(size: int = 512) -> bytes:
    """Eileen Collins (NASA, public domain), with one face, as JPEG."""
    return encoded(Image.fromarray(skimage.data.astronaut()).resize((size, size)))


def same(answer: dict[str, Any], seen: Recognition) -> bool:
    """Whether the service answered as the recognizer did, but for the order in which batches of other sizes add up."""
    if len(answer["faces"]) != len(seen.faces):
        return False
    for found, face in zip(answer["faces"], seen.faces, strict=True):
        probabilities = np.array([*found["probabilities"].values()]) - [*face.probabilities.values()]
        box = [*found["box"].values()] if found["box"] else []
        place = [face.face.left, face.face.top, face.face.width, face.face.height] if face.face else []
        if (
            found["label"] != face.label
            or np.abs(probabilities).max() > 2e-6
            or not np.allclose(box[:4], place, atol=0.01)
        ):
            return False
    return True


@pytest.fixture(scope="module")
def camera(tmp_path_factory) -> Path:
    """A film for the browser's pretended camera: one face that smiles."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    path.write_bytes(encoded(Image.fromarray(skimage.data.astronaut())) * 20)
    return path


@pytest.fixture(scope="module")
def browser(camera) -> Iterator[Any]:
    with chromium(*OPTIONS, f"--use-file-for-fake-video-capture={camera}") as started:
        yield started
