"""Hints can be typed again; verbs run in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from fer_lightning.program import command, program, run_in_process
from tests.conftest import session


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ("/usr/bin/fer", "fer"),
        (r"C:\Scripts\fer.exe", "fer"),
        (r"C:\Scripts\fer-script.py", "fer"),
        ("train.py", "python train.py"),
        ("/home/me/fer/train.py", "python train.py"),
        ("/lib/fer_lightning/__main__.py", "python -m fer_lightning"),
        ("my_own.py", "python -m fer_lightning"),
        ("", "python -m fer_lightning"),
    ],
)
def test_the_program_that_was_called(called, expected, monkeypatch):
    monkeypatch.setattr("sys.argv", [called, "fit"])
    assert program() == expected


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ("/usr/bin/fer", "fer"),
        ("/home/me/fer/train.py", "python train.py"),
        ("/lib/fer_lightning/__main__.py", "python -m fer_lightning"),
        ("/home/me/my_own.py", "python my_own.py"),
    ],
)
def test_a_command_is_what_was_typed_without_where_the_program_is(called, expected, monkeypatch):
    monkeypatch.setattr("sys.argv", [called, "test", "--name", "a b"])
    assert command() == f"{expected} test --name 'a b'"


def test_a_process_says_its_piece_and_its_failure_is_told(capfd):
    run_in_process(["--version"])
    assert "fer_lightning" in capfd.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        run_in_process(["nothing", "--at", "all"])
    said = capfd.readouterr().err
    assert "Unknown verb 'nothing'" in said
    assert "It was: nothing --at all." in said


def test_a_verb_ends_with_the_process_that_called_it(tmp_path):
    """The verb waits for a list of images on standard input, which stays open."""
    words = ["predict", "--ckpt_path", "pretrained", "--input", "-", "--output", str(tmp_path / "rows.csv")]
    script = f"from fer_lightning.program import run_in_process\nrun_in_process({words!r})"
    caller = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, start_new_session=True)
    while len(session(caller.pid)) < 2:
        time.sleep(0.1)
    caller.kill()
    caller.wait()
    assert not session(caller.pid, until=30)
