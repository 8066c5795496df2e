"""The subsets of a stream; what `Subsets` is for data on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer_lightning import storage
from fer_lightning.data.batches import FaceSamples
from fer_lightning.data.data_info import TrainingData
from fer_lightning.data.identities import IDENTITY_PATTERN
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import SUBSETS, Legend
from fer_lightning.data.splits import TESTING, TRAINING, VALIDATION, Split
from fer_lightning.data.streams.chunks import LANES, Chunks, litdata
from fer_lightning.data.streams.manifest import Manifest, is_stream
from fer_lightning.data.streams.order import in_lanes
from fer_lightning.data.streams.rows import read_rows
from fer_lightning.errors import FERError

_DECODING = ("image_size", "color", "interpolation", "framing", "margin", "detector")
"""Of an input specification, what the pixels of a stream depend on."""


_USUAL = {
    "split": None,
    "train_fraction": 0.8,
    "val_fraction": 0.1,
    "split_seed": 0,
    "identity": IDENTITY_PATTERN,
    "folds": 5,
    "conflicts": "drop",
    "on_error": "error",
    "unaligned": 0.0,
}
"""What options that are settled once a stream is written are if nobody says anything; others are then None."""


def stream_subsets(
    root: str | list[str] | None,
    settled: Mapping[str, Any],
    classes: tuple[str, ...] | None,
    soft_labels: bool,
    input_spec: InputSpec,
    folder: str,
    cache: bool,
) -> StreamSubsets | None:
    """The stream that `--data.root` names; None if it names something else.

    Args:
        root: As of `FERDataModule`.
        settled: Its options that are settled once a stream is written, and what was given for them.
        classes: The class list, if one was given.
        soft_labels: Whether to train towards the annotators' votes.
        input_spec: What a network is to get.
        folder: Where what is fetched is kept.
        cache: Whether to keep it.

    Raises:
        FERError: If it is a stream that was written with other options, or there are several.
    """
    roots = list(root) if isinstance(root, list | tuple) else [str(root)] if root else []
    streams = [one for one in roots if is_stream(one)]
    if not streams:
        return None
    shown = storage.without_secret(streams[0])
    if len(roots) > 1:
        raise FERError(
            f"Invalid value for --data.root. '{shown}' is a stream, which is read alone. To train on several data "
            "sets, make one stream of them: `prepare` takes the list."
        )
    subsets = StreamSubsets(streams[0], input_spec, soft_labels, folder, cache)
    if settled.get("unaligned"):
        raise one_look()
    written = {name: subsets.manifest.asked.get(name, _USUAL.get(name)) for name in settled}
    asked = {name: value for name, value in settled.items() if value != _USUAL.get(name)}
    if classes:
        written["classes"], asked["classes"] = list(subsets.class_names), list(classes)
    for name, value in asked.items():
        if value != written[name]:
            raise FERError(
                f"Invalid value for --data.{name}. The stream '{shown}' was made with {written[name]}, and that is "
                f"settled. Received: {value}. Leave the option away, or make another stream."
            )
    return subsets


def one_look() -> FERError:
    """Why a training cannot have two looks at the images of a stream."""
    return FERError("Invalid value for --data.unaligned. A stream has one look at each image: set it to 0.")


class StreamSubsets:
    """The samples, and what is known of them, from a folder or an address that `prepare` has written.

    Args:
        place: The folder or address.
        input_spec: What a network is to get; images have to have been decoded for it.
        soft_labels: Whether to train towards the annotators' votes.
        folder: Where what is fetched is kept, in a folder of its own.
        cache: Whether to keep all that is fetched, as far as there is room.

    Raises:
        FERError: If there is no stream that can be read, or it is for another input.
    """

    def __init__(self, place: str, input_spec: InputSpec, soft_labels: bool, folder: str, cache: bool) -> None:
        litdata()
        self.place = place if storage.is_address(place) else str(Path(place).expanduser())
        self.manifest = Manifest.read(self.place)
        self.input_spec, self.soft_labels, self.cache = input_spec, soft_labels, cache
        self.remote, self.shown = storage.is_address(place), storage.without_secret(place)
        self.copies = storage.local_copies(place, Path(folder).expanduser())
        self._samples: dict[int, FaceSamples] = {}
        self._check_input()
        if soft_labels and not self.manifest.votes_prior:
            raise FERError(f"--data.soft_labels needs annotators' votes; the stream '{self.shown}' has none.")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class list."""
        return self.manifest.class_names

    @property
    def counts(self) -> np.ndarray:
        """int64 `(3, c)`: images of each class in each subset."""
        return self.manifest.table

    @property
    def order(self) -> str:
        """What the order of an epoch depends on, besides seed and devices; in lanes, also how the chunks were cut."""
        shard, known = self.manifest.shards[SUBSETS[TRAINING]], self.manifest.training.split_fingerprint
        return f"{known}, {LANES} lanes of {shard.per_chunk}" if in_lanes(shard, self._shape) else known

    @property
    def training(self) -> TrainingData:
        """What is to be known of the training images."""
        known = self.manifest.training
        return replace(known, target_prior=self.manifest.votes_prior) if self.soft_labels else known

    @property
    def validation(self) -> int:
        """Which subset serves for validation: the testing one if there is no other."""
        return VALIDATION if self.counts[VALIDATION].any() else TESTING

    @cached_property
    def split(self) -> Split:
        """Every image's name and subset, fetched at first use: only reports need it."""
        return read_rows(self.place, self.manifest, self.copies)

    @property
    def legend(self) -> Legend:
        """All images."""
        return self.split.legend

    def check_folds(self) -> None:
        """Nothing to check: a stream has no folds."""

    def prepare(self, subset: int | None = None) -> None:
        """Nothing to prepare: what is needed is fetched when it is."""

    def finish(self) -> None:
        """Nothing to wait for."""

    def samples(self, subset: int) -> FaceSamples:
        """A subset as a data set of whole batches, numbered as the rows of its split are."""
        if subset not in self._samples:
            name = SUBSETS[subset]
            place, folder = storage.joined(self.place, name), self.copies / name if self.remote else None
            chunks = Chunks(place, folder, self.manifest.shards[name], self._shape, keep=self.cache)
            if subset == TRAINING:
                chunks.positions = self._positions(chunks)
            labels = np.asarray(chunks.array("labels.npy"), np.int64)
            if not np.array_equal(np.bincount(labels, minlength=len(self.class_names)), self.counts[subset]):
                raise FERError(f"The stream is damaged: the labels of '{name}' are not those that it was made with.")
            soft = self.soft_labels and subset == TRAINING
            targets = torch.from_numpy(np.array(chunks.array("votes.npy"), np.float32)) if soft else None
            self._samples[subset] = FaceSamples(labels, chunks, targets)
        return self._samples[subset]

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.input_spec.channels, self.input_spec.image_size, self.input_spec.image_size

    def _positions(self, chunks: Chunks) -> np.ndarray:
        """Where each training image stands: they were mixed when they were written."""
        positions = np.asarray(chunks.array("positions.npy"), np.uint32)
        seen = np.zeros(len(positions), bool)
        seen[positions[positions < len(positions)]] = True
        if not seen.all():
            raise FERError("The stream is damaged: 'positions.npy' does not name every place once.")
        return positions

    def _check_input(self) -> None:
        """Raise FERError if the images were decoded for another input than is asked for."""
        written = self.manifest.input_spec
        names = _DECODING if written.finds or self.input_spec.finds else _DECODING[:4]
        other = [name for name in names if getattr(written, name) != getattr(self.input_spec, name)]
        if other:
            options = [name.replace("framing", "faces") for name in other]
            asked = ", ".join(
                f"{option} {getattr(self.input_spec, name)}" for option, name in zip(options, other, strict=True)
            )
            settings = " ".join(
                f"--data.{option} {getattr(written, name)}" for option, name in zip(options, other, strict=True)
            )
            raise FERError(
                f"The images of the stream '{self.shown}' were decoded for another input than {asked}. Take it as it "
                f"is, with {settings}, or make another stream."
            )
