"""The run's folder, where each machine of a training may have one of its own."""

import hashlib
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from fer_lightning.cli.nodes import Nodes, RefusedElsewhereError
from fer_lightning.cli.run_folder import take_folder
from fer_lightning.errors import FERError
from fer_lightning.files import replace_text, replacing, sha256_of
from fer_lightning.screen import say
from fer_lightning.training.callbacks.last_checkpoint import LastCheckpoint
from fer_lightning.training.callbacks.node_copies import RUN_ID, NodeCopies, files_of

_CHUNK = 4_000_000
"""Bytes told at once: torch's store takes 8 MB at most."""

_PREPARING = 1800.0
"""Seconds that the others wait for the first machine's data, as long as gloo and NCCL do."""


def bring_last(there: Nodes | None, run_dir: Path) -> None:
    """Give every machine the checkpoints of the one that has come furthest, where their run's folders differ.

    Args:
        there: The machines, if there are several.
        run_dir: The run's folder, by its name on this machine.

    Raises:
        FERError: If these are of different runs, or another process writes here.
    """
    if there is None:
        return
    states = there.gather("last", _state(run_dir) if there.first else None, _PREPARING)
    have = [number for number, state in enumerate(states) if state]
    if not have or all(state == states[0] for state in states):
        return
    source = max(have, key=lambda number: (states[number]["step"], states[number]["epoch"], -number))
    for number in have:
        one, other = states[number], states[source]
        if one["files"][_LAST] != other["files"][_LAST] and not (one["run"] and one["run"] == other["run"]):
            there.gather("last read", True)
            raise RefusedElsewhereError(
                f"The run '{run_dir}' on machine {number} (at step {one['step']}) is another one than on machine "
                f"{source} (at step {other['step']}), and a training goes on with one of them. Move the other one "
                "away on its machine, or choose another --name."
            )
    missing = {
        name: [number for number, state in enumerate(states) if not state or state["files"].get(name) != digest]
        for name, digest in states[source]["files"].items()
    }
    if there.first and any(there.number in numbers for numbers in missing.values()):
        here, furthest = states[there.number], states[source]["step"]
        was = f"is at step {here['step']} here" if here else "is not here yet"
        say(f"Nodes  {run_dir} {was}, and at step {furthest} on machine {source}: taken over from there")
    if there.first:
        known = bool(states[there.number]) or _run_id(run_dir) == (states[source]["run"] or None)
        _exchange(there, run_dir, source, known, states[source]["files"], missing)
    there.gather("brought", True, _PREPARING)  # who sends and who gets notice within minutes if the other is gone


_LAST = "checkpoints/last.ckpt"


def _state(run_dir: Path) -> dict[str, Any] | None:
    """What a run's folder here holds to go on from."""
    path = run_dir / _LAST
    if not path.is_file():
        return None
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        step, epoch = int(checkpoint["global_step"]), int(checkpoint["epoch"])
    except Exception as error:  # whatever unpickling raises
        why = f"it is damaged ({type(error).__name__})"
        raise FERError(f"Cannot read '{path}': {why}. Move it away, or put another one there.") from None
    files = {name: sha256_of(run_dir / name) for name in sorted(files_of(run_dir), key=lambda name: name == _LAST)}
    return {"step": step, "epoch": epoch, "run": _run_id(run_dir), "files": files}


def _run_id(run_dir: Path) -> str:
    path = run_dir / RUN_ID
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _exchange(
    there: Nodes, run_dir: Path, source: int, known: bool, digests: dict[str, str], missing: dict[str, list[int]]
) -> None:
    """Tell the files of one machine, or write those that are missing here; what is no `known` run gives way."""
    with ExitStack() as held:
        if any(there.number in numbers for numbers in missing.values()):
            held.enter_context(take_folder(run_dir, resume=known))
        for name, numbers in missing.items():
            topic = f"{there.talks}/{name}"
            if there.number == source and numbers:
                with open(run_dir / name, "rb") as stream:
                    chunks = -(-(run_dir / name).stat().st_size // _CHUNK)
                    there.tell(f"{topic}/chunks", str(chunks).encode())
                    for number in range(chunks):
                        there.tell(f"{topic}/{number}", stream.read(_CHUNK))
                        for other in numbers:
                            there.hear(f"{topic}/{number}/{other}")
                        there.forget(f"{topic}/{number}")
            elif there.number in numbers:
                digest = hashlib.sha256()
                with replacing(run_dir / name, "wb") as stream:
                    for number in range(int(there.hear(f"{topic}/chunks"))):
                        chunk = there.hear(f"{topic}/{number}")
                        digest.update(chunk)
                        stream.write(chunk)
                        there.tell(f"{topic}/{number}/{there.number}", b"")
                    if digest.hexdigest() != digests[name]:
                        raise FERError(f"'{run_dir / name}' has not come from machine {source} as it is there.")


def take_run(there: Nodes | None, trainer: Trainer, run_dir: Path, resume: bool) -> ExitStack:
    """Hold the run's folder until what this returns is closed: see `take_folder`.

    Where machines do not see the first one's folder, each takes its own, and gets the checkpoints that are written.

    Args:
        there: The machines, if there are several.
        trainer: The Trainer that is about to fit.
        run_dir: The run's folder, by its name on this machine.
        resume: Whether the run goes on; else an earlier one is kept under another name.

    Raises:
        FERError: If a folder cannot be had, or holds another run.
    """
    held = take_folder(run_dir, resume) if trainer.is_global_zero else ExitStack()
    if there is None:
        return held
    mark = ""
    if trainer.is_global_zero:
        run_dir.mkdir(exist_ok=True)
        mark = (_run_id(run_dir) or secrets.token_hex(8)) + " " + secrets.token_hex(8)
        (run_dir / _mark_of(mark)).touch()
    mark = there.gather("mark", mark, _PREPARING)[0]
    seen = there.gather("sees", (run_dir / _mark_of(mark)).exists() if there.first else None)
    if trainer.is_global_zero:
        (run_dir / _mark_of(mark)).unlink()
    if all(seen):
        return held
    apart = there.first and not seen[there.number]
    if apart:
        held = take_folder(run_dir, resume)
        run_dir.mkdir(exist_ok=True)
    if apart or trainer.is_global_zero:
        replace_text(run_dir / RUN_ID, mark.partition(" ")[0] + "\n")
    there.gather("taken", True)
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, LastCheckpoint):
            callback.copies = NodeCopies(run_dir, apart)
    return held


def _mark_of(mark: str) -> str:
    return f".seen-{mark.partition(' ')[2]}"
