"""Whether images that a network was trained on are among those it is tested on."""

import hashlib
from collections.abc import Sequence

from fer_lightning.data.splits import TRAINING, Split

SIZE = 128
"""Images in a fingerprint; a leak of 5 % of the images is missed once in 700 times."""


def leakage_fingerprint(split: Split) -> list[str]:
    """A sample of the training images, the same whatever else is there (bottom-k MinHash, Broder 1997).

    It has the `SIZE` smallest digests of name and label, 16 hexadecimal digits each, or fewer where images are fewer.
    Folders do not count, as data sets used together have theirs in front.
    """
    return sorted(_digests(split, TRAINING))[:SIZE]


def leaked_fraction(fingerprint: Sequence[str], split: Split, subset: int) -> float:
    """The fraction of the images in a `leakage_fingerprint`, 0 to 1, that are in a subset of a split."""
    return len(set(fingerprint) & set(_digests(split, subset))) / max(len(fingerprint), 1)


def _digests(split: Split, subset: int) -> list[str]:
    names, images, labels = split.legend.class_names, split.legend.images, split.legend.labels
    rows = (split.subsets == subset).nonzero()[0].tolist()
    known = (f"{names[labels[row]]}\t{images[row].rpartition('/')[2]}" for row in rows)
    return [hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16] for text in known]
