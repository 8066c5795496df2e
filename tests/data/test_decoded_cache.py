"""The decoded cache: the pixels of the files, renewed when they change, whole or not there."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fer_lightning.data import decoded_cache
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.decoded_cache import decoded, open_decoded
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import Legend
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.errors import FERError
from tests.conftest import PROJECT, TINY, flat, run_here

ROWS = [(f"p{person}/{number}.png", ("jolly", "fear")[number % 2]) for person in range(8) for number in range(4)]
SMALL = InputSpec(6, "rgb")


@pytest.fixture
def legend(make_data) -> Legend:
    return reread(make_data(ROWS))


def reread(root: Path) -> Legend:
    return read_legend(root / "legend.csv", root / "images")


def test_it_holds_the_pixels_that_decoding_gives(legend, tmp_path):
    pixels = open_decoded(decoded(legend, SMALL, tmp_path / "cache", "set"))
    expected = torch.stack([SMALL.load(legend.image_dir / image) for image in legend.images])
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, expected.numpy())


def test_workers_decode_the_same(legend, tmp_path, monkeypatch):
    alone = open_decoded(decoded(legend, SMALL, tmp_path / "alone", "set"))
    monkeypatch.setattr(decoded_cache, "_FEW", 0)
    assert np.array_equal(open_decoded(decoded(legend, SMALL, tmp_path / "workers", "set")), alone)


def test_it_is_kept_until_a_file_or_the_specification_changes(legend, tmp_path):
    path = decoded(legend, SMALL, tmp_path / "cache", "set")
    born = path.stat().st_mtime_ns
    root = legend.path.parent
    assert decoded(reread(root), SMALL, tmp_path / "cache", "set") == path
    assert path.stat().st_mtime_ns == born
    assert decoded(legend, InputSpec(6, "gray"), tmp_path / "cache", "set") != path
    assert path.exists()

    in_use = open_decoded(path)
    before = in_use[3].copy()
    Image.new("RGB", (9, 9), "red").save(root / "images" / ROWS[3][0])
    renewed = decoded(reread(root), SMALL, tmp_path / "cache", "set")
    assert open_decoded(renewed)[3, :, 0, 0].tolist() == [255, 0, 0]
    assert np.array_equal(in_use[3], before)  # a running training keeps what it has mapped
    assert not path.exists()  # the state before that is of no use any more
    kept = sorted(file.suffix for file in (tmp_path / "cache").iterdir())
    assert kept == [".lock", ".lock", ".npy", ".npy", ".stamps", ".stamps"]


def test_images_that_are_renamed_among_each_other_are_noticed(legend, tmp_path):
    one, other = (legend.image_dir / legend.images[row] for row in (3, 9))
    for path, color in ((one, "red"), (other, "blue")):
        Image.new("RGB", (9, 9), color).save(path, "BMP")
        os.utime(path, ns=(10**18, 10**18))
    assert one.stat().st_size == other.stat().st_size
    path, fingerprint = decoded(legend, SMALL, tmp_path, "set"), reread(legend.path.parent).files_fingerprint
    assert open_decoded(path)[[3, 9], :, 0, 0].tolist() == [[255, 0, 0], [0, 0, 255]]
    os.link(one, tmp_path / "linked.bmp")  # as into the image folders: no change of an image
    assert decoded(reread(legend.path.parent), SMALL, tmp_path, "set") == path
    assert reread(legend.path.parent).files_fingerprint == fingerprint
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    pixels = open_decoded(decoded(reread(legend.path.parent), SMALL, tmp_path, "set"))
    assert pixels[[3, 9], :, 0, 0].tolist() == [[0, 0, 255], [255, 0, 0]]
    assert reread(legend.path.parent).files_fingerprint != fingerprint


def test_a_cache_of_an_earlier_version_is_made_anew(legend, tmp_path, capsys):
    path = decoded(legend, SMALL, tmp_path, "set")
    stamps = path.with_suffix(".stamps")
    expected, columns = open_decoded(path).copy(), np.load(stamps)[:, [0, 1, 3]]
    with open(stamps, "wb") as stream:
        np.save(stream, np.ascontiguousarray(columns))  # without inodes
    again = decoded(legend, SMALL, tmp_path, "set")
    assert again != path
    assert np.array_equal(open_decoded(again), expected)
    assert "of an earlier version" in flat(capsys.readouterr().out)


def test_only_the_rows_asked_for_are_decoded_and_they_stay(legend, tmp_path):
    path = decoded(legend, SMALL, tmp_path, "set", np.array([5, 2]))
    first = open_decoded(path)
    assert [row for row in range(len(legend)) if first[row].any()] == [2, 5]
    (legend.image_dir / legend.images[7]).write_bytes(b"broken")  # nobody asks for it
    assert decoded(legend, SMALL, tmp_path, "set", np.array([2, 9])) == path
    assert [row for row in range(len(legend)) if open_decoded(path)[row].any()] == [2, 5, 9]
    assert np.array_equal(open_decoded(path)[9], SMALL.load(legend.image_dir / legend.images[9]).numpy())
    with pytest.raises(FERError, match=rf"1 of 32 images cannot be used(.|\n)*{ROWS[7][0]}"):
        decoded(legend, SMALL, tmp_path, "set")
    assert all(open_decoded(path)[row].any() for row in range(len(legend)) if row != 7)  # what is good is kept


def test_a_file_cut_short_or_without_its_stamps_is_made_anew(legend, tmp_path):
    path = decoded(legend, SMALL, tmp_path, "set")
    expected = open_decoded(path).copy()
    with open(path, "rb+") as stream:
        stream.truncate(500)
    path = decoded(legend, SMALL, tmp_path, "set")
    assert np.array_equal(open_decoded(path), expected)
    path.with_suffix(".stamps").unlink()
    again = decoded(legend, SMALL, tmp_path, "set")
    assert again != path
    assert np.array_equal(open_decoded(again), expected)


def test_pixels_that_are_damaged_are_said_and_decoded_again(legend, tmp_path, capsys):
    path = decoded(legend, SMALL, tmp_path, "set")
    expected = open_decoded(path).copy()
    size = path.stat().st_size
    with open(path, "rb+") as stream:
        stream.seek(size - 7 * 108 - 20)  # the 8th image from the end, of 3 x 6 x 6 bytes
        stream.write(bytes(40))  # and the one after it
    other = decoded(legend, SMALL, tmp_path, "set", np.arange(10))  # they are not asked for
    assert (other, capsys.readouterr().out) == (path, "")
    assert decoded(legend, SMALL, tmp_path, "set") == path
    said = f"Note   2 of 32 decoded images in '{path}' are damaged: they are decoded anew.\n"
    assert flat(capsys.readouterr().out) == flat(said)
    assert np.array_equal(open_decoded(path), expected)
    decoded(legend, SMALL, tmp_path, "set")
    assert capsys.readouterr().out == ""


def odd(kind: str, path: Path) -> None:
    """Put something into the place of a file."""
    content = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "pickle":
        with open(path, "wb") as stream:
            np.save(stream, np.array([{}], object))
    elif kind in ("zip", "text", "empty", "short", "long"):
        new = {"zip": b"PK\x03\x04", "text": b"hello", "empty": b"", "short": content[:-5], "long": content + b"\0"}
        path.write_bytes(new[kind])
    else:
        array = np.lib.format.read_array(io.BytesIO(content))
        with open(path, "wb") as stream:
            np.save(stream, {"order": np.asfortranarray(array)}[kind])


@pytest.mark.parametrize("kind", ["folder", "pipe", "pickle", "zip", "text", "empty", "short", "long", "order"])
@pytest.mark.parametrize("suffix", [".npy", ".stamps"])
def test_what_is_not_a_cache_is_never_trained_on_nor_in_the_way(legend, tmp_path, kind, suffix):
    path = decoded(legend, SMALL, tmp_path, "set")
    expected = open_decoded(path).copy()
    odd(kind, path.with_suffix(suffix))
    assert np.array_equal(open_decoded(decoded(legend, SMALL, tmp_path, "set")), expected)
    assert np.array_equal(open_decoded(decoded(legend, SMALL, tmp_path, "set")), expected)


def test_a_run_is_not_moved_aside_for_a_cache_that_must_be_renewed(drawn, workdir, capsys):
    words = ["--data.root", drawn, *TINY, "--trainer.max_epochs", "1", "--model.network", "CompactResNet"]
    run_here("fit", *words, cwd=workdir)
    cache = next(workdir.glob("prepared_data/*.npy"))
    cache.write_bytes(cache.read_bytes()[:-100])
    before = sorted(Path("runs").iterdir())
    with pytest.raises(SystemExit):
        run_here("fit", *words, "--data.root", drawn, "--data.prepared_dir", cache, cwd=workdir)
    assert sorted(Path("runs").iterdir()) == before
    run_here("test", "--ckpt_path", "last", cwd=workdir)
    assert "are cut short, of an earlier version or not ours: they are decoded anew" in flat(capsys.readouterr().out)


def test_another_list_of_images_has_a_cache_of_its_own(legend, tmp_path):
    """Or two runs that differ in --data.classes or --data.conflicts would remove each other's."""
    whole = decoded(legend, SMALL, tmp_path / "cache", "set")
    some = decoded(legend.take(np.arange(len(legend)) < 10), SMALL, tmp_path / "cache", "set")
    assert len(open_decoded(some)) == 10
    assert whole.exists()


