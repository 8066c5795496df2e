"""Refuses a training or a measurement whose machines were told different things."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from fer_lightning.checkpoints.finding import digest_of
from fer_lightning.cli.nodes import Nodes, RefusedElsewhereError
from fer_lightning.data.datamodule import FERDataModule

_MAY_DIFFER = ("ckpt_path", "root", "legend", "images", "exclude", "relabel", "prepared_dir", "runs_dir", "num_workers")
"""Where things lie on a machine, and how many of its cores load data; what lies there is compared."""


_MISSING = "not said"


def check_same(there: Nodes | None, config: str, checkpoint: str | None, datamodule: Any) -> None:
    """Make sure that all machines were given the same settings, checkpoint and images, wherever these lie.

    Args:
        there: The machines, if there are several.
        config: All settings of the verb, in YAML.
        checkpoint: The checkpoint to go on from or to measure, if there is one.
        datamodule: The data; only an FERDataModule knows which images it has.

    Raises:
        FERError: With the first difference, on all machines.
    """
    if there is None:
        return
    mine = {}
    if there.first:
        mine = dict(_flat(yaml.safe_load(config)))
        mine["the checkpoint"] = digest_of(checkpoint)[:16] if checkpoint else "none"
        if isinstance(datamodule, FERDataModule):
            split = datamodule.split
            mine["the data"] = f"{len(split.legend)} images in the division {split.fingerprint[:8]}"
    said = there.gather("settings", mine)
    for number, settings in enumerate(said):
        for name in sorted(said[0].keys() | settings.keys(), key=lambda name: (name.startswith("--"), name)):
            if (one := said[0].get(name, _MISSING)) != (other := settings.get(name, _MISSING)):
                there.gather("settings read", True)
                raise RefusedElsewhereError(
                    f"The machines of this training were told different things, and would train apart: {name} is {one} "
                    f"on machine 0 and {other} on machine {number}. Start the same command with the same data on each."
                )


def _flat(settings: Mapping[str, Any], before: str = "--") -> Iterator[tuple[str, str]]:
    """Settings under the options that set them."""
    for name, value in settings.items():
        option = before if name == "init_args" else f"{before}{name}."
        if isinstance(value, Mapping):
            yield from _flat(value, option)
        elif name not in _MAY_DIFFER:
            yield (before.removesuffix(".") if name == "class_path" else f"{before}{name}"), str(value)
