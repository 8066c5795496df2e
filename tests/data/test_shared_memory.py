"""Processes that load batches are only started where shared memory has room for what they hand over."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.shared_memory import fitting_workers
from fer_lightning.errors import FERError


@pytest.fixture
def small(tmp_path):
    """A real file system of 64 MB, as containers have at /dev/shm, where this process may mount one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_no_more_than_fit(small, capsys):
    assert fitting_workers(4, 0, 8_000_000, small) == 4
    with pytest.raises(
        FERError, match=r"--data.num_workers. Expected 4 or fewer, .* has 67 MB, .* needs 16\. .*shm-size"
    ):
        fitting_workers(8, 0, 8_000_000, small)
    assert capsys.readouterr().out == ""
    assert fitting_workers(None, 8, 8_000_000, small) == 4
    assert "Note   4 instead of 8 processes" in capsys.readouterr().out
    assert fitting_workers(None, 8, 80_000_000, small) == 0


def test_where_there_is_none_nothing_is_said(tmp_path):
    assert fitting_workers(8, 0, 1 << 50, tmp_path / "none") == 8
    assert fitting_workers(0, 8, 1 << 50, Path("/")) == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("batch_size", 10**12),
        ("batch_size", 10**400),
        ("eval_batch_size", 0),
        ("num_workers", 10**6),
        ("prepared_dir", ""),
        ("prepared_dir", "a\0b"),
        ("root", ""),
        ("root", "a\0b"),
        ("root", "\udce9"),
        ("legend", "a\0b"),
        ("exclude", "a\0b"),
        ("relabel", "\udce9"),
        ("train_fraction", float("nan")),
        ("val_fraction", float("nan")),
        ("val_fraction", float("-inf")),
        ("split_seed", 10**400),
    ],
)
def test_options_without_an_end_are_refused(option, value, drawn):
    words = {"root": str(drawn)} | {option: value}
    with pytest.raises(FERError, match=rf"Invalid value for --data\.{option}"):
        _ = FERDataModule(**words).split
