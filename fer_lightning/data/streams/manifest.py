"""The manifest of a stream: what is in it, and how to read it; written last, so that a stream without it is none."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fer_lightning import storage
from fer_lightning.data.data_info import TrainingData
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.legend_check import check_class_names
from fer_lightning.errors import FERError
from fer_lightning.values import (
    ValuesError,
    list_of,
    numbers_of,
    plain_dict,
    read_json,
    text_of,
    texts_of,
    whole_number,
)

MANIFEST = "fer_stream.json"
BEGUN = "fer_stream.begun"
"""There while a stream is being written."""

ROWS = "rows.json.gz"
"""Image names, labels, subsets, identities and further columns; only reports need them."""

_FORMAT = 1


@dataclass(frozen=True)
class Shard:
    """How many images of a subset are in its chunks: `images` in all, `per_chunk` in each but the last."""

    images: int
    per_chunk: int

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Shard:
        """What `asdict` gave; a ValuesError if it is something else."""
        most = 2**32 - 1
        return cls(*(whole_number(values.get(name), name, 1, most) for name in ("images", "per_chunk")))


@dataclass(frozen=True)
class Manifest:
    """What a stream holds; `c` classes.

    Attributes:
        class_names: `c` names.
        input_spec: How its images were decoded; mean and std are for the network and may be others later.
        training: What is to be known of the training images, without what a training chooses itself.
        votes_prior: `c` mean training targets with soft labels; empty without votes.
        counts: Images of each class in training, validation and testing.
        options: What the split was made with.
        asked: The options that were settled when it was written, and what they were.
        people: Number of identities.
        origin: Where the images came from, in words.
        warnings: What its user should know, one sentence each.
        shards: By the name of the subset; empty subsets have none.
    """

    class_names: tuple[str, ...]
    input_spec: InputSpec
    training: TrainingData
    votes_prior: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]
    options: dict[str, Any]
    asked: dict[str, Any]
    people: int
    origin: str
    warnings: tuple[str, ...]
    shards: dict[str, Shard]

    @property
    def table(self) -> np.ndarray:
        """int64 `(3, c)`: images of each class in each subset."""
        return np.array(self.counts, np.int64)

    def text(self) -> str:
        """As JSON."""
        values = asdict(replace(self, input_spec=InputSpec())) | {"input_spec": self.input_spec.to_dict()}
        return json.dumps({"format": _FORMAT} | values, indent=1) + "\n"

    @classmethod
    def read(cls, place: str) -> Manifest:
        """That of the stream in a folder or at an address.

        Raises:
            FERError: If it cannot be read, or says what it cannot say.
        """
        address = storage.joined(place, MANIFEST)
        shown = storage.without_secret(address)
        try:
            values = plain_dict(read_json(storage.read(address)), "the manifest")
            if values.get("format") != _FORMAT:
                raise FERError(
                    f"'{shown}' is of another version: expected format {_FORMAT}, found "
                    f"{str(values.get('format'))[:20]}. Make the stream again with `prepare`."
                )
            names = check_class_names(texts_of(values, "class_names"), "--data.root")
            rows = list_of(values, "counts")
            counts = tuple(tuple(whole_number(n, "counts", 0, 10**12) for n in list(row)) for row in rows)
            if len(counts) != len(SUBSETS) or any(len(row) != len(names) for row in counts):
                raise ValuesError("counts are not those of three subsets of its classes")
            shards = plain_dict(values.get("shards"), "shards")
            found = {name: Shard.from_dict(plain_dict(shards[name], name)) for name in SUBSETS if name in shards}
            if [found[name].images if name in found else 0 for name in SUBSETS] != [sum(row) for row in counts]:
                raise ValuesError("counts are not those of the shards")
            return cls(
                class_names=names,
                input_spec=InputSpec.from_dict(plain_dict(values.get("input_spec"), "input_spec")),
                training=TrainingData.from_dict(plain_dict(values.get("training"), "training")),
                votes_prior=numbers_of(values, "votes_prior", 0, 1),
                counts=counts,
                options=plain_dict(values.get("options"), "options"),
                asked=plain_dict(values.get("asked"), "asked"),
                people=whole_number(values.get("people"), "people", 1, 10**12),
                origin=text_of(values, "origin"),
                warnings=texts_of(values, "warnings"),
                shards=found,
            )
        except (ValuesError, TypeError) as error:
            raise FERError(f"'{shown}' is damaged: {error}. Make the stream again with `prepare`.") from None


def is_stream(place: str) -> bool:
    """Whether there is a stream in a folder or at an address; an FERError if that cannot be found out."""
    if storage.is_address(place):
        return storage.exists(storage.joined(place, MANIFEST))
    return os.path.isfile(os.path.join(os.path.expanduser(place), MANIFEST))
