"""Hold groups of images out so that every class keeps its frequency.

Pure: order is drawn by hashing names, so it depends neither on a library's random generator nor on the order of rows.
"""

import hashlib

import numpy as np

from fer_lightning.data.legend import Legend


def numbered(names: list[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The number of each name's group, int64 `(n,)`, and an order key for each group, uint64 `(groups,)`.

    Equal names are a group; its key is drawn from the name and the seed.
    """
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
    salt = str(seed).encode()
    texts = (name.encode(errors="surrogatepass") for name in numbers)
    digests = b"".join(hashlib.blake2b(text, digest_size=8, salt=salt[:16]).digest() for text in texts)
    return groups, np.frombuffer(digests, "<u8")


def reordered(keys: np.ndarray) -> np.ndarray:
    """Another order from the same keys (the finaliser of SplitMix64), so that validation is an independent draw."""
    with np.errstate(over="ignore"):
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = keys ^ (keys >> np.uint64(31))
    return mixed


def hold_out(groups: np.ndarray, keys: np.ndarray, legend: Legend, eligible: np.ndarray, fraction: float) -> np.ndarray:
    """Choose whole groups so that about `fraction` of each class's eligible rows (bool `(n,)`) is held out.

    Groups of two rows or more come first, larger ones before smaller ones (in powers of two, drawn within): each goes
    where the fraction of held-out rows among those placed so far stays closest to `fraction` for its classes. Groups of
    one row then fill every class up to its exact number. `groups` and `keys` are what `numbered` gives.

    Returns:
        bool `(n,)`, true for the rows that are held out.
    """
    classes = len(legend.class_names)
    table = np.bincount((groups * classes + legend.labels)[eligible], minlength=len(keys) * classes)
    table = table.reshape(len(keys), classes)
    sizes, totals = table.sum(1), table.sum(0)
    held = np.zeros(len(keys), bool)

    several = np.flatnonzero(sizes > 1)
    several = several[np.lexsort((keys[several], -np.floor(np.log2(sizes[several]))))]
    placed, taken = [0] * classes, [0] * classes
    weights = [1 / max(total, 1) ** 2 for total in totals.tolist()]
    for group, row in zip(several.tolist(), table[several].tolist(), strict=True):
        gain = 0.0
        for label, count in enumerate(row):
            if count:
                placed[label] += count
                behind = fraction * placed[label] - taken[label]
                gain += weights[label] * (behind**2 - (behind - count) ** 2)
        if gain > 0:
            held[group] = True
            for label, count in enumerate(row):
                taken[label] += count

    single = np.flatnonzero(sizes == 1)
    single = single[np.argsort(keys[single], kind="stable")]
    single_label = table[single].argmax(1)
    for label in range(classes):
        own = single[single_label == label]
        wanted = int(np.floor(fraction * totals[label] + 0.5)) - taken[label]
        held[own[: max(wanted, 0)]] = True
        _both_sides(held, table, keys, label)
    chosen: np.ndarray = eligible & held[groups]
    return chosen


def fold_numbers(groups: np.ndarray, keys: np.ndarray, legend: Legend, folds: int) -> np.ndarray:
    """The fold of each row, int64 `(n,)`: each fold is held out of what the ones before it have left."""
    numbers, left = np.full(len(legend), folds - 1), np.ones(len(legend), bool)
    for fold in range(folds - 1):
        chosen = hold_out(groups, keys, legend, left, 1 / (folds - fold))
        numbers[chosen] = fold
        left &= ~chosen
    return numbers


def _both_sides(held: np.ndarray, table: np.ndarray, keys: np.ndarray, label: int) -> None:
    """Move the smallest group over if a class with two groups or more would stand on one side only."""
    own = np.flatnonzero(table[:, label])
    if len(own) >= 2 and held[own].all() != (~held[own]).all():
        smallest = own[np.lexsort((keys[own], table[own].sum(1)))[0]]
        held[smallest] = ~held[smallest]
