"""`prepare`: writes a data set as a stream, to a folder or to storage with an address."""

from collections.abc import Sequence

import yaml

from fer_lightning import storage
from fer_lightning.cli.configs import DEFAULT, layers
from fer_lightning.cli.parser import OneMessage
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.streams.chunks import litdata
from fer_lightning.data.streams.subsets import StreamSubsets, one_look
from fer_lightning.data.streams.writing import check_place, write_stream
from fer_lightning.errors import FERError
from fer_lightning.files import check_path
from fer_lightning.names import many
from fer_lightning.screen import say


def prepare(options: Sequence[str], output: str, overwrite: bool = False) -> None:
    """Decode a data set once and write it as a stream, which `fit`, `validate` and `test` read as a --data.root.

    Args:
        options: The data options of `fit`, and --config, as on its command line; of a configuration, the data counts.
        output: A folder, or an address such as s3://bucket/prefix.
        overwrite: Replace a stream that is there.

    Raises:
        FERError: If the data set cannot be read, or the place is taken or cannot be written.
    """
    check_path("--output", output)
    if output.lower().startswith("memory:"):
        raise FERError("Invalid value for --output. What is in the memory of this process ends with it.")
    litdata()
    data = data_module(options)
    if isinstance(data.subsets, StreamSubsets):
        raise FERError("Invalid value for --data.root. It is a stream already: copy it as any other files.")
    if data.settled["unaligned"]:
        raise one_look()
    check_place(output, overwrite)
    shown = storage.without_secret(output)
    manifest = write_stream(data.subsets, output, data.settled, data.license, overwrite)
    counts = ", ".join(f"{many(one.images, 'image')} for {name}" for name, one in manifest.shards.items())
    say(f"Stream {counts}, in '{shown}'.")
    spec = manifest.input_spec
    faces = f" --data.faces {spec.framing}" if spec.finds else ""
    say(f"Read it with --data.root '{shown}' --data.image_size {spec.image_size} --data.color {spec.color}{faces}.")


def data_module(words: Sequence[str]) -> FERDataModule:
    """The data module that the words of a `fit` describe; of configurations, what they say of data.

    Raises:
        FERError: If the words cannot be read, or the data set cannot be used.
    """
    parser = OneMessage()
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(FERDataModule, "data")
    given, rest = layers(words, say)
    texts = [DEFAULT.read_text(encoding="utf-8"), *(yaml.safe_dump(layer.settings) for layer in given)]
    known = [{"data": (yaml.safe_load(text) or {}).get("data") or {}} for text in texts]
    parser.check_options(rest)
    found = parser.parse_args([*(f"--config={yaml.safe_dump(one)}" for one in known), *rest])
    data: FERDataModule = parser.instantiate(found).data
    return data
