"""Materialise a split on disk as `training/<emotion>/<image>`, `validation/...` and `testing/...`.

A tree is built aside under a lock and renamed, so that what stands under its name is finished. The name carries a
fingerprint of the split and of the files.
"""

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from fer_lightning.data.image_checks import built_once
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.splits import Split
from fer_lightning.names import printable
from fer_lightning.screen import say

_LAYOUT = 1


def tree_path(split: Split, folder: str | os.PathLike[str], name: str = "tree") -> Path:
    """Where the tree of a split stands or will stand: in `folder`, under a name that begins with `name`."""
    key = f"{_LAYOUT} {split.fingerprint} {split.legend.files_fingerprint}"  # a replaced image asks for a new tree
    return Path(folder).expanduser() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def is_built(tree: Path, split: Split) -> bool:
    """Whether the tree is there with every image where the split has it, and no other: somebody may have moved one."""
    try:
        manifest = json.loads((tree / "split.json").read_text(encoding="utf-8"))
        if manifest["fingerprint"] != split.fingerprint:
            return False
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    return _files(tree) == _expected(split)


def _files(tree: Path) -> set[str]:
    """The files in the subsets of a tree, relative to it."""
    start = len(os.fspath(tree)) + 1
    folders = (found for subset in SUBSETS for found in os.walk(tree / subset))
    return {f"{folder[start:]}{os.sep}{name}" for folder, _, names in folders for name in names}


def _expected(split: Split) -> set[str]:
    """The files that belong there."""
    legend, names = split.legend, split.legend.class_names
    entries = zip(legend.images, split.subsets.tolist(), legend.labels.tolist(), strict=True)
    files = {f"{SUBSETS[subset]}/{names[label]}/{image}" for image, subset, label in entries}
    return files if os.sep == "/" else {file.replace("/", os.sep) for file in files}


def build_tree(split: Split, folder: str | os.PathLike[str], name: str = "tree", quiet: bool = False) -> Path:
    """Build the tree of a split, or find the one that is there; see `tree_path`.

    Images are hard links where the file system allows it, else copies. Nothing of ours reads it: it is for people, and
    for torchvision's ImageFolder. With `quiet`, no progress is shown.

    Returns:
        The tree: one folder for each subset that has images, `split.csv` (see `Split.write_csv`) and `split.json`.

    Raises:
        FERError: If the disk is full or the folder cannot be written.
    """
    tree = tree_path(split, folder, name)
    hint = "Choose another place with --data.prepared_dir DIR."

    def build(aside: Path) -> None:
        if os.path.lexists(tree):
            _put_away(tree, split)
        _build(split, aside, quiet)

    built_once(tree, lambda: is_built(tree, split), build, "the image folders are to be built", hint)
    return tree


def _put_away(tree: Path, split: Split) -> None:
    """Make room for a tree that is built anew, and say why; what is not ours in the old one is kept."""
    if foreign := sorted(_files(tree) - _expected(split) if tree.is_dir() else [""]):
        kept = tree.with_name(f"{tree.name}.changed-{time.time_ns():x}")
        tree.rename(kept)
        said = f"'{printable(foreign[0])}' is not of the split; the old folders are kept as '{kept.name}'"
    else:
        shutil.rmtree(tree)
        said = "images are missing"
    say(f"Note   The image folders in '{tree}' were changed by hand and are built anew: {said}.")


def _build(split: Split, aside: Path, quiet: bool) -> None:
    legend = split.legend
    place: Callable[[str, str], object] = _link
    source_dir = os.path.realpath(legend.image_dir)
    made: set[str] = set()
    entries = zip(legend.images, split.subsets.tolist(), legend.labels.tolist(), strict=True)
    for image, subset, label in tqdm(
        entries, "Building the image folders", len(legend), delay=1, leave=False, disable=quiet
    ):
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
