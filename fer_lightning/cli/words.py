"""The words of a command line: options taken off it, the nearest to a misspelt one."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from fer_lightning.errors import FERError


class UsageError(FERError):
    """A wrong word on the command line; the front door adds where all options stand."""


def take(words: Sequence[str], *options: str) -> tuple[dict[str, list[str]], list[str]]:
    """Take options with one value each off a command line.

    Args:
        words: The words.
        options: What to take, such as `--name`, or `--config|-c` for one with a short form.

    Returns:
        The values of the options that are there, under their (first) names without dashes; and all other words, in
        their order.

    Raises:
        UsageError: If a value is missing.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for option in options:
        forms = option.split("|")
        parser.add_argument(*forms, action="append", dest=forms[0].removeprefix("--"))
    try:
        known, others = parser.parse_known_args(list(words))
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}.") from None
    return {name: values for name, values in vars(known).items() if values}, others


def nearest(word: str, known: Collection[str], dashes: str = "") -> str:
    """` Did you mean ...?`, if one of the known names is like this one, or ends like it; else nothing.

    Args:
        word: What was written, without dashes.
        known: What there is, without dashes; `a.b.c` ends in `c`.
        dashes: What to write in front of a name.
    """
    endings = {name.rpartition(".")[2]: name for name in sorted(known, reverse=True)}
    close = [endings[word]] if word in endings else get_close_matches(word, known, n=1)
    close = close or [endings[ending] for ending in get_close_matches(word, endings, n=1)]
    return f" Did you mean {dashes}{close[0]}?" if close else ""


def flattened(settings: Mapping[str, Any], known: Collection[str], within: str = "") -> list[str]:
    """The names of nested settings, `a.b.c`, each only as deep as what is known of it.

    Args:
        settings: What a configuration file says.
        known: Names that are settings; what stands beneath one of them is its value.
        within: The name of what these settings are within.
    """
    names: list[str] = []
    for key, value in settings.items():
        name = f"{within}.{key}" if within else str(key)
        nested = isinstance(value, Mapping) and name not in known
        names += flattened(value, known, name) if nested and value else [name]
    return names
