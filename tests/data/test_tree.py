from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from fer_lightning import FERError
from fer_lightning.data import tree as trees_module
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.data.splits import make_split
from fer_lightning.data.tree import build_tree, is_built
from tests.conftest import PROJECT, flat

ROWS = [(f"p{number // 2}_{number}.png", ("anger", "fear", "jolly")[number % 3]) for number in range(60)]


def split_of(root: Path, **options):
    legend = read_legend(root / "legend.csv", root / "images", conflicts="keep")
    return make_split(legend, **{"rule": "stratified", **options})


def files_of(tree: Path) -> dict[str, int]:
    return {
        folder.name: sum(path.is_file() for path in folder.rglob("*")) for folder in tree.iterdir() if folder.is_dir()
    }


def test_the_tree_is_what_torchvision_reads(make_data, tmp_path):
    root = make_data(ROWS)
    split = split_of(root)
    tree = build_tree(split, tmp_path / "trees", "set")
    assert files_of(tree) == dict(zip(("training", "validation", "testing"), split.counts.sum(1).tolist(), strict=True))
    plain = ImageFolder(tree / "training")
    assert plain.classes == ["anger", "fear", "jolly"]
    assert plain[0][0].size == (12, 12)
    assert os.stat(plain.samples[0][0]).st_ino == os.stat(root / "images" / Path(plain.samples[0][0]).name).st_ino
    manifest = json.loads((tree / "split.json").read_text())
    assert manifest["fingerprint"] == split.fingerprint
    assert manifest["counts"]["testing"] == split.counts[2].tolist()


def test_a_tree_is_reused_until_something_changes(make_data, tmp_path):
    root = make_data(ROWS)
    tree = build_tree(split_of(root), tmp_path / "trees")
    born = tree.stat().st_ino
    assert build_tree(split_of(root), tmp_path / "trees").stat().st_ino == born
    assert build_tree(split_of(root, seed=1), tmp_path / "trees") != tree
    Image.new("RGB", (9, 9)).save(root / "images" / "p0_0.png")
    renewed = build_tree(split_of(root), tmp_path / "trees")
    assert renewed != tree
    next((renewed / "training").rglob("*.png")).unlink()
    again = build_tree(split_of(root), tmp_path / "trees")
    assert again == renewed
    assert sum(files_of(again).values()) == 60


def test_an_image_that_was_moved_by_hand_is_noticed_and_nothing_is_lost(make_data, tmp_path, capsys):
    root = make_data(ROWS)
    split = split_of(root)
    tree = build_tree(split, tmp_path / "trees")
    moved = next((tree / "testing" / "jolly").iterdir())
    moved.rename(tree / "training" / "jolly" / moved.name)
    (tree / "training" / "jolly" / "mine.png").write_bytes(b"mine")
    (tree / "split.csv").unlink()
    assert not is_built(tree, split)
    assert build_tree(split, tmp_path / "trees") == tree
    said = capsys.readouterr().out
    assert "changed by hand and are built anew: 'training/jolly/" in flat(said)
    assert moved.exists()
    assert sum(files_of(tree).values()) == 60
    (kept,) = (tmp_path / "trees").glob("*.changed-*")
    assert (kept / "training" / "jolly" / "mine.png").read_bytes() == b"mine"
    build_tree(split, tmp_path / "trees")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("manifest", ["", "[]", "7", "{}", "[" * 100_000, "\x00"])
def test_a_damaged_manifest_is_no_tree(make_data, tmp_path, manifest):
    split = split_of(make_data(ROWS))
    tree = build_tree(split, tmp_path / "trees")
    (tree / "split.json").write_text(manifest)
    assert build_tree(split, tmp_path / "trees") == tree
    assert is_built(tree, split)


def test_an_image_under_two_labels_lies_in_both_folders(make_data, tmp_path):
    root = make_data([*ROWS, ("p0_0.png", "jolly")])
    tree = build_tree(split_of(root, rule="sequential", val_fraction=0), tmp_path / "trees")
    assert sorted(path.parent.name for path in tree.rglob("p0_0.png")) == ["anger", "jolly"]
    assert set(files_of(tree)) == {"training", "testing"}


def test_copies_where_links_are_impossible(make_data, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    root = make_data(ROWS)
    monkeypatch.setattr(os, "link", refuse)
    tree = build_tree(split_of(root), tmp_path / "trees")
    copy = next((tree / "training").rglob("*.png"))
    assert copy.read_bytes() == (root / "images" / copy.name).read_bytes()
    assert copy.stat().st_ino != (root / "images" / copy.name).stat().st_ino


def test_a_full_disk_is_said_and_nothing_is_left(make_data, tmp_path, monkeypatch):
    made = []

    def fill(source: str, destination: str) -> None:
        made.append(destination)
        if len(made) > 20:
            raise OSError(errno.ENOSPC, "No space left on device", destination)
        os.symlink(source, destination)

    root = make_data(ROWS)
    monkeypatch.setattr(trees_module, "_link", fill)
    with pytest.raises(FERError, match=r"disk is full.*--data.prepared_dir"):
        build_tree(split_of(root), tmp_path / "trees")
    assert [path for path in (tmp_path / "trees").iterdir() if path.suffix != ".lock"] == []


def test_a_folder_that_cannot_be_written(make_data, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FERError, match=r"Cannot write to .*--data.prepared_dir"):
        build_tree(split_of(make_data(ROWS)), tmp_path / "file" / "trees")


BUILD = """
import sys, time
from pathlib import Path
from fer_lightning.data import tree as module
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.data.splits import make_split
root, trees, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
link = module._link
def slow(source, destination):
    time.sleep(pause)
    link(source, destination)
module._link = slow
print("start", flush=True)
tree = module.build_tree(make_split(read_legend(root / "legend.csv", root / "images"), "stratified"), trees)
print(tree, sum(path.is_file() for path in tree.glob("*/*/*")))
"""


def start(root: Path, trees: Path, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, str(root), str(trees), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)


@pytest.mark.slow
def test_three_runs_at_once_build_one_whole_tree(make_data, tmp_path):
    root = make_data(ROWS)
    builders = [start(root, tmp_path / "trees", 0.01) for _ in range(3)]
    said = {builder.communicate(timeout=60)[0].splitlines()[-1] for builder in builders}
    assert len(said) == 1
    assert said.pop().endswith(" 60")


def test_a_killed_build_is_never_taken_for_a_finished_one(make_data, tmp_path):
    root = make_data(ROWS)
    builder = start(root, tmp_path / "trees", 0.2)
    deadline = time.monotonic() + 60
    while not any((tmp_path / "trees").glob("*.building-*/training/*/*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert not any((tmp_path / "trees").glob("*/split.json"))
    tree = build_tree(split_of(root), tmp_path / "trees")
    assert sum(files_of(tree).values()) == 60
    assert not any((tmp_path / "trees").glob("*.building-*"))
