"""A run's folder is taken by one process; an earlier run is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fer_lightning.cli.run_folder import check_report, is_within, run_of, take_folder
from fer_lightning.errors import FERError
from tests.conftest import flat


def test_an_earlier_run_is_kept_under_the_time_it_was_made(tmp_path, capsys):
    path = tmp_path / "runs" / "mine"
    for number in range(3):
        held = take_folder(path, resume=False)
        (path / "checkpoints").mkdir(parents=True)
        (path / "checkpoints/last.ckpt").write_text("... fer_lightning ...")
        (path / "what").write_text(str(number))
        os.utime(path, (0, 0))  # all of one second
        held.close()
    kept = sorted((tmp_path / "runs").glob("mine-*"))
    assert [(folder / "what").read_text() for folder in kept] == ["0", "1"]
    assert kept[1].name == f"{kept[0].name}+"
    assert (path / "what").read_text() == "2"
    assert f"{path} held an earlier run, now {kept[1]}" in flat(capsys.readouterr().out)


def test_a_run_that_goes_on_stays_where_it_is(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "what").write_text("there")
    take_folder(tmp_path / "mine", resume=True)
    assert (tmp_path / "mine" / "what").read_text() == "there"


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine" / "checkpoints").mkdir(parents=True)
    (tmp_path / "mine" / "checkpoints/last.ckpt").write_text("... fer_lightning ...")
    (tmp_path / "mine" / "what").write_text("there")
    held = take_folder(tmp_path / "mine", resume=True)
    with pytest.raises(FERError, match=r"Another fit is writing to '.*mine'"):
        take_folder(tmp_path / "mine", resume=False)
    assert (tmp_path / "mine" / "what").read_text() == "there"
    held.close()
    take_folder(tmp_path / "mine", resume=False)
    assert not (tmp_path / "mine").exists()


def test_no_folder_where_a_file_is(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(FERError, match=r"Cannot make the folder '.*runs' for runs .* --runs_dir"):
        take_folder(tmp_path / "runs" / "mine", resume=False)


@pytest.mark.parametrize(
    "file", ["images/a.png", "config.yaml", "metrics.csv", ".git/HEAD", "checkpoints/generator.ckpt"]
)
def test_a_folder_that_holds_no_run_is_not_moved(tmp_path, file):
    path = tmp_path / "mine" / file
    path.parent.mkdir(parents=True)
    path.write_text("mine: too")
    with pytest.raises(FERError, match=r"'.*mine' holds no run \(.*so it is not moved"):
        take_folder(tmp_path / "mine", resume=False)
    assert path.read_text() == "mine: too"
    take_folder(tmp_path / "mine", resume=True).close()  # the lock was let go


@pytest.mark.parametrize("there", ["file", "link"])
def test_what_is_no_folder_is_not_replaced(tmp_path, there):
    path = tmp_path / "mine"
    path.write_text("") if there == "file" else path.symlink_to("nowhere")
    with pytest.raises(FERError, match="is there and is no folder"):
        take_folder(path, resume=False)
    assert path.is_symlink() == (there == "link")


def test_a_link_to_a_run_is_that_run(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    with take_folder(tmp_path / "real", resume=True), pytest.raises(FERError, match="Another fit is writing"):
        take_folder(tmp_path / "alias", resume=True)


@pytest.mark.parametrize(
    ("file", "text", "ours"),
    [
        ("config.yaml", "name: mine\nruns_dir: runs\n", True),
        ("config.yaml", "lr: 5", False),
        ("metrics.csv", "epoch,step,seconds\n", True),
        ("metrics.csv", "a,b\n", False),
        ("summary.json", '{"mine": 1}', False),
        ("other", "x", False),
    ],
)
def test_a_checkpoint_in_the_project_of_somebody_is_of_no_run(tmp_path, monkeypatch, file, text, ours):
    (tmp_path / "mine/checkpoints").mkdir(parents=True)
    (tmp_path / "mine" / file).write_text(text)
    path = tmp_path / "mine/checkpoints/last.ckpt"
    assert run_of(path) == (tmp_path / "mine" if ours else None)
    monkeypatch.chdir(path.parent)
    assert run_of(Path("last.ckpt")) == (tmp_path / "mine" if ours else None)
    monkeypatch.chdir(tmp_path)
    assert run_of(Path("mine/checkpoints/last.ckpt")) == (Path("mine") if ours else None)
    assert run_of(tmp_path / "mine/last.ckpt") is None


def test_a_report_replaces_reports_of_the_same_run_alone(tmp_path):
    mine, backup = tmp_path / "mine/checkpoints/best.ckpt", tmp_path / "backup/mine.ckpt"
    mine.parent.mkdir(parents=True)
    mine.write_text("... fer_lightning ...")
    check_report(tmp_path / "mine", mine, "test")
    with pytest.raises(FERError, match=r"is the run of other checkpoints than .*backup.* another --name"):
        check_report(tmp_path / "mine", backup, "test")
    check_report(tmp_path / "new", backup, "test")
    (tmp_path / "theirs/test").mkdir(parents=True)
    check_report(tmp_path / "theirs", backup, "test")
    (tmp_path / "theirs/test/metrics.json").write_text('{"mine": 1}')
    check_report(tmp_path / "theirs", backup, "validate")
    with pytest.raises(FERError, match=r"theirs/test' is there already and is no report of ours"):
        check_report(tmp_path / "theirs", backup, "test")
    (tmp_path / "theirs/test/metrics.json").write_text('{"how": {"fer_lightning": "0.1.0"}}')
    check_report(tmp_path / "theirs", backup, "test")
    (tmp_path / "theirs/model_card.md").write_text("my card")
    with pytest.raises(FERError, match=r"model_card.md' is there already"):
        check_report(tmp_path / "theirs", backup, "test")


def test_the_checkpoints_of_a_run_may_be_a_link_to_somewhere_else(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "runs/mine").mkdir(parents=True)
    (tmp_path / "runs/mine/checkpoints").symlink_to(tmp_path / "scratch")
    (tmp_path / "runs/alias").symlink_to("mine")
    for run in ("mine", "alias"):
        assert is_within(tmp_path / "runs" / run / "checkpoints/last.ckpt", tmp_path / "runs/mine")
    assert not is_within(tmp_path / "runs/other/checkpoints/last.ckpt", tmp_path / "runs/mine")
