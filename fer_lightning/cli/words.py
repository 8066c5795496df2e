"""The words of a command line: options taken off it, the nearest to a misspelt one."""

import argparse
from collections.abc import Collection, Sequence
from difflib import get_close_matches

from fer_lightning.errors import FERError


class UsageError(FERError):
    """A wrong word on the command line; the front door adds where all options stand."""


def take(words: Sequence[str], *options: str) -> tuple[dict[str, list[str]], list[str]]:
    """Take options with one value each, such as `--name`, or `--config|-c` with a short form, off a command line.

    Returns:
        The values of those that are there, under their (first) names without dashes; and all other words, in their
        order.

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
    """` Did you mean ...?` with the known name that is most like a word, or whose last part is; nothing without one."""
    endings = {name.rpartition(".")[2]: name for name in sorted(known, reverse=True)}
    close = [endings[word]] if word in endings else get_close_matches(word, known, n=1)
    close = close or [endings[ending] for ending in get_close_matches(word, endings, n=1)]
    return f" Did you mean {dashes}{close[0]}?" if close else ""
