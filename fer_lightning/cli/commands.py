"""The verbs: a table, which stands in verbs.toml."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fer_lightning.program import program


@dataclass(frozen=True)
class Command:
    """A verb; verbs.toml says what its settings are."""

    name: str
    summary: str
    help: str
    entry: str = ""
    several: str = ""
    rest: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    gone: Mapping[str, str] = field(default_factory=dict)

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

OLD_VERBS = {"shares": "estimate_prior"}
"""What verbs of an earlier version are called now."""
