"""A step of `gpu.py`: the command line, as a user has it, on the GPU."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from gpu_report import Report, Setting
from lightning.pytorch import Callback

from fer_lightning.cores import available_cpus

PROJECT = Path(__file__).resolve().parents[1]


class Watch(Callback):
    """Says how much of the GPU's memory a training took; stops it at a step as Ctrl-C does."""

    def __init__(self, stop_at: int = 0) -> None:
        self.stop_at = stop_at

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Stop if it is time."""
        if self.stop_at and trainer.global_step == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    def on_train_end(self, trainer: Any, *_: Any) -> None:
        """Say it."""
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        print(f"\nPEAK {peak}", flush=True)


def command(setting: Setting, words: list[str], limit: float) -> tuple[int, float, str]:
    """Run train.py: its status, seconds and output; -1 if it took longer than the limit."""
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "benchmarks"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path, "FER_LIGHTNING_CACHE": str(setting.place)}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, available_cpus(keep=0) // 4)))  # several run at once
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(PROJECT / "train.py"), *words],
        cwd=setting.place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said = process.communicate(timeout=limit)[0].decode(errors="replace")
        return process.returncode, time.monotonic() - begun, said
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said = process.communicate()[0].decode(errors="replace")
        return -1, time.monotonic() - begun, f"{said} took longer than {limit:.0f} s"


def tour(setting: Setting, report: Report) -> None:
    """The command line, as a user has it."""
    small, place = setting.small, setting.place
    accelerator = ["--trainer.accelerator", "cuda" if setting.on_gpu else "cpu"]
    root = setting.drawn()
    fit = ["fit", *accelerator, "--data.root", str(root), "--trainer.max_epochs", "2"]
    random = ["--model.network.init_args.dropout", "0.3", "--data.augmentation.mixup", "0.2"]
    random += ["--data.augmentation.rotation", "10", "--data.augmentation.noise", "0.1", "--model.ema_decay", "0.9"]
    random += ["--model.lr_scheduler", "WarmupCosine"]
    random += ["--data.image_size", "32", "--data.batch_size", "8"] if small else []
    watch, stop = ("--trainer.callbacks", "gpu_tour.Watch"), 5 if small else 11
    stopping = ("--trainer.callbacks", json.dumps([{"class_path": "gpu_tour.Watch", "init_args": {"stop_at": stop}}]))
    ferplus = [*fit, *watch, "--name", "ferplus", "--config", "configs/ferplus.yaml", "--data.split", "grouped"]
    ferplus += ["--data.soft_labels", "false", "--data.faces", "whole"]
    fixed = ["--trainer.deterministic", "true"]
    first = {
        "fit": [*fit, *random, *watch, "--name", "whole"],
        "fit, stopped": [*fit, *random, *stopping, "--name", "cut"],
        "fit, again": [*fit, *random, *watch, "--name", "again"],
        "fit, ferplus.yaml": ferplus,
        "fit, deterministic": [*fit, *random, *watch, "--name", "fixed", *fixed],
        "fit, deterministic, again": [*fit, *random, *watch, "--name", "fixed_again", *fixed],
    }
    best, elsewhere = "runs/whole/checkpoints/best.ckpt", ["--name", "elsewhere", "--trainer.accelerator", "cpu"]
    device = ["--device", str(setting.device)]
    more = ["fit", *accelerator, *watch]
    second = {
        "resume": [*more, "--name", "cut", "--ckpt_path", "last"],
        "resume, ferplus.yaml": [*more, "--name", "ferplus", "--ckpt_path", "last", "--trainer.max_epochs", "3"],
        "test": ["test", *accelerator, "--name", "whole", "--ckpt_path", "best"],
        "validate": ["validate", *accelerator, "--name", "whole", "--ckpt_path", "best"],
        "test on the CPU": ["test", *elsewhere, "--ckpt_path", best],
        "predict": ["predict", str(root / "images"), *device, "--output", "rows.csv"],
        "export onnx": ["export", "--ckpt_path", best, "--output", "out.onnx"],
        "export safetensors": ["export", "--ckpt_path", best, "--output", "out.safetensors"],
    }
    if small:
        first = {name: words for name, words in first.items() if name in ("fit", "fit, stopped")}
        second = {name: words for name, words in second.items() if name in ("resume", "test", "predict")}
    with ThreadPoolExecutor(max(2, available_cpus(keep=0) // 2)) as pool:
        for wave in (first, second):
            limit = min(60.0 if setting.on_gpu else 200.0, report.left(10))
            running = {name: pool.submit(command, setting, words, limit) for name, words in wave.items()}
            for name, one in running.items():
                status, seconds, said = one.result()
                missing = name == "export onnx" and re.search(r"ONNX files need (\w+)", said)
                right = status == (130 if name == "fit, stopped" else 0)
                word = "right" if right else f"skipped, {missing[1]} is missing" if missing else f"FAILED, {status}"
                figures: dict[str, Any] = {"outcome": word, "seconds": seconds}
                if found := re.search(r"Compute (.*)", said):
                    figures["compute"] = found[1].partition(" (")[0]
                if found := re.search(r"PEAK (\d+)", said):
                    figures["peak_MB"] = int(found[1]) / 1e6
                if not right and not missing:
                    figures["said"] = said.strip()[-600:]
                report.add(name, **figures)
    pairs = {
        "uninterrupted against resumed": ("whole", "cut"),
        "uninterrupted against run again": ("whole", "again"),
        "deterministic against run again": ("fixed", "fixed_again"),
    }
    runs = {run for pair in pairs.values() for run in pair}
    weights = {run: state for run in runs if (state := final_state(place / "runs" / run))}
    for name, pair in pairs.items():
        if not set(pair) - set(weights):
            one, other = (weights[run] for run in pair)
            apart = max((value - other[key]).abs().max().item() for key, value in one.items())
            equal = all(torch.equal(value, other[key]) for key, value in one.items())
            told = "bit by bit" if equal else "not bit by bit"
            report.add(name, equal=told, largest_difference_of_a_weight=apart)
    said = [place / "runs" / name / "test" / "metrics.json" for name in ("whole", "elsewhere")]
    if all(path.is_file() for path in said):
        here, there = (json.loads(path.read_text())["metrics"] for path in said)
        pairs = [(value["value"], there[name]["value"]) for name, value in here.items()]
        apart = max(abs(one - other) for one, other in pairs if None not in (one, other))
        report.add("test, GPU against CPU", largest_difference_of_a_figure=apart)
    if (place / "rows.csv").is_file():
        report.add("predict, rows", rows=len((place / "rows.csv").read_text().splitlines()) - 1)


def final_state(run: Path) -> dict[str, torch.Tensor]:
    """The weights and the optimizer's memory at the end of a run; empty if it did not come to one."""
    last = run / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return {}
    checkpoint = torch.load(last, map_location="cpu", weights_only=True)
    states = checkpoint["optimizer_states"][0]["state"].items()
    memory = {f"{number}.{name}": value for number, state in states for name, value in state.items()}
    known = (checkpoint["state_dict"] | memory).items()
    return {name: value.double() for name, value in known if isinstance(value, torch.Tensor)}
