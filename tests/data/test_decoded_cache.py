"""The decoded cache: the pixels of the files, renewed when they change, whole or not there."""

from __future__ import annotations

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
from tests.conftest import PROJECT

ROWS = [(f"p{person}/{number}.png", ("joy", "fear")[number % 2]) for person in range(8) for number in range(4)]
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
    alone = decoded(legend, SMALL, tmp_path / "alone", "set").read_bytes()
    monkeypatch.setattr(decoded_cache, "_FEW", 0)
    assert decoded(legend, SMALL, tmp_path / "workers", "set").read_bytes() == alone


def test_it_is_kept_until_a_file_or_the_contract_changes(legend, tmp_path):
    path = decoded(legend, SMALL, tmp_path / "cache", "set")
    born = path.stat().st_mtime_ns
    root = legend.path.parent
    assert decoded(reread(root), SMALL, tmp_path / "cache", "set").stat().st_mtime_ns == born
    assert decoded(legend, InputSpec(6, "grey"), tmp_path / "cache", "set") != path
    assert path.exists()

    Image.new("RGB", (9, 9), "red").save(root / "images" / ROWS[3][0])
    renewed = decoded(reread(root), SMALL, tmp_path / "cache", "set")
    assert open_decoded(renewed)[3, :, 0, 0].tolist() == [255, 0, 0]
    assert not path.exists()  # the state before that is of no use any more
    kept = sorted(file.suffix for file in (tmp_path / "cache").iterdir())
    assert kept == [".lock", ".lock", ".npy", ".npy"]


def test_another_list_of_images_has_a_cache_of_its_own(legend, tmp_path):
    """Or two runs that differ in --data.classes or --data.conflicts would remove each other's."""
    whole = decoded(legend, SMALL, tmp_path / "cache", "set")
    part = decoded(legend.take(np.arange(10)), SMALL, tmp_path / "cache", "set")
    assert len(open_decoded(part)) == 10
    assert whole.exists()


def test_every_split_reads_its_own_images(drawn, tmp_path):
    for split in ("grouped", "sequential"):
        words = {"root": str(drawn), "split": split, "tree_dir": str(tmp_path), "image_size": 12, "eval_batch_size": 64}
        with_cache = FERDataModule(**words).test_dataloader()
        without = FERDataModule(**words, cache=False, num_workers=0).test_dataloader()
        for one, other in zip(with_cache, without, strict=True):
            for ours, theirs in zip(one[:3], other[:3], strict=True):
                assert torch.equal(ours, theirs)
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_damaged_images_are_all_named_and_nothing_is_left(legend, tmp_path):
    for image in legend.images[2:4]:
        (legend.image_dir / image).write_bytes(b"broken")
    fresh = reread(legend.path.parent)
    with pytest.raises(FERError, match=rf"2 of 32 images cannot be used(.|\n)*{ROWS[2][0]}(.|\n)*{ROWS[3][0]}"):
        decoded(fresh, SMALL, tmp_path / "cache", "set")
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_full_disk_is_said_with_the_size_and_nothing_is_left(legend):
    """On a real file system of 64 kB, where this process may mount one."""
    small = Path(legend.path.parent) / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        with pytest.raises(FERError, match=r"disk is full.*need 1 MB.*--data.tree_dir.*--data.cache false"):
            decoded(legend, InputSpec(100, "rgb"), small, "set")
        assert [file.suffix for file in small.iterdir()] == [".lock"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


BUILD = """
import sys, time
from pathlib import Path
from fer_lightning.data import decoded_cache
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.data.input_spec import InputSpec
root, cache, pause = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
as_bytes = decoded_cache._as_bytes
def slow(items):
    time.sleep(pause)
    return as_bytes(items)
decoded_cache._as_bytes, decoded_cache._BATCH = slow, 4
print(decoded_cache.decoded(read_legend(root / "legend.csv", root / "images"), InputSpec(6, "rgb"), cache, "set"))
"""


def build(legend: Legend, cache: Path, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, str(legend.path.parent), str(cache), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)


@pytest.mark.slow
def test_three_at_once_build_one_and_a_killed_one_is_never_taken_for_finished(legend, tmp_path):
    killed = build(legend, tmp_path, 0.5)
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob("*.writing-*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not any(tmp_path.glob("*.npy"))

    builders = [build(legend, tmp_path, 0.01) for _ in range(3)]
    said = {builder.communicate(timeout=60)[0].strip() for builder in builders}
    assert len(said) == 1
    assert len(open_decoded(said.pop())) == 32
    assert not any(tmp_path.glob("*.writing-*"))
