"""Mutate good files at random and open them: each is read, or refused with a message; nothing else may happen.

    python -m tests.hostile.fuzz [files, default 10000] [seed, default 0] [kind ...]

Images, films, legends, rows, configurations and models in every format are taken by turns, changed (bytes flipped,
blocks cut out, doubled, put in from another file, numbers set to their extremes, the end cut off) and opened by the
code that opens them in use, in processes that are thrown away, with a minute and 2 GB each. A file that leads to
anything but an answer or an FERError is named by its kind and seed, so that it can be made again; those that did once
are kept in tests/hostile/seeds.json, and a test opens them again.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TextIO

from fer_lightning.errors import FERError

SECONDS = 60
MEMORY = 2_000_000_000
CHUNK = 25
KINDS = ("image", "film", "legend", "rows", "config", "ckpt", "safetensors", "onnx", "pt2")
KEPT: list[tuple[str, int]] = [
    (kind, seed) for kind, seed in json.loads(Path(__file__).with_name("seeds.json").read_text())
]
"""Files that led to something else once: opened first."""

SHARES = dict.fromkeys(KINDS, 1) | {"image": 12, "legend": 4, "config": 2, "film": 2, "safetensors": 2, "ckpt": 2}


def mutated(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """A changed copy."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        place = chance.randrange(len(data)) if chance.random() < 0.5 else chance.randrange(min(len(data), 200))
        length = min(chance.choice((1, 2, 4, 8, 64, 512)), len(data) - place)
        match chance.randrange(7):
            case 0:
                data[place] ^= 1 << chance.randrange(8)
            case 1:
                del data[place : place + length]
            case 2:
                data[place:place] = data[place : place + length] * chance.choice((1, 2, 50))
            case 3:
                start = chance.randrange(max(1, len(other)))
                data[place : place + length] = other[start : start + length]
            case 4:
                extreme = chance.choice(
                    (b"\0", b"\xff", b"\x7f", b"\x80", b"9", b"-", b"nan", b"1e39", b'"', b"[", b"{")
                )
                data[place : place + length] = (extreme * length)[:length]
            case 5:
                data[place : place + length] = chance.randbytes(length)
            case 6:
                del data[chance.randrange(len(data)) :]
    return bytes(data)


