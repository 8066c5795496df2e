"""Hints can be typed again; verbs run in processes of their own."""

from __future__ import annotations

import pytest

from fer_lightning.program import program, run_in_process


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


def test_a_process_says_its_piece_and_its_failure_is_told(capfd):
    run_in_process(["--version"])
    assert "fer_lightning" in capfd.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        run_in_process(["nothing", "--at", "all"])
    said = capfd.readouterr().err
    assert "Unknown verb 'nothing'" in said
    assert "It was: nothing --at all." in said
