"""Several data sets as one."""

import hashlib
import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.data.legend import Legend
from fer_lightning.data.splits import Split, SplitRule, make_split
from fer_lightning.errors import FERError


def split_and_combine(
    given: Sequence[Legend], class_names: Sequence[str] | None, rule: SplitRule | None, **options: Any
) -> Split:
    """Split data sets, each by itself, and put them together; options as of `make_split`.

    Images are named from the folder that all image folders have in common. People are told apart by data set. Where one
    data set has votes, the label stands for the votes in the others. With `predefined`, those of several without a
    split column are split as `grouped`.

    Args:
        given: At least one data set.
        class_names: The class list of several; without it, all their labels, in alphabetical order.
        rule: See `make_split`.
        options: Further arguments of `make_split`.

    Raises:
        FERError: If a label is not in the class list, an image folder is within another, or as of `make_split`.
    """
    if len(given) == 1:
        return make_split(given[0], rule, **options)
    undeclared: SplitRule | None = "grouped" if rule == "predefined" else rule
    splits = [make_split(legend, undeclared if legend.declared is None else rule, **options) for legend in given]
    names = tuple(class_names or sorted(set(chain.from_iterable(legend.class_names for legend in given))))
    legends = [legend.with_classes(names) for legend in given]
    folders = [legend.image_dir.resolve() for legend in legends]
    _check_apart(legends, folders)
    common = Path(os.path.commonpath(folders))
    starts = ["" if folder == common else f"{folder.relative_to(common).as_posix()}/" for folder in folders]
    images = [f"{start}{image}" for start, legend in zip(starts, legends, strict=True) for image in legend.images]
    identities = [f"{start}{who}" for start, split in zip(starts, splits, strict=True) for who in split.identities]
    labels = np.concatenate([legend.labels for legend in legends])
    voted = any(legend.votes is not None for legend in legends)
    one_hot = np.eye(len(names), dtype=np.float32)
    votes = [one_hot[legend.labels] if legend.votes is None else legend.votes for legend in legends]
    key = hashlib.sha256(b"\n".join(os.fsencode(legend.path.resolve()) for legend in legends)).hexdigest()[:8]
    legend = Legend(
        path=common / f"combined-{key}.csv",  # no such file: its name is made of those of the legends
        image_dir=common,
        images=images,
        labels=labels,
        class_names=names,
        users=list(chain.from_iterable(legend.users for legend in legends)),
        ranks=np.concatenate([legend.ranks for legend in legends]),
        class_rows=np.bincount(labels, minlength=len(names)),
        declared=None,
        identities=identities,
        votes=np.concatenate(votes) if voted else None,
        attributes=combined_attributes(legends),
        format=" and ".join(f"{legend.path}, {legend.format}" for legend in legends),
        spellings={raw: name for legend in legends for raw, name in legend.spellings.items()},
        repeated=tuple(
            f"{start}{one}" for start, legend in zip(starts, legends, strict=True) for one in legend.repeated
        ),
        conflicting={
            f"{start}{image}": labels
            for start, legend in zip(starts, legends, strict=True)
            for image, labels in legend.conflicting.items()
        },
        problems=tuple(
            one._replace(image=one.image and f"{start}{one.image}")
            for start, legend in zip(starts, legends, strict=True)
            for one in legend.problems
        ),
        notes=tuple(f"{legend.path}: {said}" for legend in legends for said in legend.notes),
        warnings=tuple(f"{legend.path}: {said}" for legend in legends for said in legend.warnings),
    )
    warnings = tuple(dict.fromkeys(chain.from_iterable(split.warnings for split in splits)))
    subsets = np.concatenate([split.subsets for split in splits])
    rules = dict.fromkeys(str(split.options["rule"]) for split in splits)
    options = splits[0].options | {"rule": rule or " and ".join(rules), "roots": len(splits)}
    return Split(legend, subsets, identities, options, warnings)


def combined_attributes(legends: Sequence[Legend]) -> dict[str, list[str]]:
    """The further columns of all, empty where a data set has none; of several, which data set an image is of too."""
    if len(legends) == 1:
        return dict(legends[0].attributes)
    names = dict.fromkeys(chain.from_iterable(legend.attributes for legend in legends))
    together = {
        name: [*chain.from_iterable(legend.attributes.get(name, [""] * len(legend)) for legend in legends)]
        for name in names
    }
    return together | {"data set": [legend.short_name for legend in legends for _ in range(len(legend))]}


def _check_apart(legends: Sequence[Legend], folders: Sequence[Path]) -> None:
    """Raise FERError if two data sets share images: those of one would be in training and in the test of the other."""
    for number, folder in enumerate(folders):
        for before, other in enumerate(folders[:number]):
            if folder == other:
                said = "the same image folder"
            elif other in folder.parents or folder in other.parents:
                said = "image folders within one another"
            elif _are_copies(legends[number], legends[before]):
                said = "the same images, one being a copy"
            else:
                continue
            raise FERError(
                f"Invalid value for --data.root. Two of the data sets have {said}: '{other}' and '{folder}'. Expected "
                "folders apart from each other, so that no image is in two data sets."
            )


def _are_copies(one: Legend, other: Legend) -> bool:
    """Whether two data sets have the same names and labels, and files of the same sizes as far as is looked."""
    if sorted(one.images) != sorted(other.images):
        return False
    rows = [dict(zip(legend.images, range(len(legend)), strict=True)) for legend in (one, other)]
    some = sorted(rows[0])[:100]
    first, second = ([where[image] for image in some] for where in rows)
    sizes = one.stamps(first)[:, 0] == other.stamps(second)[:, 0]
    return bool(sizes.all() and (one.labels[first] == other.labels[second]).all())
