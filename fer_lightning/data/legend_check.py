"""The check that a Legend gets where it enters, whoever made it: what follows relies on its types, ranges and names."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_lightning.data.legend import SUBSETS, Legend
from fer_lightning.errors import FERError
from fer_lightning.names import MOST_CLASSES, complaint, one_line, printable, twins


def check_class_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """The class list, if each name can name a folder and no two can be taken for one.

    Args:
        names: The names, as they are used.
        where: The option, class or file that they are from, for messages.

    Raises:
        FERError: If one cannot, two can, or there are fewer than 2 or more than 1,000.
    """
    said = ""
    if not all(isinstance(name, str) for name in names):
        said = f"not all are texts: {list(names)[:20]!r}"
    elif not 2 <= len(names) <= MOST_CLASSES:
        said = f"{len(names)} names: {list(names)[:20]!r}"
    elif wrong := next((name for name in names if complaint(name)), None):
        said = f"'{one_line(wrong)}', {complaint(wrong)}"
    elif "" in names:
        said = f"'', {complaint('')}"
    elif two := twins(names):
        said = f"'{two[0]}' and '{two[1]}', which can be taken for one"
    if said:
        raise FERError(
            f"Invalid value for {where}. Expected 2 to {MOST_CLASSES:,} different names without slashes, each of "
            f"which a folder can have. Received: {printable(said)}."
        )
    return tuple(names)


def check_legend(legend: Legend, source: object) -> Legend:
    """The legend that a data source has read, with arrays of the types that `Legend` names.

    Raises:
        FERError: If it is not a Legend, or something in it is not as `Legend` describes it.
    """
    where = type(source).__name__

    def need(fits: bool, what: str, found: object) -> None:
        if not fits:
            raise FERError(f"The data set that {where} reads is not usable: expected {what}. Received: {found}.")

    need(isinstance(legend, Legend), "a fer_lightning Legend, as make_legend gives", type(legend).__name__)
    check_class_names(legend.class_names, f"the class names of {where}")
    declared = getattr(source, "class_names", None)
    same = declared is None or tuple(declared) == tuple(legend.class_names)
    need(same, f"the classes that it declares, {declared}", legend.class_names)
    for name in ("name", "license"):
        text = getattr(source, name, "")
        need(isinstance(text, str), f"a text as its {name}", type(text).__name__)
    images, classes = len(legend.images), len(legend.class_names)
    need(images > 0, "images", "none")
    need(Path(legend.image_dir).is_dir(), "an image folder", f"'{legend.image_dir}', which is none")
    for name in ("images", "users", "identities"):
        texts = getattr(legend, name)
        if texts is not None:
            need(len(texts) == images, f"{images:,} {name}, one for each image", f"{len(texts):,}")
            if not _are_utf8(texts):
                wrong = next(text for text in texts if not _are_utf8([text]))
                need(False, f"{name} that are texts in UTF-8", ascii(wrong))
    _check_image_names(legend.images, need)
    labels = _whole(legend.labels, (images,), classes, "labels", need)
    if len(set(legend.images)) < images:
        seen = set(zip(legend.images, labels.tolist(), strict=True))
        need(len(seen) == images, "an image no more than once under a label", f"{images - len(seen):,} repeated rows")
    subsets = None
    if legend.declared is not None:
        subsets = _whole(legend.declared, (images,), len(SUBSETS), "subsets", need).astype(np.int8)
    ranks = _whole(legend.ranks, (images,), 1 << 62, "ranks", need)
    rows = _whole(legend.class_rows, (classes,), 1 << 62, "class_rows", need)
    votes = legend.votes
    if votes is not None:
        need(np.shape(votes) == (images, classes), f"votes ({images}, {classes})", np.shape(votes))
        with np.errstate(over="ignore", invalid="ignore"):
            votes = np.asarray(votes, np.float32)
            totals = votes.sum(1)
        good = (votes >= 0).all(1) & (totals > 0) & np.isfinite(totals)
        need(bool(good.all()), "votes that are finite, 0 or more and not all 0", f"votes of row {int(good.argmin())}")
    return replace(
        legend,
        path=Path(legend.path),
        image_dir=Path(legend.image_dir),
        class_names=tuple(legend.class_names),
        labels=labels,
        declared=subsets,
        ranks=ranks,
        class_rows=rows,
        votes=votes,
    )


def _whole(values: object, shape: tuple[int, ...], below: int, what: str, need: Callable[..., None]) -> np.ndarray:
    """An array of whole numbers from 0, as int64."""
    array = np.asarray(values)
    need(array.shape == shape and array.dtype.kind in "iu", f"{what} that are integers {shape}", _described(array))
    outside = (array < 0) | (array >= below)
    need(not outside.any(), f"{what} from 0 to {below - 1}", array[outside][:1].tolist())
    return array.astype(np.int64)


def _check_image_names(images: Sequence[str], need: Callable[..., None]) -> None:
    together = "\n".join(images)
    suspect = "..", "\0", "\\", "\n/", ":"
    if all(images) and not together.startswith("/") and not any(sign in together for sign in suspect):
        return  # none of them can be wrong, and there may be a million
    for image in images:
        if ".." in image or "\0" in image or "\\" in image or image[:1] in ("/", "") or os.path.isabs(image):
            wrong = not image or "\0" in image or "\\" in image or os.path.isabs(image) or ".." in image.split("/")
            need(not wrong, "image names with forward slashes within the image folder", f"'{one_line(image)}'")


def _are_utf8(texts: Sequence[object]) -> bool:
    try:
        "".join(texts).encode()  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError):
        return False
    return True


def _described(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"
