"""The types of options in words, and what was wrong with a value in these words."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from fer_lightning.cli.commands import nearest
from fer_lightning.names import one_line

_PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    timedelta: "time",
}
CLASS = "class path"

_WIDER = {"path": "text", "whole number": "number", CLASS: "number"}
"""What need not be said beside what takes it too; a class beside a number is that of tensors."""

_SAID = {
    CLASS: "a class by its path, as my_parts.TinyNet, or by its name if it is ours or torch's",
    "names and values": "names and values, as '{image: photo, label: mood}'",
    "list of texts": "a list, as '[anger, fear]'",
    "list of numbers": "a list, as '[0.5, 0.5]'",
    "list of whole numbers": "a list, as '[64, 128]'",
}
"""What a message says of these; of others, their words with an article."""

_TORCHVISION = "A model of torchvision: --model.network TorchvisionModel --model.network.name resnet18."


def kinds(hint: Any) -> list[str]:
    """What a value of a type may be; words of a `Literal` one by one, in quotes."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in _PLAIN:
        return [_PLAIN[hint]]
    if origin is Literal:
        return [f"'{value}'" for value in dict.fromkeys(map(str, inner))]
    if origin in (Union, UnionType):  # in an order of our own: that of `Union` depends on what was imported before
        found = list(dict.fromkeys(word for one in inner if one is not NoneType for word in kinds(one)))
        words = [one for one in found if one.startswith("'")]
        return (
            sorted((one for one in found if one not in words and _WIDER.get(one) not in found), key=_short_first)
            + words
        )
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return ["names and values"]
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return [f"list of {kinds(inner[0])[0]}s" if inner else "list"]
    if origin is not None and inner:  # a Callable: what it makes is what the option names
        return kinds(inner[-1])
    return [CLASS]


def in_words(message: str, hints: Mapping[str, Any], of_class: str = "") -> str:
    """What jsonargparse says of a value that does not fit, in one sentence for each of name, expected and received.

    Args:
        message: What it says.
        hints: The types of a parser's options, by name.
        of_class: The class whose options these are; empty for those of a verb.

    Returns:
        The sentences; the message itself if it is about something else.
    """
    if missing := re.fullmatch(r"the following arguments are required: (.*)", message):
        if of_class:
            return f"{of_class} cannot be made without {missing[1]}."
        names = [f"--{name}" if f"--{name}" in hints else name for name in missing[1].split(", ")]
        return f"Missing: {', '.join(names)}."
    if message.startswith("unrecognized arguments"):
        return f"{message}. Expected options, each with its name, as --data.root DATA."
    key = re.match(r'Parser key "([\w.]+)":', message)
    if key and "got an unexpected keyword argument" in message:  # of jsonargparse, which takes classes alone
        return f"Invalid value for --{key[1]}. Expected a class. Received a function. {_TORCHVISION}"
    received = re.search(r"(?:Given value|Got value|Expected a dot import path string): (.*)", message)
    received = received or re.search(r"(?:given class_path|Unable to load config) '([^']*)'", message)
    if not key or not received or f"--{key[1]}" not in hints:
        return message
    name = f"{key[1]} of {of_class}" if of_class else f"--{key[1]}"
    found = one_line(received[1])
    if "Unable to load config" in message:
        one_by_one = f"its options one by one, as {name}.NAME VALUE, or a file of settings"
        why = re.search(r"\n  - (?!Parser key)(.*)", message)  # of a file that is there
        return f"Invalid value for {name}. Expected {one_by_one}. Received: {found}{f': {why[1]}' if why else ''}."
    if (hint := hints[f"--{key[1]}"]) is None:
        return message
    expected = kinds(hint)
    said = f"Invalid value for {name}. Expected {_listed(expected)}. Received: {found}."
    if why := re.search(r"Problem with given class_path '[^']*':\s*(.*)", message):
        return f"{said} {why[1].rstrip('.')}."
    if CLASS in expected:
        names = sorted(set(_classes(hint)), key=_short_first)
        within = [name for name in names if found and found.lower() in name.lower()]
        guess = f" Did you mean {within[0]}?" if within else nearest(found, names)
        said += guess or (f" {_TORCHVISION}" if key[1] == "model.network" else "")
    return said


def _short_first(word: str) -> tuple[int, str]:
    return len(word), word


def _listed(expected: list[str]) -> str:
    words = [word for one in expected for word in (("'true'", "'false'") if one == "true or false" else (one,))]
    *before, last = [_SAID.get(one, one[1:-1] if one.startswith("'") else f"a {one}") for one in words]
    return f"{', '.join(before)} or {last}" if before else last


def _classes(hint: Any) -> Iterator[str]:
    """The names of the classes that an option takes, of ours and of torch's optimizers and schedules."""
    if not isinstance(hint, type):
        for inner in get_args(hint):
            yield from _classes(inner)
        return
    found: list[type] = type.__subclasses__(hint)
    for kind in found:
        if kind.__module__.startswith(("fer_lightning.", "torch.optim.")) and not kind.__name__.startswith("_"):
            yield kind.__name__
        yield from _classes(kind)
