"""Two network namespaces stand for two machines: addresses of their own, a cable between them, and no shared folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from tests.conftest import PROJECT, TINY, run

LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"
PORT = 29411

STEPS = '''
import time
from pathlib import Path
from lightning.pytorch import Callback


class Steps(Callback):
    """Leaves the number of the step last taken in a file, and takes its time while there is a file `slow`."""

    def on_train_batch_end(self, trainer, *_):
        Path(f"step-{trainer.global_rank}").write_text(str(trainer.global_step))
        if Path("slow").exists():
            time.sleep(0.15)
'''


@dataclass
class Machine:
    """A network namespace, and a folder that only its processes know."""

    name: str
    address: str
    folder: Path
    leader: str
    interface: str
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, verb: str, *words: str | Path, restarts: int = 3) -> subprocess.Popen[str]:
        """Start torchrun with a verb."""
        host = str(int(self.address == self.leader))
        command = ["ip", "netns", "exec", self.name, sys.executable, "-m", "torch.distributed.run"]
        command += ["--nnodes", "2", "--nproc_per_node", "1", "--max_restarts", str(restarts), "--rdzv_backend", "c10d"]
        command += ["--rdzv_endpoint", f"{self.leader}:{PORT}", "--rdzv_conf", f"is_host={host},join_timeout=120"]
        command += ["--local_addr", self.address, str(PROJECT / "train.py"), verb, "--trainer.num_nodes", "2"]
        command += ["--trainer.strategy", "ddp", "--trainer.accelerator", "cpu", *map(str, words)]
        own = {"FER_LIGHTNING_CACHE": str(self.folder / "cache"), "GLOO_SOCKET_IFNAME": self.interface}
        own |= {"PYTHONPATH": f"{PROJECT}:{self.folder}", "OMP_NUM_THREADS": "1"}
        own |= {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
        with open(self.folder / f"log-{len(self.started)}", "w") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | own, stdout=log, stderr=subprocess.STDOUT, text=True
            )
        self.started.append(process)
        return process

    def log(self) -> str:
        """All that it said."""
        return "\n".join((self.folder / f"log-{number}").read_text() for number in range(len(self.started)))

    def cut(self) -> None:
        """End all that runs on it, as a power cut does."""
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        for number in listed.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)
        for process in self.started:
            process.wait(20)

    def lose_disk(self) -> None:
        """Another machine takes its place: what the training has written is gone."""
        shutil.rmtree(self.folder / "runs")
        for path in self.folder.glob("step-*"):
            path.unlink()

    def step(self) -> int:
        """The step last taken."""
        said = [path.read_text() for path in self.folder.glob("step-*")]
        return max((int(number) for number in said if number), default=0)


@pytest.fixture(scope="module")
def machines(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Machine]]:
    if not shutil.which("ip") or os.name == "nt" or os.geteuid() != 0:
        pytest.skip("network namespaces need Linux, the program `ip` and root")
    place, mine = tmp_path_factory.mktemp("machines"), f"fer{os.getpid() % 10**6}"
    leader = "10.213.77.1"
    made = [Machine(f"{mine}{n}", f"10.213.77.{n}", place / f"machine{n}", leader, f"{mine}{n}") for n in (1, 2)]
    one, two = made
    commands = [f"netns add {machine.name}" for machine in made]
    commands.append(f"link add {one.interface} netns {one.name} type veth peer name {two.interface} netns {two.name}")
    for it in made:
        commands.append(f"-n {it.name} addr add {it.address}/24 dev {it.interface}")
        commands += [f"-n {it.name} link set {device} up" for device in ("lo", it.interface)]
    try:
        for command in commands:
            done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"network namespaces are not allowed here: ip {command}: {done.stderr.strip()}")
        for machine in made:
            shutil.copytree(drawn, machine.folder / "data")
            (machine.folder / "steps.py").write_text(STEPS)
        yield made
    finally:
        for machine in made:
            machine.cut()
            subprocess.run(["ip", "netns", "del", machine.name], capture_output=True, check=False)


def wait_until(what: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def outcome(run_dir: Path) -> dict[str, object]:
    """All that must be the same in the end."""
    checkpoint = torch.load(run_dir / LAST, weights_only=True)
    callbacks = checkpoint["callbacks"]
    states = checkpoint["optimizer_states"][0]["state"].values()
    rows = next(state["rows"] for name, state in callbacks.items() if "rows" in state)
    return {
        "weights": {name: value.tolist() for name, value in checkpoint["state_dict"].items()},
        "optimizer": [value.tolist() for state in states for value in state.values()],
        "best": [float(state["best_model_score"]) for name, state in callbacks.items() if "ModelCheckpoint" in name],
        "table": [{name: value for name, value in row.items() if name != "seconds"} for row in rows],
        "step": checkpoint["global_step"],
    }


@pytest.mark.slow
def test_the_loss_of_either_machine_costs_a_few_steps_and_changes_nothing(machines, tmp_path, monkeypatch):
    """The second machine is lost with its disk and another one takes its place; then the first, which writes."""
    first, second = machines
    data = ("--data.root", "data", *TINY, "--data.batch_size", "8", "--trainer.callbacks", "steps.Steps")
    often = ("--checkpoint_last.every_n_steps", "3", "--trainer.max_epochs", "4", "--early_stopping.patience", "9")
    words = ("--ckpt_path", "auto", *data, *often)
    for machine in machines:
        (machine.folder / "slow").touch()
        machine.start("fit", *words)
    wait_until(lambda: first.step() >= 14)  # 9 steps are an epoch; last.ckpt is of the 12th or a later one
    second.cut()
    lost_at = first.step()
    second.lose_disk()
    wait_until(lambda: "Another process of this training has ended" in first.log())
    by_hand = Path(shutil.copytree(first.folder / "runs", tmp_path / "runs"))
    saved = torch.load(by_hand / "default" / LAST, weights_only=True)["global_step"]
    assert lost_at - 3 <= saved <= lost_at
    second.start("fit", *words)  # the first one's torchrun has waited for it

    wait_until(lambda: second.step() >= 23)
    first.cut()
    first.lose_disk()
    assert second.started[-1].wait(60) != 0  # it does not wait for ever
    assert "is not here yet, and at step" in second.log()
    for machine in machines:
        (machine.folder / "slow").unlink()
    ends = [machine.start("fit", *words) for machine in machines]
    assert [process.wait(120) for process in ends] == [0, 0], first.log() + second.log()
    runs = [machine.folder / "runs/default" for machine in machines]
    for name in (LAST, BEST, "metrics.csv", "config.yaml"):
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes(), name

    shutil.copytree(first.folder / "data", tmp_path / "data")
    (tmp_path / "steps.py").write_text(STEPS)
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT}:{tmp_path}")
    both = ("--trainer.devices", "2", "--trainer.num_nodes", "1", "--trainer.callbacks", "steps.Steps")
    done = run("fit", "--ckpt_path", "last", *both, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert outcome(runs[0]) == outcome(by_hand / "default")

    measured = ("--ckpt_path", "best", "--data.root", "data", "--data.eval_batch_size", "8")
    ends = [machine.start("test", *measured) for machine in machines]
    assert [process.wait(90) for process in ends] == [0, 0], first.log() + second.log()
    figures = [json.loads((first.folder / "runs/default/test/metrics.json").read_text())["metrics"]]
    shutil.copytree(first.folder / "runs", tmp_path / "tested/runs")
    done = run("test", *measured, "--data.root", tmp_path / "data", cwd=tmp_path / "tested")
    assert done.returncode == 0, done.stderr
    figures.append(json.loads((tmp_path / "tested/runs/default/test/metrics.json").read_text())["metrics"])
    assert figures[0] == figures[1]
