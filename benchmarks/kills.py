"""Stop every verb at random moments and compare what comes out in the end with the run that was left alone.

    python benchmarks/kills.py [stops, default 50] [devices, default 1] [seed, default 0] [verb ...]

A chain is one command that is stopped again and again after a random time by SIGKILL, SIGTERM, SIGHUP, SIGUSR1, Ctrl-C
or a full disk (a limit on the size of files), and each time given again, until it ends. Chains of all verbs are run by
turns until there were as many stops as asked for. The training is on drawn faces, with dropout, augmentation, mixup,
averaged weights and a schedule, and a checkpoint every 3 batches; it is resumed with `--ckpt_path last`, and must end
with the weights, optimizer, metrics and early stopping of the uninterrupted run, bit for bit. The others must end with
the same rows, figures and files. After a stop no process may be there; after a chain no half-written file.
"""

from __future__ import annotations

import contextlib
import json
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
from collections.abc import Callable
from dataclasses import dataclass
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
SIGNALS = {
    "SIGKILL": signal.SIGKILL,
    "SIGTERM": signal.SIGTERM,
    "SIGHUP": signal.SIGHUP,
    "SIGUSR1": signal.SIGUSR1,
    "Ctrl-C": signal.SIGINT,
}


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


def left_behind(place: Path) -> list[str]:
    """Half-written files."""
    marks = ("writing", "building", ".tmp")
    return [str(path.relative_to(place)) for path in place.rglob("*") if any(mark in path.name for mark in marks)]


def without(content: Any, *names: str) -> Any:
    """Nested values without those that differ from run to run."""
    if isinstance(content, dict):
        return {key: without(value, *names) for key, value in content.items() if key not in names}
    return [without(value, *names) for value in content] if isinstance(content, list) else content


def figures(path: Path) -> Any:
    """What a JSON file says, but for times, places and commands."""
    return without(json.loads(path.read_text()), "seconds", "how", "config", "checkpoint", "legend", "image_dir")


def test_outcome(place: Path) -> dict[str, object]:
    """What a test leaves."""
    folder = place / "runs" / "tested" / "test"
    return {"figures": figures(folder / "metrics.json"), "rows": (folder / "predictions.csv").read_text()}


def crossval_outcome(place: Path) -> dict[str, object]:
    """What a cross-validation leaves."""
    folder = place / "runs" / "folds"
    return {"figures": figures(folder / "crossval.json"), "rows": (folder / "test" / "predictions.csv").read_text()}


def predict_outcome(place: Path) -> dict[str, object]:
    """What naming expressions leaves."""
    pictures = sorted(path.name for path in (place / "drawn").iterdir() if path.suffix == ".jpg")
    return {"rows": (place / "rows.csv").read_text(), "pictures": pictures}


@dataclass(frozen=True)
class Chain:
    """A command, how it goes on after a stop (as it was begun, if nothing is said), and what has to be the same."""

    words: list[str]
    outcome: Callable[[Path], dict[str, object]]
    remains: tuple[str, ...] = ()  # what is removed before another chain
    resume: tuple[list[str], str] | None = None  # how it goes on once a file is there


def chains(data: Path, several: list[str]) -> dict[str, Chain]:
    """One chain of each verb; all but the training need `runs/whole`."""
    best, last = "runs/whole/checkpoints/best.ckpt", "runs/cut/checkpoints/last.ckpt"
    fit = ["fit", "--name", "cut"]
    small = ["--data.image_size", "32", "--trainer.max_epochs", "2", "--model.network.init_args.hidden", "16"]
    return {
        "fit": Chain(
            [*fit, "--data.root", str(data), *OPTIONS, *several],
            lambda place: outcome(place / "runs/cut"),
            ("runs/cut",),
            ([*fit, "--ckpt_path", "last", "--trainer.callbacks", "kills.StepLog"], last),
        ),
        "test": Chain(["test", "--name", "tested", "--ckpt_path", best], test_outcome, ("runs/tested",)),
        "predict": Chain(
            [
                "predict",
                "--ckpt_path",
                best,
                "--input",
                str(data / "images"),
                "--output",
                "rows.csv",
                "--annotate",
                "drawn",
            ],
            predict_outcome,
            ("rows.csv", "rows.csv.settings.json", "drawn"),
        ),
        "audit": Chain(
            ["audit", "--data.root", str(data), "--fail_on", "never", "--output", "found"],
            lambda place: {"figures": figures(place / "found" / "findings.json")},
            ("found",),
        ),
        "export": Chain(
            ["export", "--ckpt_path", best, "--output", "out.safetensors", "--overwrite", "true"],
            lambda place: {
                "file": (place / "out.safetensors").read_bytes(),
                "card": (place / "out.safetensors.md").exists(),
            },
            ("out.safetensors", "out.safetensors.md"),
        ),
        "crossval": Chain(
            ["crossval", "--name", "folds", "--folds", "2", "--data.root", str(data), *small],
            crossval_outcome,
            ("runs/folds",),
        ),
    }


def start(words: list[str], place: Path, limit: int | None = None) -> subprocess.Popen[bytes]:
    """Start a verb; `limit` is the largest file it may write, in bytes, as a full disk would have it."""
    command = [sys.executable, str(TRAIN), *words]
    if limit is not None:
        command = ["prlimit", f"--fsize={limit}", *command]
    with open(place / "said.txt", "wb") as said:
        how = {"stdout": said, "stderr": said, "start_new_session": True, "preexec_fn": heed_signals}
        return subprocess.Popen(command, cwd=place, env=ENVIRONMENT, **how)


