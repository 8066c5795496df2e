"""Data sets with a `legend.csv` beside `images/`, the form of our own."""

import os
from collections.abc import Sequence

from fer_lightning.data.legend import Conflicts, Legend, OnError, locate_legend
from fer_lightning.data.legend_rows import normalised_classes
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.table import read_table


class LegendCsv(DataSource):
    """A folder with a `legend.csv` and `images/`.

    Args:
        root: Folder of the data set: `data/legend.csv` or `legend.csv`, and `images/`.
        legend: The legend file, if it is elsewhere.
        images: The image folder, if it is elsewhere.
        classes: The class list, in the order of the network's outputs; without it, the labels found in the legend.
        columns: Headings by role: image, label, split, identity, user.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        on_error: A row that cannot be used is an error, or dropped.
        follow_links: Whether links to files outside the image folder are taken.
        label_names: What labels that are numbers mean, in their order; None takes the class list.
    """

    def __init__(
        self,
        root: str = ".",
        legend: str | None = None,
        images: str | None = None,
        classes: list[str] | None = None,
        columns: dict[str, str] | None = None,
        conflicts: Conflicts = "drop",
        on_error: OnError = "error",
        follow_links: bool = False,
        label_names: Sequence[str] | None = None,
    ) -> None:
        self.label_names = label_names
        self.root, self.legend, self.images, self.columns = root, legend, images, columns
        self.conflicts, self.on_error, self.follow_links = conflicts, on_error, follow_links
        self.class_names = normalised_classes(classes) if classes is not None else None

    def read(self) -> Legend:
        """Find the legend and read it, see `fer_lightning.data.sources.table.read_table`."""
        path, images = locate_legend(self.root, self.legend, self.images)
        strict = self.on_error == "error"
        options = (strict, self.columns, self.follow_links, self.label_names)
        return read_table(path, images, self.class_names, self.conflicts, *options)


def read_legend(
    path: str | os.PathLike[str],
    image_dir: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    conflicts: Conflicts = "drop",
    strict: bool = True,
) -> Legend:
    """Read a legend whose image folder is known; see `read_table`."""
    return read_table(path, image_dir, classes, conflicts, strict)
