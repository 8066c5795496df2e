"""Configuration files: recipes by name, and the words of earlier versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fer_lightning.checkpoints.compatibility import GONE, RENAMED, RETHOUGHT, upgraded_config
from fer_lightning.cli.words import UsageError, nearest, take

_PACKAGE = Path(__file__).parents[1]
FOLDER = next(
    place / "configs" for place in (_PACKAGE, _PACKAGE.parent) if (place / "configs" / "default.yaml").is_file()
)
"""The recipes: inside the package when installed from a wheel, beside it in a checkout."""

DEFAULT = FOLDER / "default.yaml"
"""What lies beneath everything else."""


class Layer(NamedTuple):
    """One configuration.

    Attributes:
        name: What the user wrote.
        text: What the parser takes: a path, or YAML.
        settings: What it says.
    """

    name: str
    text: str
    settings: dict[str, Any]


def recipes() -> dict[str, Path]:
    """The recipes that come with the package, and the overlays, by their names."""
    return {path.stem: path for path in sorted(FOLDER.rglob("*.yaml"))}


def layers(words: Sequence[str], tell: Callable[[str], object]) -> tuple[list[Layer], list[str]]:
    """The configurations that a command line names, each to be laid over those before it, and all other words.

    Options under names of an earlier version are one more configuration, the last one.

    Args:
        words: The command line behind the verb.
        tell: Takes one line for each name of an earlier version.

    Raises:
        FERError: If a file is not there, or holds no settings.
    """
    given, others = take(words, "--config|-c")
    found = [_layer(name, tell) for name in given.get("config", [])]
    old, rest = take(others, *(f"--{name}" for name in (*RENAMED, *RETHOUGHT, *GONE)), "--data.color")
    if set(old) <= {"data.color"} and old.get("data.color", [""])[-1] != "grey":
        return found, others
    settings: dict[str, Any] = {}
    for name, values in old.items():
        _set(settings, name, _plain(values[-1]))
    settings = upgraded_config(settings, tell)
    return [*found, Layer("options", yaml.safe_dump(settings), settings)], rest


def _layer(given: str, tell: Callable[[str], object]) -> Layer:
    path = _file(given)
    try:
        text = given if path is None else path.read_text(encoding="utf-8")
        settings = yaml.safe_load(text) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"Invalid value for --config. Cannot read '{given}': {error}.") from None
    if not isinstance(settings, dict):
        raise UsageError(f"Invalid value for --config. Expected settings, 'name: value', in '{given}'.")
    new = upgraded_config(settings, tell)
    return Layer(given, str(path) if path and new == settings else yaml.safe_dump(new, sort_keys=False), new)


def _file(given: str) -> Path | None:
    """The file that is meant, here or in the package; None for settings written out on the command line."""
    if Path(given).is_file():
        return Path(given)
    known = recipes()
    name = given.removeprefix("configs/").removeprefix("overlays/").removesuffix(".yaml")
    if name in known:
        return known[name]
    if ":" in given and not given.endswith((".yaml", ".yml")):
        return None
    raise UsageError(
        f"Invalid value for --config. Expected a file or one of {', '.join(known)}. Found nothing at '{given}'."
        f"{nearest(name, known)}"
    )


def _plain(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _set(settings: dict[str, Any], name: str, value: object) -> None:
    *outer, last = name.split(".")
    for part in outer:
        settings = settings.setdefault(part, {})
    settings[last] = value
