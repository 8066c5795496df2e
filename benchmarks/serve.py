"""Load on `serve`: `python benchmarks/serve.py PHOTOS [--requests 300] [--clients 1 8 32]`.

PHOTOS is a folder of photographs, of which 200 are taken evenly; each request has one. Printed are images a second, the
ratio to the recognizer in a process of its own, and the 50th, 95th and 99th percentile of the time of a request, for

- `ExpressionRecognizer.predict` on the list, with its processes, and on one image after the other,
- a FastAPI as tutorials have it: one image at a time, in the event loop,
- `serve`, whose resident memory is read once it is warm, after each quarter of the requests, and at the end.

Every answer is compared with that of the recognizer on the image alone. Clients are threads of this process, on the
same cores as the server, so what a server gives is a little less than it could. torch has one thread everywhere: more
of them hold each other up on a busy machine. Whether memory is flat: `--requests 100000 --clients 32 --skip_naive`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer_lightning import ExpressionRecognizer
from fer_lightning.data.image_files import IMAGE_SUFFIXES
from fer_lightning.inference.recognizer import Recognition

PROJECT = Path(__file__).parent.parent
IMAGES = 200
TOLERANCE = 2e-6
"""Of probabilities: batches of other sizes add up in another order, and JSON has six digits."""

NAIVE = """
import io, sys
import uvicorn
from fastapi import FastAPI, Request
from PIL import Image
from fer_lightning import ExpressionRecognizer
app, recognizer = FastAPI(), ExpressionRecognizer("pretrained", workers=0)
recognizer.predict(Image.new("RGB", (64, 64)))
@app.post("/v1/predict")
async def predict(request: Request):
    seen = recognizer.predict(Image.open(io.BytesIO(await request.body())))
    return {"images": [{"faces": [{"label": one.label, "probabilities": one.probabilities} for one in seen.faces]}]}
print("at http://127.0.0.1:" + sys.argv[1], flush=True)
uvicorn.run(app, port=int(sys.argv[1]), log_level="critical")
"""


@dataclass
class Load:
    """What came of many requests."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    wrong: int = 0
    refused: int = 0
    memory: list[float] = field(default_factory=list)

    def row(self, name: str, alone: float) -> str:
        """As a line of the table."""
        many = len(self.times) / self.seconds
        p50, p95, p99 = (np.percentile(self.times, at) * 1000 for at in (50, 95, 99))
        other = f", {self.refused} refused" if self.refused else ""
        shown = f"{p50:.0f} | {p95:.0f} | {p99:.0f} | {p99 / p50:.1f} | {self.wrong} of {len(self.times)}{other}"
        return f"| {name} | {many:.0f} | {many / alone:.2f} | {shown} |"


def same(answer: dict[str, Any], seen: Recognition) -> bool:
    """Whether an answer is that of the recognizer on the image alone."""
    found = answer["faces"]
    return len(found) == len(seen.faces) and all(
        one["label"] == face.label
        and max(abs(one["probabilities"][name] - value) for name, value in face.probabilities.items()) <= TOLERANCE
        for one, face in zip(found, seen.faces, strict=True)
    )


def ask(
    port: int, contents: list[bytes], serial: list[Recognition], requests: int, clients: int, measure: bool = False
) -> Load:
    """Ask a server with so many clients at once, each of which waits for its answer; `measure` its memory as well."""
    load, lock, left = Load(), threading.Lock(), iter(range(requests))
    quarters = {requests * part // 4 for part in (1, 2, 3)} if measure else set()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return connection.close()
            if number in quarters:
                load.memory.append(megabytes(port))
            place = number % len(contents)
            begun = time.perf_counter()
            connection.request("POST", "/v1/predict", contents[place], {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            content = response.read()
            seconds = time.perf_counter() - begun
            good = response.status == 200 and same(json.loads(content)["images"][0], serial[place])
            with lock:
                load.times.append(seconds)
                load.refused += response.status != 200
                load.wrong += response.status == 200 and not good

    threads = [threading.Thread(target=client) for _ in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - begun
    load.memory += [megabytes(port)] * measure
    return load


@contextlib.contextmanager
def served(*command: str) -> Iterator[int]:
    """The port of a server that runs."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        found = re.search(r"http://[\w.]+:(\d+)", process.stdout.readline() if process.stdout else "")
        assert found, "the server does not start"
        for _ in range(200):
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", int(found[1]))
                connection.request("GET", "/health")
                connection.getresponse().read()
                break
            time.sleep(0.1)
        yield int(found[1])
    finally:
        process.terminate()
        process.wait()


def megabytes(port: int) -> float:
    """The resident memory of `serve`."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    found = re.search(r"^process_resident_memory_bytes (\S+)$", text, re.MULTILINE)
    return float(found[1]) / 1e6 if found else float("nan")


def in_process(paths: list[Path], requests: int) -> tuple[float, list[Recognition], float]:
    """Images a second on a list of so many; the answers one by one, and images a second of these."""
    torch.set_num_threads(1)
    recognizer = ExpressionRecognizer("pretrained")
    recognizer.predict(paths[0])
    begun = time.perf_counter()
    serial = [recognizer.predict(path) for path in paths]
    alone = len(paths) / (time.perf_counter() - begun)
    many = [paths[number % len(paths)] for number in range(max(requests, 300))]
    recognizer.predict(many[:100])
    begun = time.perf_counter()
    recognizer.predict(many)
    return len(many) / (time.perf_counter() - begun), serial, alone


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--requests", type=int, default=300, help="for each number of clients")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--skip_naive", action="store_true")
    given = parser.parse_args()
    found = sorted(path for path in given.photos.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    paths = found[:: max(1, len(found) // IMAGES)][:IMAGES]
    contents = [path.read_bytes() for path in paths]
    best, serial, alone = in_process(paths, min(given.requests, 2000))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{len(os.sched_getaffinity(0))} cores, load before {load}; {len(paths)} images of {given.photos}\n")
    print("| | images a second | ratio | p50 ms | p95 ms | p99 ms | p99 / p50 | other answers |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print(f"| recognizer, a list | {best:.0f} | 1.00 | | | | | |")
    print(f"| recognizer, one by one | {alone:.0f} | {alone / best:.2f} | | | | | |", flush=True)
    if not given.skip_naive:
        with served("-c", NAIVE, "8977") as port:
            for clients in given.clients:
                name = f"naive FastAPI, {clients} clients"
                print(ask(port, contents, serial, min(given.requests, 1000), clients).row(name, best), flush=True)
    with served("-m", "fer_lightning", "serve", "--port", "0") as port:
        ask(port, contents, serial, len(contents), 8)
        print(f"| serve, once warm {megabytes(port):.0f} MB | | | | | | | |", flush=True)
        for clients in given.clients:
            load_of = ask(port, contents, serial, given.requests, clients, measure=True)
            memory = ", ".join(f"{one:.0f}" for one in load_of.memory)
            print(load_of.row(f"serve, {clients} clients, memory {memory} MB", best), flush=True)
    print(f"\nLoad after {', '.join(f'{one:.1f}' for one in os.getloadavg())}")


if __name__ == "__main__":
    main()
