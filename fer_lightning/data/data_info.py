"""What a data set tells the training: classes, input, frequencies, where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.errors import FERError
from fer_lightning.names import printable
from fer_lightning.values import ValuesError, flag_of, list_of, numbers_of, text_of, texts_of, whole_number

LONGEST_LICENSE = 10_000
"""Characters of what is said about a license."""


def check_license(text: str) -> None:
    """Raise FERError if a license is too long to be written into every checkpoint."""
    if len(text) > LONGEST_LICENSE:
        raise FERError(
            f"Invalid value for --data.license. Expected at most {LONGEST_LICENSE:,} characters, such as its name "
            f"and address. Received: {len(text):,}."
        )


@dataclass(frozen=True)
class TrainingData:
    """What a network was trained on, in plain values; `c` classes.

    Attributes:
        names: Of the data sets, for people.
        license: Under which license images and labels may be used; empty if nobody said.
        class_counts: `c` numbers of training images.
        target_prior: `c` mean training targets, adding up to 1: the class frequencies, or those of the votes.
        draws: `c` expected draws of an image of the class in an epoch; empty where all come once.
        batch_size: Images in a training batch on each device; 0 if not known.
        split: The rule by which images were divided.
        split_fingerprint: Changes with every image, label and subset.
        leakage_fingerprint: A sample of the training images, to find them again in a test.
        validates_on_test: Whether the testing subset serves for validation too.
    """

    names: tuple[str, ...] = ()
    license: str = ""
    class_counts: tuple[int, ...] = ()
    target_prior: tuple[float, ...] = ()
    draws: tuple[float, ...] = ()
    batch_size: int = 0
    split: str = ""
    split_fingerprint: str = ""
    leakage_fingerprint: tuple[str, ...] = ()
    validates_on_test: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingData:
        """What `CheckpointInfo.to_dict` gave under `training`.

        Raises:
            ValuesError: If a value is of another kind, or a name is not known.
        """
        if unknown := set(values) - {item.name for item in fields(cls)}:
            raise ValuesError(f"training has no '{printable(str(min(map(str, unknown)))[:100])}'")
        counts = enumerate(list_of(values, "class_counts"))
        return cls(
            names=texts_of(values, "names"),
            license=text_of(values, "license", longest=LONGEST_LICENSE),
            class_counts=tuple(whole_number(x, f"training.class_counts[{place}]", 0, 10**12) for place, x in counts),
            target_prior=numbers_of(values, "target_prior", 0, 1),
            draws=numbers_of(values, "draws", 0, 1e12),
            batch_size=whole_number(values.get("batch_size", 0), "training.batch_size", 0, 10**9),
            split=text_of(values, "split"),
            split_fingerprint=text_of(values, "split_fingerprint"),
            leakage_fingerprint=texts_of(values, "leakage_fingerprint"),
            validates_on_test=flag_of(values, "validates_on_test"),
        )


@dataclass(frozen=True)
class DataInfo:
    """What a network has to know of its data.

    Attributes:
        class_names: Names of the classes, in the order of the network's outputs.
        input_spec: How an image becomes the network's input.
        training: What is trained on, where that is known; priors, logit adjustment and schedules need it.
    """

    class_names: tuple[str, ...] = EXPRESSIONS
    input_spec: InputSpec = field(default_factory=InputSpec)
    training: TrainingData = TrainingData()
