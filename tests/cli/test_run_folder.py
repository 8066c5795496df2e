"""A run's folder is taken by one process; an earlier run is kept."""

from __future__ import annotations

import os

import pytest

from fer_lightning.cli.run_folder import take_folder
from fer_lightning.errors import FERError


def test_an_earlier_run_is_kept_under_the_time_it_was_made(tmp_path, capsys):
    path = tmp_path / "runs" / "mine"
    for number in range(3):
        lock = take_folder(path, resume=False)
        (path / "checkpoints").mkdir(parents=True)
        (path / "checkpoints/last.ckpt").touch()
        (path / "what").write_text(str(number))
        os.utime(path, (0, 0))  # all of one second
        lock.release()
    kept = sorted((tmp_path / "runs").glob("mine-*"))
    assert [(folder / "what").read_text() for folder in kept] == ["0", "1"]
    assert kept[1].name == f"{kept[0].name}+"
    assert (path / "what").read_text() == "2"
    assert f"{path} held an earlier run, now {kept[1]}" in capsys.readouterr().out


def test_a_run_that_goes_on_stays_where_it_is(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "what").write_text("there")
    take_folder(tmp_path / "mine", resume=True)
    assert (tmp_path / "mine" / "what").read_text() == "there"


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine" / "checkpoints").mkdir(parents=True)
    (tmp_path / "mine" / "checkpoints/last.ckpt").touch()
    (tmp_path / "mine" / "what").write_text("there")
    lock = take_folder(tmp_path / "mine", resume=True)
    with pytest.raises(FERError, match=r"Another fit is writing to '.*mine'"):
        take_folder(tmp_path / "mine", resume=False)
    assert (tmp_path / "mine" / "what").read_text() == "there"
    lock.release()
    take_folder(tmp_path / "mine", resume=False)
    assert not (tmp_path / "mine").exists()


def test_no_folder_where_a_file_is(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(FERError, match=r"Cannot make the folder '.*runs' for runs .* --runs_dir"):
        take_folder(tmp_path / "runs" / "mine", resume=False)


@pytest.mark.parametrize("file", ["images/a.png", "config.yaml", "metrics.csv", ".git/HEAD"])
def test_a_folder_that_holds_no_run_is_not_moved(tmp_path, file):
    path = tmp_path / "mine" / file
    path.parent.mkdir(parents=True)
    path.write_text("mine: too")
    with pytest.raises(FERError, match=r"'.*mine' holds no run \(.*so it is not moved"):
        take_folder(tmp_path / "mine", resume=False)
    assert path.read_text() == "mine: too"
    take_folder(tmp_path / "mine", resume=True).release()  # the lock was let go


@pytest.mark.parametrize("there", ["file", "link"])
def test_what_is_no_folder_is_not_replaced(tmp_path, there):
    path = tmp_path / "mine"
    path.write_text("") if there == "file" else path.symlink_to("nowhere")
    with pytest.raises(FERError, match="is there and is no folder"):
        take_folder(path, resume=False)
    assert path.is_symlink() == (there == "link")
