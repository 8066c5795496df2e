"""Size, speed and parity of exported formats: `python benchmarks/formats.py CKPT DATA [--option value ...]`.

CKPT is a checkpoint or `pretrained`, DATA a data set for the int8 ranges and the comparison; further options are
`--legend`, `--images` and `--split`. On the first 1,000 images of the testing subset, prepared once: accuracy, the
fraction of answers that are the checkpoint's, the largest difference of a probability. Latency is the median of 50
calls with one face and of 20 calls with 64, after 5 calls to warm up; the ratio is to the checkpoint.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import TESTING
from fer_lightning.export.export import CalibrationData, export
from fer_lightning.inference.model import open_model
from fer_lightning.model.expression_model import ExpressionModel


def latency(model: ExpressionModel, pixels: torch.Tensor, calls: int) -> float:
    """Median milliseconds of a call."""
    times = []
    for call in range(calls + 5):
        start = time.perf_counter()
        model.probabilities(pixels)
        if call >= 5:
            times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def main(given: str, root: str, words: list[str]) -> None:
    """Export, measure and print."""
    options = dict(zip([word.removeprefix("--") for word in words[::2]], words[1::2], strict=True))
    original = open_model(given, device="cpu")
    spec = original.input_spec.settings()
    data = FERDataModule(root, classes=list(original.class_names), **spec, **options)  # type: ignore[arg-type]
    samples = data.samples(TESTING)
    batch = samples.__getitems__(list(range(min(1000, len(samples)))))
    expected = torch.cat([original.probabilities(some) for some in batch.images.split(100)])
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; {len(batch.labels)} images"
    )
    names = ("MB", "1 face, ms", "ratio", "64, ms", "ratio", "accuracy", "same", "differ")
    print(
        f"{'':<28}" + "".join(f"{name:>{width}}" for name, width in zip(names, (7, 12, 7, 8, 7, 10, 8, 9), strict=True))
    )
    first = (latency(original, batch.images[:1], 50), latency(original, batch.images[:64], 20))
    with tempfile.TemporaryDirectory() as place:
        for name, file, quantize in (
            ("checkpoint (PyTorch)", "", None),
            ("safetensors, half", "a.safetensors", None),
            ("torch.export", "a.pt2", None),
            ("ONNX (onnxruntime)", "a.onnx", None),
            ("ONNX int8 (onnxruntime)", "b.onnx", "int8"),
        ):
            path = Path(place) / file
            if file:
                stdout, sys.stdout = sys.stdout, sys.stderr
                more = CalibrationData(root=root, **options) if quantize else CalibrationData()  # type: ignore[arg-type]
                export(given, str(path), quantize=quantize, data=more)  # type: ignore[arg-type]
                sys.stdout = stdout
            model = open_model(path, device="cpu") if file else original
            found = torch.cat([model.probabilities(some) for some in batch.images.split(100)])
            one, many = latency(model, batch.images[:1], 50), latency(model, batch.images[:64], 20)
            accuracy = float((found.argmax(1) == batch.labels).float().mean())
            same = float((found.argmax(1) == expected.argmax(1)).float().mean())
            size = f"{path.stat().st_size / 1e6:.2f}" if file else ""
            print(
                f"{name:<28}{size:>7}{one:>12.2f}{one / first[0]:>7.2f}{many:>8.1f}{many / first[1]:>7.2f}"
                f"{accuracy:>10.4f}{same:>8.1%}{float((found - expected).abs().max()):>9.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