def test_every_split_reads_its_own_images(drawn, tmp_path):
    for split in ("grouped", "sequential"):
        words = {
            "root": str(drawn),
            "split": split,
            "prepared_dir": str(tmp_path),
            "image_size": 12,
            "eval_batch_size": 64,
        }
        with_cache = FERDataModule(**words).test_dataloader()
        without = FERDataModule(**words, cache=False, num_workers=0).test_dataloader()
        for one, other in zip(with_cache, without, strict=True):
            for ours, theirs in zip(one[:3], other[:3], strict=True):
                assert torch.equal(ours, theirs)
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_damaged_images_are_all_named_and_the_others_are_not_decoded_again(legend, tmp_path, monkeypatch):
    for image in legend.images[2:4]:
        (legend.image_dir / image).write_bytes(b"broken")
    fresh = reread(legend.path.parent)
    with pytest.raises(FERError, match=rf"2 of 32 images cannot be used(.|\n)*{ROWS[2][0]}(.|\n)*{ROWS[3][0]}"):
        decoded(fresh, SMALL, tmp_path / "cache", "set")
    looked: list[str] = []
    look = InputSpec.look
    monkeypatch.setattr(InputSpec, "look", lambda spec, path: looked.append(path) or look(spec, path))
    for image in legend.images[2:4]:
        Image.new("RGB", (9, 9), "red").save(legend.image_dir / image)
    pixels = open_decoded(decoded(legend, SMALL, tmp_path / "cache", "set"))
    assert looked == [legend.image_dir / image for image in legend.images[2:4]]
    assert pixels[2, :, 0, 0].tolist() == [255, 0, 0]


