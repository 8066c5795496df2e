"""Materialise a split on disk as `training/<emotion>/<image>`, `validation/...` and `testing/...`.

A tree is built aside under a lock and renamed, so that what stands under its name is finished. The name carries a
fingerprint of the split and of the files.
"""

import errno
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from fer_lightning.data.image_checks import explained
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.splits import Split

_LAYOUT = 1


def tree_path(split: Split, folder: str | os.PathLike[str], name: str = "tree") -> Path:
    """Where the tree of a split stands or will stand: in `folder`, under a name that begins with `name`."""
    key = f"{_LAYOUT} {split.fingerprint} {split.legend.files_fingerprint}"  # a replaced image asks for a new tree
    return Path(folder).expanduser() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def is_built(tree: Path, split: Split) -> bool:
    """Whether the tree is there with as many files as it was built with (somebody may have deleted some)."""
    try:
        if json.loads((tree / "split.json").read_text(encoding="utf-8"))["fingerprint"] != split.fingerprint:
            return False
    except (OSError, ValueError, KeyError):
        return False
    return sum(len(files) for subset in SUBSETS for _, _, files in os.walk(tree / subset)) == len(split.legend)


def build_tree(split: Split, folder: str | os.PathLike[str], name: str = "tree") -> Path:
    """Build the tree of a split, or find the one that is there; see `tree_path`.

    Images are hard links where the file system allows it, else copies. Nothing of ours reads it: it is for people, and
    for torchvision's ImageFolder.

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
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    return tree


def _build(split: Split, aside: Path) -> None:
    aside.mkdir()
    legend = split.legend
    place: Callable[[str, str], object] = _link
    source_dir = os.path.realpath(legend.image_dir)
    made: set[str] = set()
    entries = zip(legend.images, split.subsets.tolist(), legend.labels.tolist(), strict=True)
    for image, subset, label in tqdm(entries, "Building the image folders", len(legend), delay=1, leave=False):
        source = os.path.join(source_dir, image)
        destination = os.path.join(aside, SUBSETS[subset], legend.class_names[label], image)
        if (parent := os.path.dirname(destination)) not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
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
        "legend": os.fspath(legend.path.resolve()),
        "images": os.fspath(legend.image_dir.resolve()),
        "options": split.options,
        "class_names": list(legend.class_names),
        "counts": dict(zip(SUBSETS, split.counts.tolist(), strict=True)),
    }
    (aside / "split.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _link(source: str, destination: str) -> None:
    """Hard link to what a symbolic link points at, so that the tree does not depend on the link."""
    os.link(os.path.realpath(source) if os.path.islink(source) else source, destination)
