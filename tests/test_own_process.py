"""Verbs in processes of their own."""

from __future__ import annotations

import pytest

from fer_lightning.errors import FERError
from fer_lightning.own_process import run_in_process


def test_a_process_says_its_piece_and_its_failure_is_told(capfd):
    run_in_process(["--version"])
    assert "fer_lightning" in capfd.readouterr().out
    with pytest.raises(FERError, match=r"^nothing stopped with status 2; .* The command was: nothing --at all$"):
        run_in_process(["nothing", "--at", "all"])
    assert "Unknown verb 'nothing'" in capfd.readouterr().err
