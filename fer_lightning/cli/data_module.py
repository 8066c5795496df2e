"""The data module of a command line: the user's own, or what ours would have."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import import_module

import yaml
from lightning.pytorch import LightningDataModule

from fer_lightning.cli.configs import layers
from fer_lightning.cli.own_parts import find_own_parts
from fer_lightning.cli.parser import OneMessage
from fer_lightning.data.combine import combined_attributes
from fer_lightning.data.legend import Conflicts
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.recognise import chosen_sources
from fer_lightning.errors import FERError


def own_data_module(class_path: str) -> type[LightningDataModule]:
    """A data module of the user's own, which can say what is in it.

    Raises:
        FERError: If it cannot be imported, is no data module, or cannot say that.
    """
    find_own_parts([class_path])
    module, _, name = class_path.rpartition(".")
    try:
        kind: type[LightningDataModule] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FERError(f"Invalid value for --data_module. Cannot import '{class_path}': {error}.") from None
    if not (isinstance(kind, type) and issubclass(kind, LightningDataModule) and hasattr(kind, "info")):
        raise FERError(
            f"Invalid value for --data_module. Expected a LightningDataModule with a property 'info' that returns a "
            f"fer_lightning.DataInfo: class names and input specification. Received: {class_path}."
        )
    return kind


@dataclass(frozen=True)
class _DataSets:
    """Where data sets are; the same names as in `fit`."""

    root: str | list[str] | None = None
    legend: str | None = None
    images: str | None = None
    classes: list[str] | None = None
    label_names: list[str] | None = None
    columns: dict[str, str] | None = None
    conflicts: Conflicts = "drop"
    follow_links: bool = False
    prepared_dir: str = "prepared_data"
    source: DataSource | None = None


def attributes_of(words: Sequence[str]) -> list[str]:
    """The further columns of the data sets that the words of a `fit` name.

    Raises:
        FERError: If the words or the data sets cannot be read.
    """
    parser = OneMessage()
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(_DataSets, "data")
    names = [item.name for item in fields(_DataSets)]
    given, options = layers(words, lambda line: None)
    files, own = [], False
    for layer in given:
        known = layer.settings.get("data") or {}
        files.append(f"--config={yaml.safe_dump({'data': {name: known[name] for name in names if name in known}})}")
    for word in options:
        if word.startswith("--"):
            own = word.partition("=")[0].removeprefix("--data.").partition(".")[0] in names
        files += [word] if own else []
    data: _DataSets = parser.instantiate(parser.parse_args(files)).data
    reading = {name: getattr(data, name) for name in names if name not in ("source", "root", "legend")}
    # Whether rows can be used is not asked here, only what the columns are called.
    sources = chosen_sources(data.source, data.root, data.legend, reading | {"on_error": "drop"})
    return [*combined_attributes([source.read() for source in sources])]
