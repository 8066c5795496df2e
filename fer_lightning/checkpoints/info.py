"""CheckpointInfo: all that a checkpoint, an exported file and a model card say about a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from fer_lightning.checkpoints import fields as checked
from fer_lightning.checkpoints.compatibility import upgraded
from fer_lightning.data.data_info import TrainingData
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.model.class_prior import ClassPrior
from fer_lightning.names import printable
from fer_lightning.values import ValuesError, flag_of, number, plain_dict, read_json, read_settings, shown, text_of
from fer_lightning.version import __version__

FORMAT = 2
"""Raised when older code could not read what a file says."""

KEY = "fer_lightning"
"""Name under which a file says it."""


TEMPERATURES = (1e-3, 1e3)
"""The range of temperatures; a training fits one of 0.05 to 20."""


class NotOursError(FERError):
    """A file that is not of this program, or of a later version of it."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What a file says about its model; `c` classes.

    Attributes:
        class_names: `c` names of the network's outputs.
        input_spec: How an image becomes the network's input.
        network: `class_path` and `init_args` of the network; None if it cannot be made again from its name.
        temperature: Divides logits before softmax.
        learned_prior: `c` class frequencies that the answers are for as learned; empty if not known.
        class_prior: The class frequencies that its training set it up to answer for.
        tta_flip: Whether it answers with the mean of an image and its mirror image.
        risk_curve: Rows of threshold, coverage and risk on the validation images; empty if not measured.
        training: What it was trained on; None if not known.
        started_from: The weights that its training started from.
        teacher: The model whose answers were a part of every target.
        measured: The main figures of its last test.
        config: The whole configuration of its training in YAML; empty after a training in Python, and in exports.
        version: The version of fer_lightning that wrote it.
    """

    class_names: tuple[str, ...]
    input_spec: InputSpec
    network: dict[str, Any] | None = None
    temperature: float = 1.0
    learned_prior: tuple[float, ...] = ()
    class_prior: ClassPrior = "training"
    tta_flip: bool = False
    risk_curve: list[list[float]] = field(default_factory=list)
    training: TrainingData | None = None
    started_from: str = ""
    teacher: str = ""
    measured: dict[str, Any] = field(default_factory=dict)
    config: str = ""
    version: str = __version__

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the configuration of its training says, within bounds; empty without one.

        Raises:
            FERError: If it cannot be read.
        """
        try:
            return read_settings(self.config)
        except ValuesError as error:
            raise FERError(f"The configuration of its training cannot be read: {error}.") from None

    def to_dict(self) -> dict[str, Any]:
        """In the plain values that a checkpoint or JSON can hold."""
        values = asdict(self, dict_factory=_plain)
        return {"format": FORMAT} | values | {"input_spec": self.input_spec.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | str | bytes, path: Any) -> CheckpointInfo:
        """What `to_dict` gave, in this version or in an earlier one.

        Args:
            values: The plain values, or JSON of them.
            path: The file they are from, for messages.

        Raises:
            FERError: If a newer version wrote them, or they are not what `to_dict` gives.
        """
        try:
            values = read_json(values) if isinstance(values, str | bytes) else values
            made = values.get("format") if isinstance(values, Mapping) else None
            if isinstance(made, bool) or not isinstance(made, int) or made < 1:
                raise NotOursError(
                    f"'{path}' does not say how to use its weights: expected a file written by fer_lightning."
                )
            if made <= FORMAT:
                return cls._read(values)
        except NotOursError:
            raise
        except (ValuesError, FERError) as error:
            raise FERError(f"'{path}' is damaged: what it says about itself cannot be used: {error}.") from None
        version = str(shown(values.get("version"))).strip("'")
        raise FERError(
            f"'{path}' was written by fer_lightning {version} in format {shown(made)}; this version reads up to format "
            f"{FORMAT}. Update fer_lightning."
        )

    @classmethod
    def _read(cls, values: Mapping[str, Any]) -> CheckpointInfo:
        try:
            known = upgraded(plain_dict(dict(values), "it"))
        except ValuesError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValuesError(f"its form of an earlier version ({printable(repr(error))[:200]})") from None
        names = checked.class_names(known)
        classes = len(names)
        training = known.get("training")
        about = TrainingData.from_dict(plain_dict(training, "training")) if training is not None else None
        if about:
            for name in ("class_counts", "target_prior", "draws"):
                checked.fits(f"training.{name}", getattr(about, name), classes)
        return cls(
            class_names=names,
            input_spec=InputSpec.from_dict(plain_dict(known.get("input_spec"), "input_spec")),
            network=checked.network(known),
            temperature=number(known.get("temperature", 1.0), "temperature", *TEMPERATURES),
            learned_prior=checked.learned_prior(checked.prior(known, "learned_prior", classes), about),
            class_prior=checked.class_prior(known, classes),
            tta_flip=flag_of(known, "tta_flip"),
            risk_curve=checked.risk_curve(known),
            training=about,
            started_from=text_of(known, "started_from"),
            teacher=text_of(known, "teacher"),
            measured=plain_dict(known.get("measured", {}), "measured", finite=True),
            config=text_of(known, "config", longest=2**20),
            version=text_of(known, "version", __version__, longest=100),
        )


def _plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in pairs}
