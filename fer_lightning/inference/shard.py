"""A part of the input, for array jobs: of n processes that know nothing of each other, each looks at one."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fer_lightning.errors import FERError
from fer_lightning.inference.begun_rows import escaped
from fer_lightning.inference.sources import Source

_MOST = 99_999
"""More parts than anybody has processes; their numbers have five digits."""


@dataclass(frozen=True)
class Shard:
    """Part `number` of `of`, counted from 1: a run of neighbors, so that the parts in their order are the whole.

    A film is in one part, as its faces keep their numbers from frame to frame. Parts differ by one input at most.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `3/10`; an FERError if that is no part."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of <= _MOST:
            raise FERError(
                "Invalid value for --shard. Expected i/n: the number of the part, counted from 1, and how many there "
                f"are (at most {_MOST:,}), as 1/10 to 10/10. Received: {text[:40]}."
            )
        return cls(number, of)

    def taken(self, sources: Sequence[Source]) -> list[Source]:
        """What of all sources, in their order, is in this part; nothing if there are fewer than parts."""
        start, end = (len(sources) * place // self.of for place in (self.number - 1, self.number))
        return list(sources[start:end])

    def path(self, output: str) -> str:
        """Where the rows of this part go: `rows.csv` becomes `rows-00003-of-00010.csv`; `-` stays."""
        if output == "-":
            return output
        path = Path(output)
        return str(path.with_name(f"{path.stem}-{self.number:05d}-of-{self.of:05d}{path.suffix}"))

    def settings(self, sources: Sequence[Source]) -> dict[str, Any]:
        """What tells whether two parts are of the same whole, and a part from another one."""
        return {"shard": f"{self.number}/{self.of}", "inputs": len(sources), "inputs_sha256": digest(sources)}


def digest(sources: Sequence[Source]) -> str:
    """A digest of the names of sources in their order, 64 hexadecimal digits."""
    found = hashlib.sha256()
    for source in sources:
        found.update(f"{escaped(source.name)}\n".encode())
    return found.hexdigest()


def check_shard(output: str | None, annotate: str | None, timeline: str | None, sources: Sequence[Source]) -> None:
    """Refuse what has no parts.

    Raises:
        FERError: If rows have no place, an output is one for all parts, or there is a camera.
    """
    if output is None:
        raise FERError("--shard needs an --output, which gets the number of the part: rows.csv, for instance.")
    if timeline or (annotate and annotate.lower().endswith(".mp4")):
        raise FERError("--shard does not go with --timeline or one annotated film: all parts would write to it.")
    if camera := next((source.name for source in sources if source.kind == "camera"), None):
        raise FERError(f"--shard takes parts of what is there, and '{camera}' is a camera or stream. Omit one of them.")
