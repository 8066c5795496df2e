"""The words of a command line: verbs (a table in verbs.toml), options taken off it, the nearest to a misspelt one."""

import argparse
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

from fer_lightning import deprecations
from fer_lightning.errors import FERError
from fer_lightning.program import program


@dataclass(frozen=True)
class Command:
    """A verb; verbs.toml says what its settings are."""

    name: str
    summary: str
    help: str
    entry: str = ""
    several: Sequence[str] = ()
    loose: str = ""
    rest: str = ""

    @property
    def renamed(self) -> Mapping[str, str]:
        """Options of an earlier version, and what they are called now."""
        return deprecations.OPTIONS.get(self.name, {})

    @property
    def gone(self) -> Mapping[str, str]:
        """Options of an earlier version without a successor, and why."""
        return deprecations.OPTIONS_GONE.get(self.name, {})

    @property
    def page(self) -> str:
        """The help that answers at once."""
        text = f"{self.name}: {self.summary}.\n\n{self.help}\nAll options: {{program}} {self.name} --help_all\n"
        return text.replace("{program}", program())

    @property
    def options(self) -> dict[str, str]:
        """The options that the help names, with their dashes, and what it says of each."""
        found = re.findall(r"^  (-*[\w.]+) +(.+(?:\n {34}.+)*)", self.help, flags=re.MULTILINE)
        return {name: " ".join(text.split()) for name, text in found}


VERBS = {
    name: Command(name, **entry)
    for name, entry in tomllib.loads(Path(__file__).with_name("verbs.toml").read_text(encoding="utf-8")).items()
}

OLD_VERBS = deprecations.VERBS
"""What verbs of an earlier version are called now."""


class UsageError(FERError):
    """A wrong word on the command line; the front door adds where all options stand."""


def take(words: Sequence[str], *options: str) -> tuple[dict[str, list[str]], list[str]]:
    """Take options with one value each, such as `--name`, or `--config|-c` with a short form, off a command line.

    Gives the values of those that are there, under their (first) names without dashes; and all other words, in order.
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
    last = word.rpartition(".")[2]
    name = endings.get(last) or _closest(word, known) or endings.get(_closest(word, endings), "")
    return f" Did you mean {dashes}{name}?" if name else ""


def _closest(word: str, known: Collection[str]) -> str:
    """The known name most like a word, if one is like it; of two, the first: `epochs` is rather `max_` than `min_`."""
    close = get_close_matches(word, known, n=3)
    alike = [SequenceMatcher(None, name, word).ratio() for name in close]
    return min((name for name, ratio in zip(close, alike, strict=True) if ratio == alike[0]), default="")
