"""Materialise a split on disk as `training/<emotion>/<image>`, `validation/...` and `testing/...`.

Atomic and idempotent: a tree is built aside under a lock and renamed into place, so that whatever stands under its
final name is finished. The name carries a fingerprint of the split and of the files; the same fingerprint is reused.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock
from torchvision.datasets import ImageFolder
from tqdm import tqdm

from fer_lightning.data.input_spec import InputSpec, UnreadableImageError
from fer_lightning.data.legend import PARTS, Legend
from fer_lightning.data.splits import Split
from fer_lightning.errors import FERError

_LAYOUT = 1
_SHOWN = 20


class ExpressionFolder(ImageFolder):  # type: ignore[misc]  # torchvision has no types
    """torchvision's ImageFolder with the class order of the contract and images as uint8 tensors.

    Item `i` is `(image, label)`: uint8 `(channels, size, size)` and the index into `class_names`. Classes without a
    folder keep their number.
    """

    def __init__(self, root: str | os.PathLike[str], class_names: Sequence[str], preprocessing: InputSpec) -> None:
        self._class_names = list(class_names)
        super().__init__(str(root), loader=preprocessing.load, is_valid_file=_any_file, allow_empty=True)

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        """The contract's classes; ImageFolder's own rule would renumber them if one has no folder."""
        return self._class_names, {name: number for number, name in enumerate(self._class_names)}

    def images(self) -> list[str]:
        """The image name of every sample, as in the legend."""
        starts = [len(os.path.join(self.root, name, "")) for name in self._class_names]
        return [path[starts[label] :].replace(os.sep, "/") for path, label in self.samples]


def _any_file(path: str) -> bool:
    """The tree holds legend images alone, so an unusual suffix is no reason to leave one out."""
    return True


def build_tree(split: Split, folder: str | os.PathLike[str], name: str = "tree", check: bool = True) -> Path:
    """Build the tree of a split, or find the one that is there.

    Images are hard links where the file system allows it, else copies.

    Args:
        split: What goes where.
        folder: Where trees are kept; made if it does not exist.
        name: Start of the tree's name, for people.
        check: Decode every image first, so that damaged files are known before training.

    Returns:
        The tree: one folder a part that has images, `split.csv` (see `Split.write_csv`) and `split.json`.

    Raises:
        FERError: If images are unreadable (all are listed), the disk is full or the folder cannot be written.
    """
    folder = Path(folder).expanduser()
    tree = folder / f"{name}-{_tree_key(split)}"
    if _is_finished(tree, split):
        return tree
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{tree}.lock"):
            if _is_finished(tree, split):
                return tree
            for left in (*folder.glob(f"{tree.name}.building-*"), tree):
                shutil.rmtree(left, ignore_errors=True)
            aside = folder / f"{tree.name}.building-{os.getpid()}"
            try:
                if check:
                    _check_images(split)
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


def _tree_key(split: Split) -> str:
    """Twelve digits from the split and from size and time of every image: a replaced image asks for a new tree."""
    key = f"{_LAYOUT} {split.fingerprint} {split.legend.files_fingerprint}"
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _entries(split: Split) -> Iterator[tuple[str, str]]:
    """Image and place in the tree of every row."""
    names = split.legend.class_names
    rows = zip(split.legend.images, split.parts.tolist(), split.legend.labels.tolist(), strict=True)
    for image, part, label in rows:
        yield image, f"{PARTS[part]}/{names[label]}/{image}"


def _is_finished(tree: Path, split: Split) -> bool:
    """Whether the tree is there with as many files as it was built with (somebody may have deleted some)."""
    try:
        if read_manifest(tree)["fingerprint"] != split.fingerprint:
            return False
    except (OSError, ValueError, KeyError):
        return False
    return sum(len(files) for part in PARTS for _, _, files in os.walk(tree / part)) == len(split.legend)


def _check_images(split: Split) -> None:
    probe = InputSpec(image_size=1, color="grey", interpolation="nearest")
    images = split.legend.images

    def complaint(image: str) -> str | None:
        try:
            probe.load(split.legend.image_dir / image)
        except UnreadableImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = tqdm(pool.map(complaint, images, chunksize=64), "Checking images", len(images), delay=1, leave=False)
        bad = [said for said in checked if said]
    if bad:
        raise_unreadable(bad, split.legend)


def raise_unreadable(bad: Sequence[str], legend: Legend) -> NoReturn:
    """Raise FERError about the images of a legend that cannot be decoded.

    Args:
        bad: What is wrong, one sentence an image.
        legend: The legend.
    """
    more = f"\n  ... and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    raise FERError(
        f"{len(bad)} of {len(legend)} images cannot be used:\n  "
        + "\n  ".join(bad[:_SHOWN])
        + more
        + f"\nReplace the files, or take their rows out of {legend.path}."
    )


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
        "counts": {part: split.counts[number].tolist() for number, part in enumerate(PARTS)},
    }
    (aside / "split.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _link(source: str, destination: str) -> None:
    """Hard link to what a symbolic link points at, so that the tree does not depend on the link."""
    os.link(os.path.realpath(source) if os.path.islink(source) else source, destination)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FERError(
                f"The disk is full: cannot build the image folders in '{folder}'. Free some space, or choose another "
                "place with --data.tree_dir DIR; nothing half-built was left."
            ) from None
        raise FERError(
            f"Cannot write to '{error.filename or folder}' ({error.strerror}). Choose another place with "
            "--data.tree_dir DIR."
        ) from None