def good_files(folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Good files of each kind: their endings and contents."""
    import cv2
    import numpy as np
    import torch
    from PIL import Image

    from fer_lightning.checkpoints.reading import info_of
    from fer_lightning.checkpoints.weights import save_weights
    from fer_lightning.data.data_info import DataInfo
    from fer_lightning.data.input_spec import InputSpec
    from fer_lightning.data.sources.synthetic import synthetic_faces
    from fer_lightning.export.graph import graph_bytes
    from fer_lightning.model.expression_model import ExpressionModel
    from fer_lightning.networks import ExpressionCNN
    from fer_lightning.training.classifier import ExpressionClassifier

    data = synthetic_faces(folder / "cache", people=3, images=1)
    picture = Image.open(min((data / "images").iterdir()))
    found: dict[str, list[tuple[str, bytes]]] = {kind: [] for kind in KINDS}
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        buffer = io.BytesIO()
        picture.save(buffer, kind, **({"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"} if kind == "JPEG" else {}))
        found["image"].append((f".{kind.lower()}", buffer.getvalue()))
    for ending, code in ((".mp4", "mp4v"), (".avi", "MJPG")):
        writer = cv2.VideoWriter(str(folder / f"film{ending}"), cv2.VideoWriter.fourcc(*code), 10, picture.size)
        for _ in range(5):
            writer.write(np.asarray(picture.convert("RGB"))[:, :, ::-1].copy())
        writer.release()
        found["film"].append((ending, (folder / f"film{ending}").read_bytes()))
    found["legend"].append((".csv", (data / "legend.csv").read_bytes()))
    names = "anger,contempt,disgust,fear,happiness,neutral,sadness,surprise"
    rows = f"image,label,predicted,confidence,identity,user.id,seen,{names}\n"
    rows += "a.png,anger,anger,0.3,a,u,no,0.3,0.1,0.1,0.1,0.1,0.1,0.1,0.1\n" * 20
    found["rows"].append((".csv", rows.encode()))
    config = (
        "model: {network: {class_path: CompactResNet}, optimizer: {init_args: {lr: 0.1}}}\ndata: {image_size: 48}\n"
    )
    found["config"].append((".yaml", config.encode()))
    network = ExpressionCNN(image_size=32, in_channels=1, hidden=8)
    model = ExpressionModel(network, input_spec=InputSpec(32, "gray"), learned_prior=[1 / 8] * 8).eval()
    info = info_of(model)
    save_weights(info, model.network.state_dict(), folder / "x.safetensors")
    for ending in (".onnx", ".pt2"):
        (folder / f"x{ending}").write_bytes(graph_bytes(model, info, ending))
    classifier = ExpressionClassifier(network, DataInfo(input_spec=model.input_spec))
    content = {
        "state_dict": classifier.state_dict(),
        "epoch": 1,
        "global_step": 5,
        "pytorch-lightning_version": "2.6.6",
    }
    content |= {"fer_lightning": info.to_dict(), "callbacks": {}, "loops": {}}
    torch.save(content, folder / "x.ckpt")
    for kind in ("ckpt", "safetensors", "onnx", "pt2"):
        found[kind].append((f".{kind}", (folder / f"x.{kind}").read_bytes()))
    return found


def opened(kind: str, path: Path, images: Path) -> None:
    """Open a file as it is opened in use."""
    if kind == "image":
        from fer_lightning.data.image_metadata import read_metadata
        from fer_lightning.data.input_spec import read_image

        read_metadata([path])
        read_image(path)
    elif kind == "film":
        from fer_lightning.data.input_spec import InputSpec
        from fer_lightning.inference.frames import Look, look
        from fer_lightning.inference.sources import Source

        for frame in look([Source(str(path), "video")], Look(InputSpec(32)), 0):
            frame.error.encode()
    elif kind == "legend":
        from fer_lightning.data.sources.legend_csv import read_legend
        from fer_lightning.data.splits import make_split

        make_split(read_legend(path, images, strict=False))
    elif kind == "rows":
        from fer_lightning.evaluation.predictions import read_predictions

        read_predictions(path).measures.values()
    elif kind == "config":
        from fer_lightning.cli.configs import layers

        layers(["--config", str(path)], lambda line: None)
    else:
        import numpy as np

        from fer_lightning.inference.recognizer import ExpressionRecognizer

        (face,) = ExpressionRecognizer(path, "whole", device="cpu").predict(np.zeros((40, 40, 3), np.uint8)).faces
        if not 0 <= face.confidence <= 1:
            raise ValueError("an answer that is no probability")


def make(kind: str, seed: int, good: dict[str, list[tuple[str, bytes]]], folder: Path) -> Path:
    """The file of a kind and seed."""
    chance = random.Random(f"{kind} {seed}")
    ending, content = good[kind][seed % len(good[kind])]
    path = folder / f"{kind}{ending}"
    path.write_bytes(mutated(content, chance.choice(good[kind])[1], chance))
    return path


def _late(number: int, frame: object) -> None:
    raise TimeoutError(f"no end after {SECONDS} s")


def chunk(todo: list[tuple[str, int]], good: dict[str, list[tuple[str, bytes]]], images: Path, told: TextIO) -> None:
    """Open files one after the other, and tell of each how it ended."""
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        signal.signal(signal.SIGALRM, _late)
        for kind, seed in todo:
            path = make(kind, seed, good, Path(folder))
            print("begun", kind, seed, file=told)
            signal.alarm(SECONDS)
            try:
                with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                    opened(kind, path, images)
                said = "read"
            except FERError:
                said = "refused"
            except BaseException as error:  # what is looked for
                where = traceback.extract_tb(error.__traceback__)
                ours = [line for line in where if "fer_lightning" in line.filename][-1:]
                at = f" at {Path(ours[0].filename).name}:{ours[0].lineno}" if ours else ""
                said = f"{type(error).__name__}: {str(error)[:100]!r}{at}"
            signal.alarm(0)
            print(said.replace("\n", " "), file=told)


def run(todo: list[tuple[str, int]], good: dict[str, list[tuple[str, bytes]]], images: Path) -> list[str]:
    """How each file ended; a process that dies ends its file, and another one goes on."""
    ended: list[str] = []
    while len(ended) < len(todo):
        read, write = os.pipe()
        process = os.fork()
        if not process:
            os.close(read)
            with contextlib.suppress(BaseException), os.fdopen(write, "w", buffering=1) as told:
                chunk(todo[len(ended) : len(ended) + CHUNK], good, images, told)
                if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MEMORY:
                    print("more than 2 GB of memory", file=told)
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as stream:
            lines = stream.read().splitlines()
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        ended += [line for line in lines if not line.startswith("begun ")][: len(todo) - len(ended)]
        if lines and lines[-1].startswith("begun "):
            ended.append(f"the process died ({status})")
        elif not lines:
            ended.append(f"nothing ({status})")
    return ended


def main(files: int, seed: int, kinds: tuple[str, ...] = ()) -> int:
    """Open so many files; how many led to something else than an answer or a refusal."""
    wheel = [kind for kind in kinds or KINDS for _ in range(SHARES[kind])]
    todo = [*KEPT, *((wheel[number % len(wheel)], seed * files + number) for number in range(files))]
    began, counts, bad = time.monotonic(), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "good"
        good = _in_a_process_of_its_own(made)
        images = next((made / "cache").glob("synthetic*/images"))
        for start in range(0, len(todo), 500):
            some = todo[start : start + 500]
            for (kind, number), said in zip(some, run(some, good, images), strict=True):
                counts[f"{kind} {said if said in ('read', 'refused') else 'BAD'}"] += 1
                if said not in ("read", "refused"):
                    bad[f"{kind}: {said}"] += 1
                    print(f"{kind} {number}: {said}", flush=True)
            print(
                f"-- {start + len(some):,} of {files:,}, {bad.total()} bad, {time.monotonic() - began:.0f} s",
                file=sys.stderr,
            )
    for name, count in sorted(counts.items()):
        print(f"{name:<24}{count:>8,}")
    print(f"{files:,} files, seed {seed}: {bad.total()} ended in something else than an answer or a refusal")
    return bad.total()


def _in_a_process_of_its_own(folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """The good files: who has computed must not be forked."""
    import pickle

    folder.mkdir()
    process = os.fork()
    if not process:
        (folder / "all").write_bytes(pickle.dumps(good_files(folder)))
        os._exit(0)
    os.waitpid(process, 0)
    import torch  # noqa: F401 (once, for all processes)

    import fer_lightning.inference.predict  # noqa: F401

    found: dict[str, list[tuple[str, bytes]]] = pickle.loads((folder / "all").read_bytes())
    return found


if __name__ == "__main__":
    number, first, *chosen = [*sys.argv[1:], *["10000", "0"][len(sys.argv) - 1 :]]
    raise SystemExit(bool(main(int(number), int(first), tuple(chosen))))
