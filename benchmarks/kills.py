"""Kill training at random moments and compare it with the run that was left alone.

    python benchmarks/kills.py [kills, default 50] [devices, default 1] [seed, default 0]

A run on drawn faces, with dropout, augmentation, mixup, averaged weights and a schedule, and a checkpoint every 3
batches, is stopped again and again after a random time by SIGKILL, SIGTERM, Ctrl-C or a full disk (a limit on the
size of files), and each time resumed with `--ckpt_path last`, until it ends. That is one chain; chains are run until
there were as many stops as asked for. Every chain must end with the weights, optimiser, metrics and early stopping of
the uninterrupted run, bit for bit.
"""

from __future__ import annotations

import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback

from fer_lightning.data.sources.synthetic import synthetic_faces

TRAIN = Path(__file__).resolve().parent.parent / "train.py"
OPTIONS = [
    *("--data.image_size", "32", "--data.batch_size", "8", "--trainer.max_epochs", "8"),
    *("--early_stopping.patience", "3", "--checkpoint_last.every_n_steps", "3"),
    *("--trainer.callbacks", "kills.StepLog"),
    *("--model.lr_scheduler", "WarmupCosine", "--model.ema_decay", "0.9", "--data.augmentation.mixup", "0.2"),
    *("--model.network.init_args.hidden", "64", "--model.network.init_args.dropout", "0.3"),
    *("--data.augmentation.rotation", "10"),
]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(TRAIN.parent), str(TRAIN.parent / "benchmarks")])}
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}


class StepLog(Callback):
    """Leaves the number of the step last taken in a file."""

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Write the file."""
        if trainer.is_global_zero:
            Path("step").write_text(str(trainer.global_step))


def outcome(run: Path) -> dict[str, object]:
    """All that must be the same in the end."""
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    callbacks = checkpoint["callbacks"]
    stopping = [str(state) for name, state in callbacks.items() if "Stopping" in name]
    best = [float(state["best_model_score"]) for name, state in callbacks.items() if "ModelCheckpoint" in name]
    rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    seconds = rows[0].index("seconds")
    table = [[value for place, value in enumerate(row) if place != seconds] for row in rows]
    flat = torch.cat([value.double().flatten() for value in checkpoint["state_dict"].values()])
    states = checkpoint["optimizer_states"][0]["state"].values()
    moments = torch.cat([value.double().flatten() for state in states for value in state.values()])
    return {
        "weights": flat.tolist(),
        "optimizer": moments.tolist(),
        "schedule": checkpoint["lr_schedulers"],
        "stopping": stopping,
        "best": best,
        "table": table,
    }


def step_of(run: Path) -> int:
    """The step of `last.ckpt`; 0 if there is none yet."""
    last = run / "checkpoints" / "last.ckpt"
    return int(torch.load(last, weights_only=True)["global_step"]) if last.is_file() else 0


def start(words: list[str], place: Path, limit: int | None = None) -> subprocess.Popen[bytes]:
    """Start a fit; `limit` is the largest file it may write, in bytes, as a full disk would have it."""
    command = [sys.executable, str(TRAIN), "fit", "--name", "cut", *words]
    if limit is not None:
        command = ["prlimit", f"--fsize={limit}", *command]
    silent = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=place, stdout=silent, stderr=silent, start_new_session=True, env=ENVIRONMENT)


def main(kills: int, devices: int, seed: int) -> int:
    """Run chains until enough stops were made; the number of chains that were not exact."""
    chance = random.Random(seed)
    several = ["--trainer.devices", str(devices), "--trainer.strategy", "ddp", "--trainer.accelerator", "cpu"]
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {devices} processes, seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = synthetic_faces(place / "drawn", people=12, images=2)
        options = ["--data.root", str(data), *OPTIONS, *(several if devices > 1 else [])]
        begun = time.monotonic()
        subprocess.run(
            [sys.executable, str(TRAIN), "fit", "--name", "whole", *options],
            cwd=place,
            check=True,
            capture_output=True,
            env=ENVIRONMENT,
        )
        whole_time = time.monotonic() - begun
        expected, steps = outcome(place / "runs/whole"), step_of(place / "runs/whole")
        done: Counter[str] = Counter()
        chains = exact = 0
        repeated: list[int] = []
        while done.total() < kills:
            shutil.rmtree(place / "runs/cut", ignore_errors=True)
            finished = False
            while not finished:
                resume = ["--ckpt_path", "last"] if (place / "runs/cut/checkpoints/last.ckpt").is_file() else options
                workers = ["--data.num_workers", str(chance.choice([0, 0, 1]))]
                kinds = [*SIGNALS, "full disk"] if devices == 1 else [*SIGNALS]
                kind = chance.choice(kinds) if done.total() < kills else "none"
                before = step_of(place / "runs/cut")
                (place / "step").unlink(missing_ok=True)
                process = start([*resume, *workers], place, limit=100_000 if kind == "full disk" else None)
                try:
                    process.wait(chance.uniform(0.4, 1.0) * whole_time if kind in SIGNALS else 600)
                except subprocess.TimeoutExpired:
                    if kind == "Ctrl-C":
                        os.killpg(process.pid, signal.SIGINT)
                    else:
                        process.send_signal(SIGNALS[kind])
                    process.wait(90)
                    done[kind] += 1
                    time.sleep(0.2)
                else:
                    finished = process.returncode == 0
                    if not finished:
                        done[kind] += 1
                after = step_of(place / "runs/cut")
                if after < before:
                    print(f"went back from step {before} to {after} after {kind}", flush=True)
                if not finished and (place / "step").is_file():
                    repeated.append(int((place / "step").read_text() or after) - after)
            chains += 1
            found = outcome(place / "runs/cut")
            different = [name for name, value in found.items() if value != expected[name]]
            exact += not different
            print(f"chain {chains}: {dict(done)}, {'DIFFERENT: ' * bool(different)}{different or 'exact'}", flush=True)
            if different:
                print(expected["table"], found["table"], sep="\n")
    print(
        f"{done.total()} stops in runs of {steps} steps; steps repeated: {max(repeated, default=0)} at worst, ", end=""
    )
    print(f"{sum(repeated) / max(len(repeated), 1):.1f} on average")
    print(f"{exact} of {chains} chains bit-identical to the whole run")
    return chains - exact


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    raise SystemExit(main(*(given + [50, 1, 0][len(given) :])))
