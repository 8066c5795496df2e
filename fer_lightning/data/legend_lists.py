"""A legend from plain lists, for data in a form of one's own."""

import os
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.data.legend import Conflicts, Legend
from fer_lightning.data.legend_rows import LegendRows
from fer_lightning.errors import FERError


def make_legend(
    image_dir: str | os.PathLike[str],
    images: Sequence[str],
    labels: Sequence[str],
    class_names: Sequence[str] | None = None,
    identities: Sequence[str] | None = None,
    subsets: Sequence[str] | None = None,
    votes: Sequence[Sequence[float]] | np.ndarray | None = None,
    users: Sequence[str] | None = None,
    conflicts: Conflicts = "drop",
) -> Legend:
    """Make a legend from plain lists, with the checks that a legend file gets; `n` images, `c` classes.

    Args:
        image_dir: The folder that image names are relative to.
        images: `n` image names.
        labels: `n` class names; case and surrounding space do not count.
        class_names: The class list, in the order of the network's outputs; None takes the labels, alphabetically.
        identities: `n` names of who is in the image.
        subsets: `n` of training, validation or testing, for `--data.split predefined`.
        votes: `(n, c)` annotators' votes, 0 or more, in the order of `class_names`, which must be given then.
        users: `n` names of who labelled the image.
        conflicts: An image under two labels is an error, dropped, or kept under each.

    Raises:
        FERError: If the folder does not exist, the lists differ in length, or entries are wrong (the first 20 are
            named).
    """
    folder = Path(image_dir).expanduser()
    if not folder.is_dir():
        raise FERError(f"No image folder found: expected one at '{folder}'.")
    lists = {"labels": labels, "identities": identities, "subsets": subsets, "votes": votes, "users": users}
    for name, values in lists.items():
        if values is not None and len(values) != len(images):
            expected = f"Expected as many as images, {len(images)}. Received: {len(values)}."
            raise FERError(f"Invalid value for {name}. {expected}")
    if votes is not None and class_names is None:
        raise FERError("Votes need class_names, in whose order they are.")
    rows = LegendRows(folder, folder, class_names, "entry")
    rows.vote_names = rows.classes or () if votes is not None else ()
    if not len(images):
        raise FERError(f"Expected images of '{folder}' and their labels, found empty lists.")
    texts: tuple[tuple[Any, Any], ...] = ((users, ""), (subsets, None), (identities, None))
    given = [repeat(nothing) if values is None else map(str, values) for values, nothing in texts]
    voted: Any = repeat(()) if votes is None else votes
    for row in zip(range(len(images)), map(str, images), map(str, labels), *given, voted, strict=False):
        rows.add(*row)
    return rows.finish(conflicts)
