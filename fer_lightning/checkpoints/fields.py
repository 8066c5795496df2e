"""What the fields of CheckpointInfo may be: a file can say anything."""

from collections.abc import Mapping, Sequence
from typing import Any

from fer_lightning.data.data_info import TrainingData
from fer_lightning.names import MOST_CLASSES, complaint, twins
from fer_lightning.values import (
    ValuesError,
    list_of,
    number,
    numbers_of,
    plain_dict,
    text_of,
    texts_of,
    wrong,
)


def class_names(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of classes: each one that a folder can have, none twice."""
    names = texts_of(values, "class_names")
    if not 1 <= len(names) <= MOST_CLASSES:
        raise wrong("class_names", f"a list of 1 to {MOST_CLASSES:,} names", f"{len(names):,} names")
    for place, name in enumerate(names):
        if why := complaint(name):
            raise ValuesError(f"class_names[{place}] cannot be the name of a class: {why}")
    if two := twins(names):
        raise wrong("class_names", "names that cannot be taken for one", list(two))
    return names


def network(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """`class_path` and `init_args` of a network."""
    if values.get("network") is None:
        return None
    described = plain_dict(values["network"], "network")
    text_of(described, "class_path", longest=300)
    if not described.get("class_path"):
        raise ValuesError("network has no class_path")
    for name in ("init_args", "dict_kwargs"):
        plain_dict(described.get(name) or {}, f"network.{name}")
    return described


def prior(values: Mapping[str, Any], name: str, classes: int) -> tuple[float, ...]:
    """Frequencies of all classes, which add up to 1; or none."""
    found = numbers_of(values, name, 0, 1)
    if found and (len(found) != classes or abs(sum(found) - 1) > 0.01):
        raise wrong(name, f"{classes} frequencies that add up to 1", list(found))
    return found


def learned_prior(found: tuple[float, ...], training: TrainingData | None) -> tuple[float, ...]:
    """The learned frequencies, 0 for classes without training images: earlier versions said half an image."""
    if not found or training is None or not training.class_counts:
        return found
    targets = training.target_prior or (0.0,) * len(found)
    shown = [count > 0 or target > 0 for count, target in zip(training.class_counts, targets, strict=True)]
    kept = [value if there else 0.0 for value, there in zip(found, shown, strict=True)]
    total = sum(kept)
    return found if all(shown) or not total else tuple(value / total for value in kept)


def class_prior(values: Mapping[str, Any], classes: int) -> Any:
    """`training`, `uniform`, a power, or frequencies."""
    value = values.get("class_prior", "training")
    if isinstance(value, str) and value in ("training", "uniform"):
        return value
    if isinstance(value, list | tuple):
        prior(values, "class_prior", classes)
        return list(value)
    return number(value, "class_prior", 0, 10)


def risk_curve(values: Mapping[str, Any]) -> list[list[float]]:
    """Rows of threshold, coverage and risk."""
    rows = list_of(values, "risk_curve", 10_000)
    for place, row in enumerate(rows):
        numbers = numbers_of({"row": row}, "row", 0, 1.01)
        if len(numbers) != 3:
            raise wrong(f"risk_curve[{place}]", "three numbers", row)
    return [list(row) for row in rows]


def fits(name: str, found: Sequence[Any], classes: int) -> None:
    """A ValuesError if there are numbers for classes, but not one for each."""
    if found and len(found) != classes:
        raise wrong(name, f"a list of {classes}, one a class", f"a list of {len(found)}")
