"""The rows of a stream: which image is where, whose it is and what else is known of it; for reports."""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np

from fer_lightning import storage
from fer_lightning.data.legend import SUBSETS, Legend
from fer_lightning.data.splits import Split
from fer_lightning.data.streams.manifest import ROWS, Manifest
from fer_lightning.errors import FERError

_TEXTS = ("images", "users", "identities")
_LARGEST = 2**34
"""Bytes of rows when unpacked: more is no table of images."""


def rows_of(split: Split) -> bytes:
    """What `read_rows` reads: the rows of a split, in JSON, packed; the same bytes whenever the rows are the same."""
    legend = split.legend
    table = {
        "images": legend.images,
        "labels": legend.labels.tolist(),
        "subsets": split.subsets.tolist(),
        "identities": split.identities,
        "users": legend.users,
        "attributes": dict(legend.attributes),
    }
    return gzip.compress(json.dumps(table).encode("ascii"), 6, mtime=0)


def read_rows(place: str, manifest: Manifest, folder: Path) -> Split:
    """The split that a stream was made of, without votes.

    Args:
        place: Folder or address of the stream.
        manifest: What it says of itself.
        folder: The folder that image names are said to be relative to; the images need not be there.

    Raises:
        FERError: If the rows cannot be had, or are not those of the stream.
    """
    address = storage.joined(place, ROWS)
    packed = storage.read(address)
    try:
        unpacker = zlib.decompressobj(31)
        content = unpacker.decompress(packed, _LARGEST)
        if not unpacker.eof:
            raise ValueError("it ends too early, or is too large")
        table = json.loads(content)
        labels, subsets = (np.array(table[name], np.int64) for name in ("labels", "subsets"))
        attributes = {str(name): [str(one) for one in values] for name, values in table["attributes"].items()}
        texts = {name: [str(one) for one in table[name]] for name in _TEXTS}
        classes, count = len(manifest.class_names), int(manifest.table.sum())
        lengths = {len(labels), len(subsets), *(len(one) for one in (*texts.values(), *attributes.values()))}
        if lengths != {count} or not ((labels >= 0) & (labels < classes) & (subsets >= 0) & (subsets < 3)).all():
            raise ValueError("its columns do not fit each other")
        legend = Legend(
            path=folder / ROWS,
            image_dir=folder,
            images=texts["images"],
            labels=labels,
            class_names=manifest.class_names,
            users=texts["users"],
            ranks=np.zeros(count, np.int64),
            class_rows=np.bincount(labels, minlength=classes),
            declared=subsets.astype(np.int8),
            identities=texts["identities"],
            votes=None,
            warnings=(),
            attributes=attributes,
            format=f"a stream of {len(SUBSETS)} subsets",
        )
        split = Split(legend, subsets.astype(np.int8), texts["identities"], manifest.options, manifest.warnings)
        if split.fingerprint != manifest.training.split_fingerprint:
            raise ValueError("they are not the rows of this stream")
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError) as error:
        shown = storage.without_secret(address)
        raise FERError(f"The stream is damaged: '{shown}', {error}. Make it again with `prepare`.") from None
    return split
