"""What data sets call the parts of a split."""

import re

from fer_lightning.data.legend import SUBSETS

_PARTS = {
    "training": "train training trainset trainingset",
    "validation": "val valid validation dev development valset validationset publictest",
    "testing": "test testing testset testingset privatetest",
}
_BESIDE = frozenset({"image", "images", "img", "imgs", "data", "set", "dataset", "folder", "faces", "fer", "split"})
_PART_OF = {word: SUBSETS.index(name) for name, words in _PARTS.items() for word in words.split()}


def part_of(name: str) -> int | None:
    """The index into `SUBSETS` that a name such as `train`, `test_images` or `PublicTest` means; None if it is none."""
    words = [word for word in re.split(r"[\W_\d]+", name.lower()) if word and word not in _BESIDE]
    return _PART_OF.get("".join(words))
