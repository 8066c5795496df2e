from __future__ import annotations

import errno
import fcntl
import os
import threading
import time

import pytest
from filelock import FileLock

from fer_lightning import locks
from fer_lightning.errors import FERError
from fer_lightning.locks import alone
from tests.conftest import flat


def test_who_waits_for_another_process_says_so(tmp_path, capsys, monkeypatch):
    def other() -> None:
        with FileLock(tmp_path / "x.lock"):
            held.set()
            time.sleep(0.5)

    monkeypatch.setattr(locks, "_PATIENCE", 0.1)
    held = threading.Event()
    threading.Thread(target=other).start()
    held.wait()
    with pytest.raises(FERError, match="Somebody else"):
        alone(tmp_path / "x.lock", "Somebody else is at it.")
    with alone(tmp_path / "x.lock"):
        assert "Waiting for another process that prepares the same data" in flat(capsys.readouterr().out)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL])
@pytest.mark.parametrize("taken", ["", "Somebody else is at it."])
def test_a_file_system_that_cannot_lock_is_no_obstacle(tmp_path, capsys, monkeypatch, number, taken):
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with alone(tmp_path / "x.lock", taken, removed=True):
        (tmp_path / "rows").touch()
    assert os.listdir(tmp_path) == ["rows"]
    if number != errno.ENOSYS:  # for that, later versions of filelock find a way of their own
        assert f"'{tmp_path / 'x.lock'}' cannot lock files: do not start this a second" in flat(capsys.readouterr().err)


def test_a_lock_that_may_not_be_made_is_an_error(tmp_path):
    with pytest.raises(IsADirectoryError):
        alone(tmp_path)
