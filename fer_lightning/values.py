"""Plain values from files that anybody may have written: read within bounds, and checked before they are used."""

import json
import os
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from fer_lightning.files import no_file
from fer_lightning.names import printable

_LARGEST = 2**20
"""Characters of a configuration, which has a few thousand."""

_MOST_VALUES = 50_000
"""Values that a configuration may have once its aliases are written out."""

_DEEPEST = 50

_MOST_BYTES = 2**26
"""A larger file is not read."""

_LONGEST = 1000
"""Characters of a text or a name."""


class ValuesError(ValueError):
    """A value that is not what it has to be: where it is, what was expected, what was found."""


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file in UTF-8.

    Raises:
        ValuesError: If it is no file, as a device or a pipe, too large, or not UTF-8.
        OSError: If it cannot be opened.
    """
    if why := no_file(path):
        raise ValuesError(why)
    if (size := os.stat(path).st_size) > _MOST_BYTES:
        raise ValuesError(f"it has {size:,} bytes, more than the {_MOST_BYTES:,} that are read")
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValuesError("it is not text in UTF-8") from None


def is_no_file(path: str) -> bool:
    """Whether something is there that is neither a file nor a folder."""
    try:
        return bool(no_file(path)) and not os.path.isdir(path)
    except (OSError, ValueError):
        return False


def read_json(text: str | bytes) -> Any:
    """What a text in JSON says; a ValuesError if it is none."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValuesError("its values are too deep within each other") from None
    except ValueError as error:
        raise ValuesError(f"it is not JSON: {error}") from None


def read_settings(text: str) -> dict[str, Any]:
    """What a configuration in YAML says: settings under their names; a ValuesError if it is none, or without bounds."""
    found = read_yaml(text)
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ValuesError("Expected settings, 'name: value'")
    return found


def read_yaml(text: str) -> Any:
    """What a text in YAML says, without code from it and within bounds; a ValuesError if it is none."""
    return _composed(text, construct=True)


def check_yaml(text: str) -> None:
    """A ValuesError if a text in YAML has no bounds, for what reads it with a loader of its own."""
    if len(text) > 1000 or "*" in text:
        _composed(text, construct=False)


def _composed(text: str, construct: bool) -> Any:
    if not isinstance(text, str) or len(text) > _LARGEST:
        raise wrong("it", f"a text of at most {_LARGEST:,} characters", text)
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _check_size(root, {}, 0)
        return loader.construct_document(root) if construct else None
    except RecursionError:
        raise ValuesError("its values are too deep within each other") from None
    except ValuesError:
        raise
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        said = " ".join(printable(str(error)).split())
        raise ValuesError(f"it is not YAML: {said[:300]}") from None


def _check_size(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """The number of values in a node with its aliases written out: nine lines of aliases can stand for billions."""
    if depth > _DEEPEST or known.get(id(node)) == 0:
        raise ValuesError("its values are too deep within each other")
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = 0  # under way: to meet it again within itself has no end
    size = 1
    if isinstance(node, yaml.ScalarNode) and not node.tag.endswith(":str") and len(node.value) > 1000:
        raise ValuesError(f"it has a number of {len(node.value):,} digits")
    for child in _children(node):
        size += _check_size(child, known, depth + 1)
        if size > _MOST_VALUES:
            raise ValuesError(f"it has more than {_MOST_VALUES:,} values")
    known[id(node)] = size
    return size


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    for item in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from item if isinstance(item, tuple) else (item,)


def shown(value: Any) -> str:
    """A value for a message: on one line and not too long."""
    if isinstance(value, str | int | float | bool | None):
        text = repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
    elif isinstance(value, list | tuple) and len(value) <= 8 and not any(isinstance(x, list | dict) for x in value):
        text = f"[{', '.join(shown(one) for one in value)}]"
    else:
        text = f"a {type(value).__name__}"
    return printable(text if len(text) <= 100 else f"{text[:97]}...")


def wrong(name: str, expected: str, value: Any) -> ValuesError:
    """The error for a value that is not what it has to be."""
    return ValuesError(f"{name} has to be {expected}, and is {shown(value)}")


def text_of(values: Mapping[str, Any], name: str, default: str = "", longest: int = _LONGEST) -> str:
    """A text under a name."""
    value = values.get(name, default)
    if not isinstance(value, str) or len(value) > longest:
        raise wrong(name, f"a text of at most {longest:,} characters", value)
    return value


def flag_of(values: Mapping[str, Any], name: str) -> bool:
    """A yes or no under a name; no where it is not there."""
    value = values.get(name, False)
    if not isinstance(value, bool):
        raise wrong(name, "true or false", value)
    return value


def number(value: Any, name: str, least: float, most: float) -> float:
    """A value, if it is a finite number in a range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not _within(value, least, most):
        raise wrong(name, f"a number from {least:g} to {most:g}", value)
    return value


def whole_number(value: Any, name: str, least: int, most: int) -> int:
    """A value, if it is a whole number in a range."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise wrong(name, f"a whole number from {least} to {most:,}", value)
    return value


def list_of(values: Mapping[str, Any], name: str, longest: int = 100_000) -> list[Any]:
    """A list under a name; empty where it is not there."""
    value = values.get(name, [])
    if not isinstance(value, list | tuple) or len(value) > longest:
        raise wrong(name, f"a list of at most {longest:,}", value)
    return list(value)


def numbers_of(values: Mapping[str, Any], name: str, least: float, most: float) -> tuple[float, ...]:
    """A list of finite numbers under a name; empty where it is not there."""
    return tuple(number(one, f"{name}[{place}]", least, most) for place, one in enumerate(list_of(values, name)))


def texts_of(values: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts under a name; empty where it is not there."""
    found = list_of(values, name)
    for place, one in enumerate(found):
        if not isinstance(one, str) or len(one) > _LONGEST:
            raise wrong(f"{name}[{place}]", f"a text of at most {_LONGEST:,} characters", one)
    return tuple(found)


def plain_dict(value: Any, name: str, finite: bool = False) -> dict[str, Any]:
    """A value, if it has names for values that JSON could hold, of a bounded size and depth; perhaps finite ones."""
    if not isinstance(value, dict):
        raise wrong(name, "values under names", value)
    _check_plain(value, name, [_MOST_VALUES], finite, 0)
    return value


def _check_plain(value: Any, name: str, left: list[int], finite: bool, depth: int) -> None:
    left[0] -= 1
    if left[0] < 0 or depth > _DEEPEST:
        raise ValuesError(f"{name} has more values than a file of ours")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str) or len(key) > _LONGEST:
                raise wrong(f"a name in {name}", "a text", key)
            _check_plain(inner, name, left, finite, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_plain(inner, name, left, finite, depth + 1)
    elif type(value) not in (str, int, float, bool, type(None)):
        raise wrong(f"a value in {name}", "a text, a number, true, false or null", value)
    elif finite and isinstance(value, float) and not isfinite(value):
        raise wrong(f"a value in {name}", "a finite number", value)


def _within(value: float, least: float, most: float) -> bool:
    try:
        return isfinite(value) and least <= value <= most
    except OverflowError:  # a whole number that no float can hold
        return False
