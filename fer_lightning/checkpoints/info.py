"""CheckpointInfo: all that a checkpoint, an exported file and a model card say about a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fer_lightning.checkpoints.compatibility import upgraded
from fer_lightning.data.data_info import TrainingData
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.model.class_prior import ClassPrior
from fer_lightning.version import __version__

FORMAT = 2
"""Raised when older code could not read what a file says."""

KEY = "fer_lightning"
"""Name under which a file says it."""


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

    def to_dict(self) -> dict[str, Any]:
        """In the plain values that a checkpoint or JSON can hold."""
        return {"format": FORMAT} | asdict(self, dict_factory=_plain)

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
            return cls._read(json.loads(values) if isinstance(values, str | bytes) else values, path)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FERError(f"'{path}' is damaged: what it says about itself cannot be read ({error!r}).") from None

    @classmethod
    def _read(cls, values: Any, path: Any) -> CheckpointInfo:
        if not isinstance(values, Mapping) or not isinstance(values.get("format"), int):
            raise FERError(f"'{path}' does not say how to use its weights: expected a file written by fer_lightning.")
        if values["format"] > FORMAT:
            raise FERError(
                f"'{path}' was written by fer_lightning {values.get('version')} in format {values['format']}; "
                f"this version reads up to format {FORMAT}. Update fer_lightning."
            )
        known = upgraded(values)
        given = {item.name: known[item.name] for item in fields(cls) if item.name in known}
        given["class_names"] = tuple(given["class_names"])
        given["learned_prior"] = tuple(given.get("learned_prior", ()))
        given["input_spec"] = InputSpec(**given["input_spec"])
        given["training"] = TrainingData.from_dict(given["training"]) if given.get("training") else None
        return cls(**given)


def _plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in pairs}
