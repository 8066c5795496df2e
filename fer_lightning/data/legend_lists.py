"""A legend from plain lists, for data in a form of one's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

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
            raise FERError(
                f"Invalid value for {name}. Expected as many as images, {len(images)}. Received: {len(values)}."
            )
    if votes is not None and class_names is None:
        raise FERError("Votes need class_names, in whose order they are.")
    rows = LegendRows(folder, folder, class_names, "entry")
    rows.vote_names = rows.classes or () if votes is not None else ()
    if not len(images):
        raise FERError(f"Expected images of '{folder}' and their labels, found empty lists.")
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        rows.add(
            number,
            str(image),
            str(label),
            users[number] if users is not None else "",
            subsets[number] if subsets is not None else None,
            identities[number] if identities is not None else None,
            [float(vote) for vote in votes[number]] if votes is not None else (),
        )
    legend = rows.finish(conflicts)
    if rows.problems:
        raise rows.complaint()
    return legend