def heed_signals() -> None:
    """In a command that begins: heed signals also where this was started in the background, or with nohup."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def anybody(session: int) -> list[str]:
    """The processes of a session a moment after its command has ended."""
    found: list[str] = []
    for _ in range(100):
        done = subprocess.run(
            ["ps", "-o", "stat=,args=", "-s", str(session)], capture_output=True, text=True, check=False
        )
        found = [line for line in done.stdout.splitlines() if not line.startswith("Z")]
        if not found:
            break
        time.sleep(0.1)
    return found


def run_chain(
    chain: Chain, place: Path, whole_time: float, chance: random.Random, kinds: list[str], most: int
) -> tuple[Counter[str], list[int], list[str]]:
    """Run a command to its end through at most so many stops: these, the training steps repeated, what was left."""
    done: Counter[str] = Counter()
    repeated: list[int] = []
    left: list[str] = []
    finished = False
    while not finished:
        goes_on = chain.resume is not None and (place / chain.resume[1]).is_file()
        words = chain.resume[0] if chain.resume and goes_on else chain.words
        if chain.resume:
            words = [*words, "--data.num_workers", str(chance.choice([0, 0, 1]))]
        kind = chance.choice(kinds) if done.total() < most else "none"
        before = step_of(place / "runs/cut")
        (place / "step").unlink(missing_ok=True)
        process = start(words, place, limit=100_000 if kind == "full disk" else None)
        try:
            process.wait(chance.uniform(0.1, 1.0) * whole_time if kind in SIGNALS else 600)
        except subprocess.TimeoutExpired:
            if kind == "Ctrl-C":
                os.killpg(process.pid, signal.SIGINT)
            else:
                process.send_signal(SIGNALS[kind])
            if kind == "SIGUSR1" and words[0] in ("fit", "crossval"):  # it may save and go on
                time.sleep(1)
                process.terminate()
            process.wait(90)
            done[kind] += 1
        else:
            finished = process.returncode == 0
            done[kind] += not finished
            if not finished and kind == "none":
                raise SystemExit(f"{words[0]} fails by itself: {(place / 'said.txt').read_text()[-2000:]}")
        left += [f"{kind}: {who}" for who in anybody(process.pid)]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if kind in ("SIGTERM", "SIGHUP", "Ctrl-C") and "Traceback" in (place / "said.txt").read_text(errors="replace"):
            left.append(f"{kind}: a traceback of {words[0]}")
        after = step_of(place / "runs/cut")
        if after < before and chain.resume:
            left.append(f"went back from step {before} to {after} after {kind}")
        if not finished and (place / "step").is_file():
            repeated.append(int((place / "step").read_text() or after) - after)
    return done, repeated, left + left_behind(place)


def main(stops: int, devices: int, seed: int, verbs: list[str]) -> int:
    """Run chains until enough stops were made; the number of chains that did not end well."""
    chance = random.Random(seed)
    several = ["--trainer.devices", str(devices), "--trainer.strategy", "ddp", "--trainer.accelerator", "cpu"]
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {devices} processes, seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = synthetic_faces(place / "drawn_data", people=12, images=2)
        known = chains(data, several if devices > 1 else [])
        expected: dict[str, dict[str, object]] = {}
        times: dict[str, float] = {}
        for verb, chain in known.items():
            if verb in (verbs or known) or verb == "fit":
                begun = time.monotonic()
                if start(chain.words, place).wait():
                    raise SystemExit(f"{verb} fails by itself: {(place / 'said.txt').read_text()[-2000:]}")
                times[verb], expected[verb] = time.monotonic() - begun, chain.outcome(place)
                if verb == "fit":
                    shutil.copytree(place / "runs/cut", place / "runs/whole")
        steps = step_of(place / "runs/whole")
        total: Counter[str] = Counter()
        repeated: list[int] = []
        number = exact = 0
        while total.total() < stops:
            verb = (verbs or list(known))[number % len(verbs or known)]
            chain = known[verb]
            for name in chain.remains:
                shutil.rmtree(place / name, ignore_errors=True)
                (place / name).unlink(missing_ok=True)
            kinds = [*SIGNALS, "full disk"] if devices == 1 else [*SIGNALS]
            most = min(stops - total.total(), 8)
            done, again, left = run_chain(chain, place, times[verb], chance, kinds, most)
            total, repeated, number = total + done, repeated + again, number + 1
            found = chain.outcome(place)
            different = [name for name, value in found.items() if value != expected[verb][name]]
            exact += not different and not left
            said = f"DIFFERENT: {different}" if different else "exact"
            print(f"chain {number}, {verb}: {dict(done)}, {said}{f', LEFT: {left}' if left else ''}", flush=True)
    print(f"{total.total()} stops ({dict(total)}); training has {steps} steps, of which were repeated ", end="")
    print(f"{max(repeated, default=0)} at worst, {sum(repeated) / max(len(repeated), 1):.1f} on average")
    print(f"{exact} of {number} chains identical to the run that was left alone, with nothing and nobody left behind")
    return number - exact


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:4]]
    raise SystemExit(main(*(given + [50, 1, 0][len(given) :]), verbs=sys.argv[4:]))
