"""Images that are written as files once: found again, redone after changes, never half."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from fer_lightning.data.sources.unpacked import Entry, FreeNames, unpack
from fer_lightning.errors import FERError
from tests.conftest import PROJECT, flat

SLOW = """
import sys, time
from fer_lightning.data.sources.unpacked import Entry, unpack
def write(images):
    for number in range(1, 6):
        (images / f"{number}.txt").write_text("whole")
        yield Entry(number, f"{number}.txt", "anger")
        time.sleep(float(sys.argv[1]))
print(len(unpack("set", ["source"], [], write, "prepared")[1]))
"""


class Writer:
    """Writes three images, one in a folder, and refuses one; counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self, images):
        self.asked += 1
        (images / "train").mkdir()
        for name in ("a.txt", "train/b.txt"):
            (images / name).write_text(name)
            yield Entry(2, name, "anger", "training", "ann", ("x",), "file")
        yield Entry(3, problem="damaged")


def test_written_once_and_found_again(workdir, capsys):
    (workdir / "source").write_text("1")
    write = Writer()
    images, entries = unpack("my set", ["source"], [1], write, "prepared")
    assert images.parent.name.startswith("my_set-images-")
    assert [(entry.image, entry.problem) for entry in entries] == [("a.txt", ""), ("train/b.txt", ""), ("", "damaged")]
    again = unpack("my set", ["source"], [1], write, "prepared")
    assert again == (images, entries)
    assert write.asked == 1
    (images / "train" / "b.txt").unlink()
    assert unpack("my set", ["source"], [1], write, "prepared")[0] == images
    assert (images / "train" / "b.txt").read_text() == "train/b.txt"
    assert write.asked == 2
    assert "Images are missing in" in flat(capsys.readouterr().out)
    others = [unpack("my set", ["source"], [2], write, "prepared")[0]]
    (workdir / "source").write_text("12")
    others.append(unpack("my set", ["source"], [1], write, "prepared")[0])
    assert len({images, *others}) == 3
    assert write.asked == 4
    assert len([path for path in (workdir / "prepared").iterdir() if path.is_dir()]) == 3


def test_what_fails_leaves_nothing(workdir):
    (workdir / "source").write_text("1")

    def full(images):
        (images / "a.txt").write_text("a")
        yield Entry(1, "a.txt", "anger")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(FERError, match=r"The disk is full: the images of set are to be written in 'prepared'. Choose"):
        unpack("set", ["source"], [], full, "prepared")
    assert not [path for path in (workdir / "prepared").iterdir() if path.is_dir()]
    with pytest.raises(FERError, match=r"Cannot read 'none': No such file"):
        unpack("set", ["none"], [], full, "prepared")
    (workdir / "file").write_text("")
    with pytest.raises(FERError, match=r"Cannot write to 'file/prepared'.*--data.prepared_dir"):
        unpack("set", ["source"], [], Writer(), "file/prepared")


@pytest.mark.slow
def test_a_killed_one_is_done_again(workdir):
    (workdir / "source").write_text("1")
    command = [sys.executable, "-c", SLOW]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    killed = subprocess.Popen([*command, "0.3"], env=environment)
    deadline = time.monotonic() + 60
    while not any((workdir / "prepared").glob("*.building-*/images/2.txt")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not any((workdir / "prepared").glob("set-images-????????????"))
    done = subprocess.run([*command, "0"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "5\n"
    folders = [path for path in (workdir / "prepared").iterdir() if path.is_dir()]
    assert [sorted(path.name for path in folder.iterdir()) for folder in folders] == [["images", "rows.jsonl"]]
    assert len(list((folders[0] / "images").iterdir())) == 5


def test_every_image_has_a_name_of_its_own():
    names = FreeNames()
    assert [names.name("a/b.png", 7) for _ in range(3)] == ["a/b.png", "a/b-7.png", "a/b-7a.png"]
    assert names.name("A/B.png", 8) == "A/B-8.png"
