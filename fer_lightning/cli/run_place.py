"""Which run a command is about, and which checkpoint: read from the words before the parser reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_lightning.checkpoints.compatibility import put
from fer_lightning.checkpoints.finding import find_checkpoint
from fer_lightning.cli.commands import take
from fer_lightning.cli.configs import Layer
from fer_lightning.errors import FERError
from fer_lightning.files import check_path
from fer_lightning.names import check_name


@dataclass(frozen=True)
class RunPlace:
    """A run's folder, and the checkpoint to begin with.

    Attributes:
        folder: Folder of the run.
        named: Whether the user named it.
        checkpoint: The file that --ckpt_path means; None where there is none.
        auto: Whether --ckpt_path was `auto`.
    """

    folder: Path
    named: bool
    checkpoint: Path | None
    auto: bool


def place_of(verb: str, given: Sequence[Layer], options: Sequence[str]) -> RunPlace:
    """The place that configurations and, over them, options name.

    Args:
        verb: `fit`, `validate` or `test`.
        given: The configurations, the first one undermost.
        options: The other words of the command line.

    Raises:
        FERError: If the name is none, or there is no such checkpoint. `auto` needs none, but is for `fit` alone.
    """
    said: dict[str, Any] = {}
    for name, values in take(options, "--name", "--runs_dir", "--ckpt_path")[0].items():
        put(said, name, values[-1])
    place: dict[str, Any] = {"name": "default", "runs_dir": "runs", "ckpt_path": None}
    named: set[str] = set()
    for settings in [*(layer.settings for layer in given), said]:
        place |= {name: settings[name] for name in place if name in settings}
        named |= settings.keys()
    name, runs_dir, wanted = check_name(str(place["name"]), "--name"), str(place["runs_dir"]), place["ckpt_path"]
    check_path("--runs_dir", runs_dir)
    folder = Path(runs_dir) / name
    if auto := wanted == "auto":
        if verb != "fit":
            raise FERError(f"--ckpt_path auto is for fit, which can start anew. Expected best, last or a file: {verb}.")
        wanted = "last" if (folder / "checkpoints" / "last.ckpt").is_file() else None
    path = None if wanted in (None, "null") else find_checkpoint(str(wanted), folder)
    return RunPlace(folder, bool({"name", "runs_dir"} & named), path, auto)
