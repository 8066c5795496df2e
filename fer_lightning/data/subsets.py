"""The subsets of a data set, from its sources to the samples in them; without Lightning."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch

from fer_lightning.data.batches import FaceSamples, Gather, ReadDecoded, decode_files
from fer_lightning.data.combine import split_and_combine
from fer_lightning.data.data_info import TrainingData
from fer_lightning.data.decoded_cache import decoded
from fer_lightning.data.image_checks import check_images
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.label_overrides import override_labels
from fer_lightning.data.leakage import leakage_fingerprint
from fer_lightning.data.legend import Legend, OnError
from fer_lightning.data.legend_check import check_class_names, check_legend
from fer_lightning.data.sources import DataSource
from fer_lightning.data.splits import TESTING, TRAINING, VALIDATION, Split
from fer_lightning.data.tree import build_tree, is_built, tree_path
from fer_lightning.data.usable import usable
from fer_lightning.errors import FERError, check_range
from fer_lightning.names import file_name, printable
from fer_lightning.screen import say

_LONGEST = 100
_AT_ONCE = 100_000
"""Images for which the tree is built before anything else goes on: a few seconds."""


@dataclass
class Subsets:
    """Reads data sets at first use, splits them, and decodes what is asked for.

    Several sources are split each by itself and combined. The options are those of `FERDataModule`; `split_options`
    go to `make_split`, and `folder` is where decoded images and the tree are kept.
    """

    sources: Sequence[DataSource]
    classes: tuple[str, ...] | None
    split_options: dict[str, Any]
    exclude: str | None
    relabel: str | None
    soft_labels: bool
    on_error: OnError
    unaligned: float
    input_spec: InputSpec
    folder: str
    cache: bool
    _prepared: dict[int | None, Path | None] = field(default_factory=dict)  # the cache that each subset is in
    _tree: Future[Path] | None = None
    _samples: dict[int, FaceSamples] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_range("--data.unaligned", self.unaligned, 0, 1)
        if self.unaligned and not self.input_spec.align:
            raise FERError(
                f"--data.unaligned {self.unaligned:g} leaves faces as they are among aligned ones, and --data.faces is "
                f"'{self.input_spec.framing}'. Set it to align, or leave --data.unaligned away."
            )

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The class list, without reading anything if it is known without."""
        known = self.classes or (self.sources[0].class_names if len(self.sources) == 1 else None)
        return check_class_names(known, "--data.source") if known else self.legend.class_names

    @cached_property
    def legends(self) -> list[Legend]:
        """The legend of every data set, whoever made it."""
        legends = [check_legend(source.read(), source) for source in self.sources]
        legends = [usable(legend, self.on_error, self.exclude, self.folder) for legend in legends]
        if len(legends) == 1 and self.classes and self.classes != legends[0].class_names:
            return [legends[0].with_classes(self.classes)]
        return legends

    @property
    def legend(self) -> Legend:
        """All images; those of several data sets combined."""
        return self.legends[0] if len(self.legends) == 1 else self._whole.legend

    @property
    def names(self) -> list[str]:
        """What people call the data sets."""
        return [source.name or legend.short_name for source, legend in zip(self.sources, self.legends, strict=True)]

    @cached_property
    def _whole(self) -> Split:
        """The split before anything is excluded or relabelled."""
        return split_and_combine(self.legends, self.classes, **self.split_options)

    @cached_property
    def split(self) -> Split:
        """The subset of every image that is used.

        Raises:
            FERError: If a data set or list cannot be read, or a subset would be empty.
        """
        split = self._whole
        if self.exclude or self.relabel:
            split = override_labels(split, self.exclude, self.relabel)
        fraction = self.split_options["val_fraction"]
        if fraction > 0 and split.counts[VALIDATION].sum() == 0:
            who, largest = Counter(split.identities).most_common(1)[0]
            of_one = f", and the largest identity, '{printable(who[:80])}', has {largest}" if largest > 1 else ""
            raise FERError(
                f"The validation subset is empty: {len(split.legend)} images are too few for --data.val_fraction "
                f"{fraction}{of_one}. Raise it, set 0 to validate on the testing images, or, if people are not told "
                "apart, set --data.identity to a pattern that fits your file names, or --data.split stratified."
            )
        return split

    def check_folds(self) -> None:
        """Make sure, before the first fold of a cross-validation, that there can be a last one.

        Raises:
            FERError: If a subset of one of the folds would be empty.
        """
        fold, folds = self.split_options["fold"] or (1, 0)
        for other in range(1, folds) if fold == 0 else ():
            try:
                split_and_combine(self.legends, self.classes, **self.split_options | {"fold": (other, folds)})
            except FERError as error:
                raise FERError(f"Fold {other} of {folds}, 0 being the first: {error} Or choose fewer folds.") from None

    @property
    def counts(self) -> np.ndarray:
        """int64 `(3, c)`: images of each class in each subset."""
        return self.split.counts

    @property
    def order(self) -> str:
        """What the order of an epoch depends on, besides seed and devices."""
        return self.split.fingerprint

    @property
    def training(self) -> TrainingData:
        """What is to be known of the training images, without what a training chooses itself."""
        split = self.split
        counts = torch.from_numpy(split.counts[TRAINING])
        prior = counts.float() / counts.sum()
        if self.soft_labels:
            prior = torch.from_numpy(split.legend.vote_distribution(split.rows(TRAINING))).mean(0)
        return TrainingData(
            names=tuple(self.names),
            license=", ".join(dict.fromkeys(one.license for one in self.sources if one.license)),
            class_counts=tuple(counts.tolist()),
            target_prior=tuple(prior.tolist()),
            split=str(split.options["rule"]),
            split_fingerprint=split.fingerprint,
            leakage_fingerprint=tuple(leakage_fingerprint(split)),
            validates_on_test=self.validation == TESTING,
        )

    @property
    def validation(self) -> int:
        """Which subset serves for validation: the testing one if there is no other."""
        return VALIDATION if self.counts[VALIDATION].any() else TESTING

    @property
    def tree_path(self) -> Path:
        """Where the image folders of the split stand, once they are built."""
        return tree_path(self.split, self.folder, self._name)

    @property
    def _name(self) -> str:
        name = "-".join(legend.short_name for legend in self.legends) or "data"
        return name if len(os.fsencode(name)) <= _LONGEST else file_name(name)  # more is no name for a file

    def prepare(self, subset: int | None = None) -> None:
        """Decode or check the images of a subset; without one, all that are used, and build the tree. Once.

        Raises:
            FERError: If images are unreadable (all are listed), the disk is full or the folder cannot be written.
        """
        if not self._prepared.keys().isdisjoint((subset, None)):
            return
        rows = np.arange(len(self.split.legend)) if subset is None else self.split.rows(subset)
        cache = self._decoded(rows, self.input_spec) if self.cache else None
        if cache and subset is None and self.unaligned:
            say("Note   Training images are kept by their box as well, for --data.unaligned.")
            self._decoded(self.split.rows(TRAINING), self._by_box)
        built = not self.cache and is_built(self.tree_path, self.split)
        if not self.cache and not built:
            check_images(self.split.legend, rows)
        if subset is None and not built:
            self._build_tree()
        self._prepared[subset] = cache

    def _build_tree(self) -> None:
        """Build the tree; a large one beside what goes on, as nothing of ours reads it."""
        if len(self.split.legend) <= _AT_ONCE or is_built(self.tree_path, self.split):
            build_tree(self.split, self.folder, self._name)
            return
        say(f"Note   The image folders are built beside the training, in '{self.tree_path}'.")

        tree: Future[Path] = Future()
        self._tree = tree

        def build() -> None:
            try:
                tree.set_result(build_tree(self.split, self.folder, self._name, quiet=True))
            except BaseException as error:  # raised where it is waited for
                tree.set_exception(error)

        Thread(target=build, daemon=True).start()  # what ends the process ends it; the next one begins anew

    def finish(self) -> None:
        """Wait for what is still being prepared.

        Raises:
            FERError: If the disk is full or the folder cannot be written.
        """
        tree, self._tree = self._tree, None
        if tree is not None:
            if not tree.done():
                say("Note   The image folders are not finished yet: waiting for them.")
            tree.result()

    def samples(self, subset: int) -> FaceSamples:
        """A subset as a data set of whole batches, in the order of `Split.rows`; images are decoded if need be."""
        if subset not in self._samples:
            legend, rows = self.split.legend, self.split.rows(subset)
            known = self._prepared.get(None) or self._prepared.get(subset)
            soft = self.soft_labels and subset == TRAINING
            targets = torch.from_numpy(legend.vote_distribution(rows)) if soft else None
            other = self._gather(rows, self._by_box) if self.unaligned and subset == TRAINING else None
            gather = self._gather(rows, self.input_spec, known)
            self._samples[subset] = FaceSamples(legend.labels[rows], gather, targets, other)
        return self._samples[subset]

    @property
    def _by_box(self) -> InputSpec:
        return replace(self.input_spec, align=False)

    def _gather(self, rows: np.ndarray, spec: InputSpec, known: Path | None = None) -> Gather:
        """What takes the images in these rows of the split so; from a cache, if it is known and there."""
        if self.cache:
            found = known if known and known.is_file() else self._decoded(rows, spec)
            return ReadDecoded(found, self._places(rows))
        spec.need_detector()
        legend = self.split.legend
        return partial(decode_files, spec, [legend.image_dir / legend.images[row] for row in rows])

    def _decoded(self, rows: np.ndarray, spec: InputSpec) -> Path:
        """The cache, with the images in these rows of the split decoded."""
        return decoded(self.legend, spec, self.folder, self._name, self._places(rows))

    def _places(self, rows: np.ndarray) -> np.ndarray:
        """The rows in the cache, which has room for all images, also those left out."""
        row_of = {image: row for row, image in enumerate(self.legend.images)}
        return np.array([row_of[self.split.legend.images[row]] for row in rows], np.int64)
