"""Whatever ends a command from outside: one line, the status that shells expect, nobody and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer_lightning.cli.stopping import SIGNALS, Stopped, stopping
from tests.conftest import session

VERBS = {
    "audit": ["audit"],
    "crossval": ["crossval", "--data.image_size", "32", "--trainer.max_epochs", "2"],
    "test": ["test", "--ckpt_path", "pretrained", "--name", "t"],
    "export": ["export", "--ckpt_path", "pretrained", "--output", "x.onnx"],
    "predict": ["predict", "--ckpt_path", "pretrained", "--input", "-", "--output", "r.csv"],
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("verb", "seconds"),
    [("audit", 0.5), *[pytest.param(verb, seconds, marks=pytest.mark.slow) for verb in VERBS for seconds in (0, 1.5)]],
)
def test_one_line_and_the_status_of_the_signal(workdir: Path, verb: str, number: signal.Signals, seconds: float):
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_lightning", *VERBS[verb]],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: [
            signal.signal(one, signal.SIG_DFL) for one in SIGNALS
        ],  # a run in the background ignores some
    )
    while not _handles(process.pid, signal.SIGTERM):
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    assert said.splitlines()[-1] == f"Stopped by {name}."
    assert "Traceback" not in said
    assert not session(process.pid, until=10)  # Python's own helper of processes ends a moment after them
    assert not [path for path in workdir.rglob("*") if "writing" in path.name]


def test_a_second_signal_changes_nothing_to_the_very_end(workdir: Path):
    """As the interpreter's own end takes a while, and whoever stops a process often says so twice."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_lightning", *VERBS["predict"]],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: [signal.signal(one, signal.SIG_DFL) for one in SIGNALS],
    )
    while not _handles(process.pid, signal.SIGTERM):
        time.sleep(0.01)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == "Stopped by Ctrl-C.\n"
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.001)
    assert (process.returncode, process.stderr.read()) == (130, "")


def _handles(process: int, number: signal.Signals) -> bool:
    """Whether a process has come so far that it handles a signal."""
    caught = Path(f"/proc/{process}/status").read_text().split("SigCgt:")[1].split()[0]
    return bool(int(caught, 16) >> (number - 1) & 1)


def test_a_stop_is_an_exception_once_and_others_keep_their_handlers():
    with stopping() as stop:
        stop.working = True
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # what is half-done is being tidied up
        os.kill(os.getpid(), signal.SIGHUP)
        assert (stop.status, stop.name) == (143, "SIGTERM")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_is_to_be_ignored_is_ignored_as_with_nohup():
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.number is None
    finally:
        signal.signal(signal.SIGHUP, earlier)


def test_a_forked_worker_dies_of_the_signal_as_if_nobody_handled_it():
    with stopping():
        worker = os.fork()
        if not worker:
            time.sleep(60)
            os._exit(0)
        time.sleep(0.1)
        os.kill(worker, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == -signal.SIGTERM


def test_a_terminal_that_knows_ascii_only_gets_the_message(workdir: Path):
    done = subprocess.run(
        [sys.executable, "-m", "fer_lightning", "prüfe\x1b[2J"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: Unknown verb 'pr\\xfcfe\\x1b[2J'.")


def test_a_reader_that_goes_away_is_no_error(workdir: Path, drawn: Path):
    command = f"{sys.executable} -m fer_lightning audit --data.root {drawn} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout in ("141\n", "0\n")


@pytest.mark.slow
def test_where_the_system_has_fewer_signals_as_windows_does(workdir: Path):
    code = """if True:
        import signal
        for name in ("SIGHUP", "SIGUSR1", "SIGPIPE"):
            delattr(signal, name)
        from lightning.pytorch import Trainer
        from fer_lightning.cli.main import _answer
        from fer_lightning.cli.stopping import SIGNALS, Stopping
        from fer_lightning.training.callbacks.last_checkpoint import LastCheckpoint
        assert SIGNALS == (signal.SIGINT, signal.SIGTERM)
        assert _answer("audit", BrokenPipeError(), Stopping()) == ("", 141)
        several = Trainer(accelerator="cpu", devices=2, logger=False, enable_checkpointing=False)
        before, last = signal.getsignal(signal.SIGINT), LastCheckpoint()
        last.on_fit_start(several, None)
        assert several.world_size == 2 and signal.getsignal(signal.SIGINT) != before
        last.teardown(several, None, "fit")
        assert signal.getsignal(signal.SIGINT) == before
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
