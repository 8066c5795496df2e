"""What is about to be used, in a few lines for the terminal."""

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.decoded_cache import size_of
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.sources.synthetic import SyntheticFaces
from fer_lightning.data.streams.subsets import StreamSubsets
from fer_lightning.reports.page import filled


def describe(data: FERDataModule) -> str:
    """Data set, split, images of each class in each subset, size of the cache, and what was noticed on the way."""
    if isinstance(data.subsets, StreamSubsets):
        counts = zip(SUBSETS, data.subsets.counts, strict=True)
        return filled("stream.txt", data=data, shown=[(name, row) for name, row in counts if row.any()])
    split = data.split
    return filled(
        "data.txt",
        data=data,
        synthetic=isinstance(data.subsets.sources[0], SyntheticFaces),
        forms=list(dict.fromkeys(legend.format for legend in data.subsets.legends)),
        people=len(set(split.identities)),
        shown=[(name, counts) for name, counts in zip(SUBSETS, split.counts, strict=True) if counts.any()],
        megabytes=size_of(data.legend, data.input_spec) / 1e6,
    )
