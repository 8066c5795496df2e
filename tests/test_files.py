from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fer_lightning import files
from fer_lightning.checkpoints.finding import check_file
from fer_lightning.data.csv_columns import open_table
from fer_lightning.data.image_files import check_regular
from fer_lightning.errors import FERError
from fer_lightning.files import (
    check_output,
    check_output_folder,
    no_file,
    replace_text,
    replacing,
    replacing_path,
)
from fer_lightning.values import ValuesError, read_text


def test_what_is_written_takes_the_place_of_what_was_there(tmp_path):
    replace_text(tmp_path / "new" / "x.txt", "one")
    with replacing(tmp_path / "new" / "x.txt", "wb") as stream:
        stream.write(b"two")
        assert (tmp_path / "new" / "x.txt").read_text() == "one"
    assert (tmp_path / "new" / "x.txt").read_text() == "two"
    with replacing_path(tmp_path / "new" / "x.txt") as aside:
        assert aside.suffix == ".txt"
        aside.write_text("three")
    assert (tmp_path / "new" / "x.txt").read_text() == "three"
    assert os.listdir(tmp_path / "new") == ["x.txt"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_what_was_there_and_nothing_else(tmp_path, kind):
    replace_text(tmp_path / "x.txt", "one")

    def fail() -> None:
        with replacing(tmp_path / "x.txt") as stream:
            stream.write("half")
            raise kind

    with pytest.raises(kind):
        fail()
    assert (tmp_path / "x.txt").read_text() == "one"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_a_full_disk_leaves_what_was_there(tmp_path):
    replace_text(tmp_path / "x.txt", "one")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))  # as a full disk cuts a file short
    try:
        with pytest.raises(OSError, match="too large") as stop:
            replace_text(tmp_path / "x.txt", "two" * 1000)
        assert stop.value.errno == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert (tmp_path / "x.txt").read_text() == "one"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_an_output_is_no_input_and_replaces_nothing(workdir: Path):
    original = workdir / "a.jpg"
    original.write_text("photo")
    (workdir / "link.jpg").symlink_to("a.jpg")
    (workdir / "hard.jpg").hardlink_to("a.jpg")
    for name in ("a.jpg", "./a.jpg", "link.jpg", "hard.jpg"):
        with pytest.raises(FERError, match="is what is read"):
            check_output("--output", name, [original], overwrite=True)
    (workdir / "b.csv").write_text("other")
    with pytest.raises(FERError, match="--overwrite"):
        check_output("--output", "b.csv", [original])
    assert check_output("--output", "b.csv", [original], overwrite=True) == Path("b.csv")
    with pytest.raises(FERError, match="is a folder"):
        check_output("--output", ".", overwrite=True)


def test_a_folder_to_write_into_holds_no_input_and_nothing_of_others(workdir: Path, monkeypatch):
    (workdir / "photos").mkdir()
    (workdir / "photos" / "a.jpg").write_text("photo")
    for folder in (".", "photos", workdir):
        with pytest.raises(FERError, match="holds what is read"):
            check_output_folder("--annotate", folder, "mark", ["photos/a.jpg"], overwrite=True)
    (workdir / "links").mkdir()
    (workdir / "links" / "b.jpg").symlink_to("../photos/a.jpg")
    for folder in ("links", "photos"):  # at both of its ends
        with pytest.raises(FERError, match=r"holds what is read \('links/b.jpg'\)"):
            check_output_folder("--annotate", folder, "mark", ["links/b.jpg"], overwrite=True)
    with pytest.raises(FERError, match="holds what is read"):
        check_output_folder("--output", ".", "mark", ["photos"], overwrite=True)
    with pytest.raises(FERError, match="not ours"):
        check_output_folder("--annotate", "photos", "mark")
    check_output_folder("--annotate", "photos", "mark", overwrite=True)
    (workdir / "photos" / "mark").touch()
    check_output_folder("--annotate", "photos", "mark")
    # From Python 3.13 on iterdir reads the folder at once.
    monkeypatch.setattr(Path, "iterdir", lambda folder: map(folder.joinpath, os.listdir(folder)))
    check_output_folder("--annotate", "new/folder", "mark", ["photos/a.jpg"])
    with pytest.raises(FERError, match="is a file"):
        check_output_folder("--annotate", "photos/a.jpg", "mark")


def test_what_a_killed_process_left_half_written_is_gone_after_the_next_one(tmp_path: Path):
    script = "import os, sys; from fer_lightning.files import replacing\n"
    script += "with replacing(sys.argv[1]): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "x.txt")], check=False)
    assert [name[:10] for name in os.listdir(tmp_path)] == [".x.writing"]
    (tmp_path / f".x.writing-{files._MACHINE}-{os.getppid()}.txt").touch()  # of one that is at it
    (tmp_path / ".x.writing-abcdef-99999999.txt").touch()  # of another machine
    (tmp_path / ".x.writing-mine.txt").touch()
    replace_text(tmp_path / "x.txt", "whole")
    assert len(os.listdir(tmp_path)) == 4


def test_threads_that_write_files_with_long_names_side_by_side_have_their_own_content(tmp_path: Path):
    names = [f"{'a' * 70}{number}.txt" for number in range(64)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: replace_text(tmp_path / name, name), names))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: name for name in names}


def test_folders_pipes_and_devices_are_no_files_wherever_they_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    special = "it is a device or a pipe, not a file"
    for path, why in ((tmp_path, "it is a folder"), (tmp_path / "pipe", special), (Path("/dev/zero"), special)):
        assert no_file(path) == why
        for read in (read_text, check_file, check_regular, lambda path: open_table(path, "--rows").__enter__()):
            with pytest.raises((FERError, ValuesError), match=why):
                read(path)
    assert no_file(__file__) == ""
    with pytest.raises(FileNotFoundError):
        no_file(tmp_path / "nothing")
