"""What only a machine with a GPU can show, in less than four minutes: `python benchmarks/gpu.py --output FOLDER`.

The steps, in the order of their importance; after --minutes those that are left are skipped, and one that fails does
not take the others with it. What is found is printed as it comes, and written to FOLDER as results.json and results.md.

tour        the command line: fit, stop and resume compared with two uninterrupted runs, test, validate, predict, export
numbers     the same weights on the same images: CPU against GPU, in single precision and in bfloat16
throughput  images a second in training, ours against a bare torch loop with its tensors on the device. Ours is the
            Trainer with the data module, without validation and saving; the images are noise
waits       what a batch costs: each part by itself; the whole without a part; where the processor waits for the GPU
evaluation  images a second of ExpressionRecognizer, GPU against CPU
layouts     throughput without channels-last
compile     throughput with torch.compile, on a GPU alone

`--device cpu --small` tries the same on an ordinary machine. Without a GPU there are no results.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import platform
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
import torchvision
from gpu_answers import evaluation, numbers
from gpu_report import OutOfTimeError, Report, Setting
from gpu_tour import tour
from gpu_training import compiled, layouts, throughput
from gpu_waits import waits

MEMORY = 20e9
"""Bytes of the GPU's memory that may be used."""

STEPS: dict[str, tuple[float, Callable[[Setting, Report], None]]] = {
    "tour": (20, tour),
    "numbers": (5, numbers),
    "throughput": (10, throughput),
    "waits": (15, waits),
    "evaluation": (10, evaluation),
    "layouts": (6, layouts),
    "compile": (25, compiled),
}
"""Each step, and the seconds that it needs at the least."""


def out_of_time(number: int, frame: Any) -> None:
    """What the alarm does."""
    raise OutOfTimeError("it took longer than there was time")


def main() -> None:
    """Take all steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="folder for results.json and results.md")
    parser.add_argument("--minutes", type=float, default=3.5)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="a little of everything, to see whether it runs")
    parser.add_argument("--only", nargs="+", choices=list(STEPS), default=list(STEPS), help="these steps")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "torch finds no GPU here: nothing is measured, nothing is claimed. (--device cpu tries the CPU.)"
        )
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    report = Report(options.output, options.minutes)
    faulthandler.dump_traceback_later(options.minutes * 60 + 20, exit=True)  # whatever hangs where no alarm is heard
    signal.signal(signal.SIGALRM, out_of_time)
    place = Path(tempfile.mkdtemp())
    try:
        setting = Setting(options.device, options.small, place)
        report.about = about(setting)
        print("\n".join(f"{name}: {value}" for name, value in report.about.items()), flush=True)
        for name, (least, step) in STEPS.items():
            report.step, begun = name, time.monotonic()
            if name not in options.only:
                continue
            try:
                left = report.left(least)
                signal.setitimer(signal.ITIMER_REAL, left + 2)
                step(setting, report)
                report.add("done", seconds=time.monotonic() - begun)
            except Exception as error:
                if isinstance(error, OutOfTimeError) or report.end < time.monotonic():  # who catches it may wrap it
                    report.add("SKIPPED, or what is left of it", why=str(error)[:200])
                else:
                    report.add("FAILED", why=f"{type(error).__name__}: {str(error)[:600]}")
                    traceback.print_exc(limit=-5, chain=False)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                report.write()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def about(setting: Setting) -> dict[str, str]:
    """The machine and the versions."""
    found = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"}
    found |= {"torch": torch.__version__, "lightning": lightning.__version__, "torchvision": torchvision.__version__}
    found["precision of fit"] = setting.precision
    if setting.on_gpu:
        card = torch.cuda.get_device_properties(0)
        found |= {"card": f"{card.name}, {card.total_memory / 1e9:.0f} GB", "CUDA": str(torch.version.cuda)}
        found["cuDNN"] = str(torch.backends.cudnn.version())
        torch.cuda.set_per_process_memory_fraction(min(1.0, MEMORY / card.total_memory))
    else:
        found["device"] = f"CPU, {torch.get_num_threads()} threads: this says nothing about a GPU"
    return found


if __name__ == "__main__":
    main()
