"""Words for expressions: what data sets call the eight, matched with the names that are used here."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from fer_lightning.errors import FERError
from fer_lightning.names import of_cell

_WORDS = {
    "anger": "angry anger",
    "contempt": "contemptuous contempt",
    "disgust": "disgusted disgust",
    "fear": "fearful scared afraid fear",
    "happiness": "happy joy joyful happiness",
    "neutral": "calm neutral neutrality",
    "sadness": "sad sadness",
    "surprise": "surprised surprise suprise",
}
_EXPRESSION_OF = {word: name for name, words in _WORDS.items() for word in words.split()}
EXPRESSION_WORDS = tuple(_EXPRESSION_OF)
"""All words for the eight expressions, in lower case."""


def class_name(raw: str) -> str:
    """A label as a class name: lower case, no surrounding space, accents in one encoding (Unicode NFC)."""
    name = unicodedata.normalize("NFC", of_cell(raw.strip()).lower())
    return re.sub(r"^(\d{1,9})\.0+$", r"\1", name)  # a number, as pandas writes it


def expression_of(name: str) -> str:
    """The one of the eight expressions that a class name stands for, such as `anger` for `angry`; else the name."""
    return _EXPRESSION_OF.get(name, name)


def class_among(name: str, classes: Collection[str]) -> str | None:
    """The class that a name stands for: it itself, or the one that means the same expression; None without one."""
    if name in classes:
        return name
    meant = expression_of(name)
    return next((one for one in classes if expression_of(one) == meant and meant in _WORDS), None)


def numbered_classes(numbers: Collection[str], classes: Sequence[str] | None, place: str) -> dict[str, str]:
    """Which name each number among the labels stands for: they count from 0, or from 1 if there is no 0.

    Args:
        numbers: The labels that are whole numbers.
        classes: The names in their order, if they are known.
        place: The file or folder, for messages.

    Raises:
        FERError: If there are no names, a number is too large, or both readings are possible.
    """
    if not classes:
        shown = sorted(numbers, key=int)[:20]
        raise FERError(
            f"{place}: the labels are numbers, {', '.join(shown)}, and what they mean is not known. Say so in their "
            "order, as in --data.label_names '[anger, disgust, ...]'; for names that are numbers, "
            f"--data.label_names '[\"{shown[0]}\", ...]'."
        )
    values = {text: int(text) for text in numbers}
    least, most, count = min(values.values()), max(values.values()), len(classes)
    if least > 0 and most < count:
        raise FERError(
            f"{place}: the labels are numbers from {least} to {most}, which may count the {count} classes from 0 or "
            f"from 1. Expected a 0 or a {count} among them, or names instead of numbers."
        )
    if most > count - (least == 0):
        raise FERError(
            f"{place}: the labels are numbers from {least} to {most}. Expected 0 to {count - 1}, or 1 to {count}, for "
            f"the {count} names {', '.join(classes[:20])} (--data.label_names)."
        )
    return {text: classes[value - (least > 0)] for text, value in values.items()}


def classes_of(
    labels: Collection[str], classes: Sequence[str] | None, place: str, label_names: Sequence[str] | None = None
) -> dict[str, str]:
    """The class that each label, as it is written, stands for; labels of no class are not in it.

    Args:
        labels: All labels of a data set.
        classes: The class list; None takes the labels.
        place: The file or folder, for messages.
        label_names: What labels that are numbers mean, in their order; None takes the class list.

    Raises:
        FERError: If they are numbers and it is not known what they mean.
    """
    written = {label: class_name(label) for label in labels}
    meant = {
        label: known
        for label, name in written.items()
        if (known := class_among(name, classes) if classes else expression_of(name)) is not None
    }
    numbers = {name for name in written.values() if name.isdecimal() and name not in (classes or ())}
    if numbers and (classes or label_names or numbers == set(written.values())):
        by_number = meaning_of(numbers, classes, place, label_names)
        meant |= {label: by_number[name] for label, name in written.items() if name in by_number}
    return meant


def meaning_of(
    numbers: Collection[str], classes: Sequence[str] | None, place: str, label_names: Sequence[str] | None
) -> dict[str, str]:
    """The class that each number stands for, as of `classes_of`; those of no class are not in it."""
    names = numbered_classes(numbers, classes if label_names is None else label_names, place)
    known = {text: class_among(name, classes) if classes else expression_of(name) for text, name in names.items()}
    return {text: name for text, name in known.items() if name is not None}


def matched(spellings: Mapping[str, str]) -> list[str]:
    """A sentence on the labels, by how they are written, whose classes are other words; none without any."""
    pairs = sorted({f"{class_name(raw)} is {name}" for raw, name in spellings.items() if class_name(raw) != name})
    return [f"Labels were matched by their meaning: {', '.join(pairs)}."] if pairs else []
