"""DataSet: all that the checks of an audit look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fer_lightning.audit.look_alikes import exact_duplicates, near_duplicates
from fer_lightning.data.image_metadata import ImageMetadata
from fer_lightning.data.legend import Legend
from fer_lightning.data.splits import Split
from fer_lightning.evaluation.predictions import Predictions


@dataclass(frozen=True)
class DataSet:
    """A data set as an audit sees it; `n` images.

    Attributes:
        legend: Its usable rows.
        problems: Line and message of every row that cannot be used.
        splits: Its split under every rule that the legend allows.
        rule: The rule that `fit` would use.
        metadata: `n`, of the image files.
        image_size: Height and width in pixels of the network's input.
        predictions: Of networks that were not trained on the images in question, with the legend's classes; or None.
    """

    legend: Legend
    problems: Sequence[tuple[int, str]]
    splits: Mapping[str, Split]
    rule: str
    metadata: Sequence[ImageMetadata]
    image_size: int
    predictions: Predictions | None = None

    @property
    def split(self) -> Split:
        """The split under the rule that `fit` would use."""
        return self.splits[self.rule]

    @cached_property
    def files(self) -> list[tuple[str, ImageMetadata]]:
        """Name and metadata of every image that can be decoded."""
        pairs = zip(self.legend.images, self.metadata, strict=True)
        return [(image, metadata) for image, metadata in pairs if not metadata.error]

    @cached_property
    def exact_duplicates(self) -> list[list[int]]:
        """Groups of the same file under several names, as rows of the legend."""
        return exact_duplicates(self.metadata)

    @cached_property
    def near_duplicates(self) -> list[tuple[int, int, float]]:
        """Pairs of images that look the same, as rows of the legend, with their correlation."""
        return near_duplicates(self.metadata)
