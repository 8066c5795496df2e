"""The two ends of a check: the data set that it looks at, the findings that it makes."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from fer_lightning.audit.confident_learning import LabelIssues, confident_learning
from fer_lightning.data.image_metadata import ImageMetadata
from fer_lightning.data.legend import Legend
from fer_lightning.data.splits import Split
from fer_lightning.evaluation.predictions import Predictions

Severity = Literal["serious", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "info")
"""The gravest first: `serious` makes results wrong, `warning` makes them worse or harder to read, `info` is good to
know."""

_TEXTS = tomllib.loads(Path(__file__).with_name("findings.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class DataSet:
    """A data set as an audit sees it; `n` images."""

    legend: Legend  # its usable rows
    splits: Mapping[str, Split]  # under every rule that the legend allows
    rule: str  # the one that `fit` would use
    metadata: Sequence[ImageMetadata]  # `n`, of the image files
    image_size: int  # height and width in pixels of the network's input
    predictions: Predictions | None  # of networks that were not trained on these images, with the legend's classes

    @property
    def split(self) -> Split:
        """The split under the rule that `fit` would use."""
        return self.splits[self.rule]

    @cached_property
    def issues(self) -> LabelIssues | None:
        """What confident learning says of the predictions, if there are any."""
        known = self.predictions
        return None if known is None else confident_learning(known.labels, known.probabilities)

    @cached_property
    def files(self) -> list[tuple[str, ImageMetadata]]:
        """Name and metadata of every image that can be decoded."""
        pairs = zip(self.legend.images, self.metadata, strict=True)
        return [(image, metadata) for image, metadata in pairs if not metadata.error]


@dataclass(frozen=True)
class Exhibit:
    """Images to show beside a finding, by their names, with the lines beneath them."""

    images: Sequence[str]
    caption: Sequence[str]


@dataclass(frozen=True)
class Finding:
    """One thing to know about a data set."""

    name: str  # stable, for programs
    severity: Severity
    title: str  # what was found, in one sentence with its figures
    columns: tuple[str, ...] = ()  # headings of `rows`
    rows: Sequence[tuple[str, ...]] = ()  # the details
    figures: dict[str, float] = field(default_factory=dict)  # the numbers in it, for programs
    exhibits: Sequence[Exhibit] = ()
    copies: Sequence[str] = ()  # images that training can do without, for duplicates.csv
    meaning: str = ""  # for training and measuring; without it, that in findings.toml
    remedy: str = ""  # what to do; without it, that in findings.toml

    def __post_init__(self) -> None:
        for name, text in _TEXTS.get(self.name, {}).items():
            object.__setattr__(self, name, getattr(self, name) or text.format(**self.figures))
