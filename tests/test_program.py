"""Hints can be typed again."""

from __future__ import annotations

import pytest

from fer_lightning.program import program


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
