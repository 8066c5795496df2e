"""Configuration files: recipes by name, and the words of earlier versions."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fer_lightning.checkpoints.compatibility import put, upgraded_config
from fer_lightning.checkpoints.saved_config import texts_within
from fer_lightning.cli.commands import UsageError, nearest, take
from fer_lightning.cli.own_parts import find_own_parts
from fer_lightning.deprecations import SETTINGS, SETTINGS_GONE, SETTINGS_OF_CLASSES, VALUES
from fer_lightning.networks.class_paths import class_paths
from fer_lightning.storage import is_address
from fer_lightning.values import ValuesError, is_no_file, read_settings, read_text, read_yaml

_PACKAGE = Path(__file__).parents[1]
FOLDER = next(
    place / "configs" for place in (_PACKAGE, _PACKAGE.parent) if (place / "configs" / "default.yaml").is_file()
)
"""The recipes: inside the package when installed from a wheel, beside it in a checkout."""

DEFAULT = FOLDER / "default.yaml"
"""What lies beneath everything else."""


class Layer(NamedTuple):
    """A configuration: what the user wrote, what the parser takes (a path, or YAML), and what it says."""

    name: str
    text: str
    settings: dict[str, Any]


def recipes() -> dict[str, Path]:
    """The recipes that come with the package, and the overlays, by their names."""
    return {path.stem: path for path in sorted(FOLDER.rglob("*.yaml"))}


def layers(words: Sequence[str], tell: Callable[[str], object]) -> tuple[list[Layer], list[str]]:
    """The configurations that a command line names, each to be laid over those before it, and all other words.

    Options under names of an earlier version are one more configuration, the last one; `tell` takes a line for each.
    """
    given, others = take(words, "--config|-c")
    found = [_layer(name, tell) for name in given.get("config", [])]
    find_own_parts([*named_classes(found, others), *take(others, "--network")[0].get("network", [])])
    old, rest = take(others, *(f"--{name}" for name in (*SETTINGS, *SETTINGS_OF_CLASSES, *SETTINGS_GONE, *VALUES)))
    if set(old) <= set(VALUES) and not any(values[-1] in VALUES[name] for name, values in old.items()):
        return found, others
    settings: dict[str, Any] = {}
    for name, values in old.items():
        put(settings, name, values[-1])
        with suppress(ValuesError):
            put(settings, name, read_yaml(values[-1]))
    settings = upgraded_config(settings, tell)
    return [*found, Layer("options", yaml.safe_dump(settings), settings)], rest


def named_classes(given: Sequence[Layer], words: Sequence[str]) -> set[str]:
    """Class paths, downloads and addresses that configurations or options name: what a checkpoint may name again."""
    named: set[str] = set()
    for layer in given:
        _add_named(named, layer.settings)
    for before, word in pairwise(["", *words]):
        option, _, value = word.partition("=")
        value = value if option.startswith("--") else word
        of = option if option.startswith("--") else before
        if not of.startswith(("--model", "--data", "--trainer")):
            continue
        _add_named(named, value)
        if value[:1] in ("{", "["):
            with suppress(ValuesError):
                _add_named(named, read_yaml(value))
    return named


def said_of_data(given: Sequence[Layer], words: Sequence[str]) -> set[str]:
    """The options, `--data.` and their names, that are given: what a checkpoint says of these does not count."""
    known = {f"--data.{name}" for layer in given for name in layer.settings.get("data") or {}}
    return known | {word.partition("=")[0] for word in words if word.startswith("--data.")}


def _add_named(named: set[str], value: Any) -> None:
    """Add the class paths, downloads and addresses that a value names."""
    named.update(class_paths(value), filter(is_address, texts_within(value)))


def _layer(given: str, tell: Callable[[str], object]) -> Layer:
    """A file, here or in the package, or settings written out on the command line; else a UsageError."""
    known = recipes()
    name = given.removeprefix("configs/").removeprefix("overlays/").removesuffix(".yaml")
    path = Path(given) if os.path.exists(given) else known.get(name)
    if path is None and (":" not in given or given.endswith((".yaml", ".yml"))):
        raise UsageError(
            f"Invalid value for --config. Expected a file or one of {', '.join(known)}. Found nothing at '{given}'."
            f"{nearest(name, known)}"
        )
    try:
        settings = read_settings(read_text(path) if path else given)
    except (OSError, ValuesError) as error:
        raise UsageError(f"Invalid value for --config. Cannot read '{given}': {error}.") from None
    for text in texts_within(settings):
        if is_no_file(text):
            raise UsageError(f"Invalid value for --config. '{given}' names '{text}', which is a device or a pipe.")
    new = upgraded_config(settings, tell)
    return Layer(given, str(path) if path and new == settings else yaml.safe_dump(new, sort_keys=False), new)
