"""Several data sets as one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from fer_lightning.data.legend import Legend
from fer_lightning.data.splits import Split
from fer_lightning.errors import FERError


def pool(splits: Sequence[Split], class_names: Sequence[str] | None = None) -> Split:
    """Put splits of several data sets together; every image keeps its part.

    Images are named from the folder that all image folders have in common. People are told apart by data set. Where one
    data set has votes, the label stands for the votes in the others.

    Args:
        splits: At least one.
        class_names: The class list; without it, all labels of all data sets, in alphabetical order.

    Raises:
        FERError: If a label is not in the class list, or two of the data sets have the same image folder.
    """
    legends = [split.legend for split in splits]
    names = tuple(class_names or sorted(set(chain.from_iterable(legend.class_names for legend in legends))))
    folders = [legend.image_dir.resolve() for legend in legends]
    if len(set(folders)) < len(folders):
        raise FERError(f"Invalid value for --data.root. Two of the data sets have the same image folder: {folders[0]}.")
    common = Path(os.path.commonpath(folders))
    voted = any(legend.votes is not None for legend in legends)
    images: list[str] = []
    identities: list[str] = []
    labels, votes = [], []
    for folder, legend, split in zip(folders, legends, splits, strict=True):
        unknown = sorted(set(legend.class_names) - set(names))
        if unknown:
            raise FERError(f"{legend.path} has the labels {', '.join(unknown)}; the class list is {', '.join(names)}.")
        start = folder.relative_to(common).as_posix()
        images += [f"{start}/{image}" for image in legend.images]
        identities += [f"{start}/{who}" for who in split.identities]
        place = np.array([names.index(name) for name in legend.class_names])
        labels.append(place[legend.labels])
        if voted:
            given = np.zeros((len(legend), len(names)), np.float32)
            if legend.votes is not None:
                given[:, place] = legend.votes
            else:
                given[np.arange(len(legend)), labels[-1]] = 1
            votes.append(given)
    key = hashlib.sha256("\n".join(os.fspath(legend.path.resolve()) for legend in legends).encode()).hexdigest()[:8]
    pooled = Legend(
        path=common / f"pool-{key}.csv",  # no such file: the pool is known by the legends it is made of
        image_dir=common,
        images=images,
        labels=np.concatenate(labels).astype(np.int64),
        class_names=names,
        users=list(chain.from_iterable(legend.users for legend in legends)),
        ranks=np.concatenate([legend.ranks for legend in legends]),
        class_rows=np.bincount(np.concatenate(labels), minlength=len(names)),
        declared=None,
        identities=identities,
        votes=np.concatenate(votes) if voted else None,
        warnings=tuple(f"{legend.path}: {said}" for legend in legends for said in legend.warnings),
    )
    warnings = tuple(dict.fromkeys(chain.from_iterable(split.warnings for split in splits)))
    parts = np.concatenate([split.parts for split in splits])
    options = splits[0].options | {"roots": len(splits)}
    return replace(splits[0], legend=pooled, parts=parts, identities=identities, options=options, warnings=warnings)
