"""Mutated files: some of each kind, and those that once led to something else than an answer or a refusal."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_mutated_files_are_read_or_refused():
    """In a process of its own: one that has computed cannot be forked."""
    command = [sys.executable, "-m", "tests.hostile.fuzz", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
