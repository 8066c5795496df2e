"""Materialise a split on disk as `training/<emotion>/<image>`, `validation/...` and `testing/...`.

Atomic and idempotent: a tree is built aside under a lock and renamed into place, so that whatever stands under its
final name is finished. The name carries a fingerprint of the split and of the files; the same fingerprint is reused.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from tqdm import tqdm

from fer_lightning.data.disk_errors import explained
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.splits import Split

_LAYOUT = 1


def tree_path(split: Split, folder: str | os.PathLike[str], name: str = "tree") -> Path:
    """Where the tree of a split stands or will stand.

    Args:
        split: What goes where.
        folder: Where trees are kept.
        name: Start of the tree's name, for people.
    """
    key = f"{_LAYOUT} {split.fingerprint} {split.legend.files_fingerprint}"  # a replaced image asks for a new tree
    return Path(folder).expanduser() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def is_built(tree: Path, split: Split) -> bool:
    """Whether the tree is there with as many files as it was built with (somebody may have deleted some)."""
    try:
        if read_manifest(tree)["fingerprint"] != split.fingerprint:
            return False
    except (OSError, ValueError, KeyError):
        return False
    return sum(len(files) for subset in SUBSETS for _, _, files in os.walk(tree / subset)) == len(split.legend)


def build_tree(split: Split, folder: str | os.PathLike[str], name: str = "tree") -> Path:
    """Build the tree of a split, or find the one that is there.

    Images are hard links where the file system allows it, else copies. Nothing of ours reads it: it is for people, and
    for torchvision's ImageFolder.

    Args:
        split: What goes where.
        folder: Where trees are kept; made if it does not exist.
        name: Start of the tree's name, for people.

    Returns:
        The tree: one folder for each subset that has images, `split.csv` (see `Split.write_csv`) and `split.json`.

    Raises:
        FERError: If the disk is full or the folder cannot be written.
    """
    tree = tree_path(split, folder, name)
    if is_built(tree, split):
        return tree
    with explained(tree.parent, "the image folders are to be built"):
        tree.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{tree}.lock"):
            if is_built(tree, split):
                return tree
            for left in (*tree.parent.glob(f"{glob.escape(tree.name)}.building-*"), tree):
                shutil.rmtree(left, ignore_errors=True)
            aside = tree.with_name(f"{tree.name}.building-{os.getpid()}")
            try:
                _build(split, aside)
                aside.rename(tree)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
    return tree


def read_manifest(tree: str | os.PathLike[str]) -> dict[str, Any]:
    """What `split.json` says: fingerprint, options, classes and counts."""
    manifest: dict[str, Any] = json.loads((Path(tree) / "split.json").read_text(encoding="utf-8"))
    return manifest


def _entries(split: Split) -> Iterator[tuple[str, str]]:
    """Image and place in the tree of every row."""
    names = split.legend.class_names
    rows = zip(split.legend.images, split.subsets.tolist(), split.legend.labels.tolist(), strict=True)
    for image, subset, label in rows:
        yield image, f"{SUBSETS[subset]}/{names[label]}/{image}"


def _build(split: Split, aside: Path) -> None:
    aside.mkdir()
    place: Callable[[str, str], object] = _link
    source_dir = os.path.realpath(split.legend.image_dir)
    made: set[str] = set()
    entries = tqdm(_entries(split), "Building the image folders", len(split.legend), delay=1, leave=False)
    for image, target in entries:
        destination = os.path.join(aside, target)
        parent = os.path.dirname(destination)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        source = os.path.join(source_dir, image)
        try:
            place(source, destination)
        except OSError as error:
            if place is not _link or error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            place = shutil.copyfile
            place(source, destination)
    split.write_csv(aside / "split.csv")
    manifest = {
        "fingerprint": split.fingerprint,
        "legend": os.fspath(split.legend.path.resolve()),
        "images": os.fspath(split.legend.image_dir.resolve()),
        "options": split.options,
        "class_names": list(split.legend.class_names),
        "counts": {subset: split.counts[number].tolist() for number, subset in enumerate(SUBSETS)},
    }
    (aside / "split.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _link(source: str, destination: str) -> None:
    """Hard link to what a symbolic link points at, so that the tree does not depend on the link."""
    os.link(os.path.realpath(source) if os.path.islink(source) else source, destination)