def test_a_full_disk_is_said_with_the_size_and_nothing_is_left(legend):
    """On a real file system of 64 kB, where this process may mount one."""
    small = Path(legend.path.parent) / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        with pytest.raises(FERError, match=r"disk is full.*need 1 MB.*--data.prepared_dir.*--data.cache false"):
            decoded(legend, InputSpec(100, "rgb"), small, "set")
        assert [file.suffix for file in small.iterdir()] == [".lock"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


BUILD = """
import sys, time
from pathlib import Path
from fer_lightning.data import decoded_cache
from fer_lightning.data.image_checks import LegendImages
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.data.input_spec import InputSpec
root, cache, pause = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
get = LegendImages.__getitem__
def slow(images, row):
    time.sleep(pause / 4)
    return get(images, row)
LegendImages.__getitem__, decoded_cache._BATCH, decoded_cache._SECONDS = slow, 4, 0.1
print(decoded_cache.decoded(read_legend(root / "legend.csv", root / "images"), InputSpec(6, "rgb"), cache, "set"))
"""


def build(legend: Legend, cache: Path, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, str(legend.path.parent), str(cache), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)


def test_a_killed_one_is_gone_on_with(legend, tmp_path):
    killed = build(legend, tmp_path, 0.3)
    deadline = time.monotonic() + 60
    while not (stamps := list(tmp_path.glob("[!.]*.stamps"))):  # hidden ones are being written
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = (np.load(stamps[0]) != 0).all(1)
    assert 0 < done.sum() < 32
    path = next(tmp_path.glob("*.npy"))
    expected = torch.stack([SMALL.load(legend.image_dir / image) for image in legend.images]).numpy()
    assert np.array_equal(open_decoded(path)[done], expected[done])
    assert decoded(legend, SMALL, tmp_path, "set") == path
    assert np.array_equal(open_decoded(path), expected)


@pytest.mark.slow
def test_three_at_once_agree(legend, tmp_path):
    builders = [build(legend, tmp_path, 0.1) for _ in range(3)]
    (path,) = {builder.communicate(timeout=60)[0].strip() for builder in builders}
    expected = torch.stack([SMALL.load(legend.image_dir / image) for image in legend.images]).numpy()
    assert np.array_equal(open_decoded(path), expected)
    assert sorted(file.suffix for file in tmp_path.glob("set-*")) == [".lock", ".npy", ".stamps"]
