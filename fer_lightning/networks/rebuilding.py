"""Networks that can be made again from their name."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from typing import Any, Self

import torch
from torch import nn

from fer_lightning.errors import FERError

OWN = "fer_lightning.networks."
"""Class paths that may be imported because a file names them; any other only where the user names it."""

LINKED = ("num_classes", "in_channels", "image_size")
"""Constructor arguments that follow from classes and input."""


class Rebuildable:
    """Remembers its constructor's arguments, so that a checkpoint can say how the network is made again.

    For networks of your own whose constructor takes more than `num_classes`, `in_channels` and `image_size`:
    `class MyNet(Rebuildable, torch.nn.Module)`.
    """

    init_args: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments; copies get them with the rest of their state."""
        network = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(network, *args, **kwargs)
        network.__dict__["init_args"] = {
            name: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
            for name, value in list(bound.arguments.items())[1:]
            if name not in LINKED
        }
        return network


def describe(network: nn.Module, num_classes: int, in_channels: int, image_size: int) -> dict[str, Any] | None:
    """`class_path` and `init_args` from which `build` makes the same network, or None if that is not possible.

    One that is not `Rebuildable` has to be of a class that can be imported and takes these arguments alone.
    """
    kind = type(network)
    path = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__ == "__main__" or "<" in path:
        return None
    if path.startswith(OWN):
        path = OWN + kind.__name__
    described = {"class_path": path, "init_args": dict(getattr(network, "init_args", {}))}
    if not isinstance(network, Rebuildable):
        try:
            with torch.device("meta"):
                twin = build(described, num_classes, in_channels, image_size, trusted=(path,))
        except Exception:  # whatever a constructor raises for arguments that it lacks
            return None
        ours, theirs = ({name: x.shape for name, x in one.state_dict().items()} for one in (network, twin))
        return described if ours == theirs else None
    return described


def build(
    described: Mapping[str, Any],
    num_classes: int,
    in_channels: int,
    image_size: int,
    trusted: Collection[str] = (),
    source: Any = "The file",
) -> nn.Module:
    """Make a network, with weights as they start, from `class_path`, `init_args` and perhaps `dict_kwargs`.

    The class path may be of another package only if it is `trusted`, as the user named it; `source` is the file that
    says so, for messages.

    Raises:
        FERError: If it is a class of another package that the user did not name, cannot be imported, or is no network.
    """
    path = str(described["class_path"])
    module, _, name = check_trusted(path, trusted, source).rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FERError(f"The network {path} of '{source}' cannot be imported: {error}.") from None
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise FERError(f"'{source}' names {path} as its network, which is no torch.nn.Module.")
    given = {**(described.get("init_args") or {}), **(described.get("dict_kwargs") or {})}
    if "weights" in given:
        given["weights"] = None  # the file's own take their place
    known = inspect.signature(kind.__init__).parameters
    linked = zip(LINKED, (num_classes, in_channels, image_size), strict=True)
    try:
        return kind(**given | {name: value for name, value in linked if name in known})
    except (TypeError, ValueError) as error:
        raise FERError(f"{source}: the network {path} cannot be made: {error}.") from None


def full_path(class_path: str) -> str:
    """A class path as files name it; jsonargparse shortens those of ours that fer_lightning exports."""
    package, _, name = class_path.rpartition(".")
    return OWN + name if package in ("", "fer_lightning") else class_path


def check_trusted(class_path: str, trusted: Collection[str], source: Any) -> str:
    """The full class path, if a file may name it.

    Raises:
        FERError: If it is a class of another package that the user did not name.
    """
    full = full_path(class_path)
    if not full.startswith(OWN) and full not in trusted:
        raise FERError(
            f"'{source}' names {full} as its network, and opening it would run that code. If you trust it, name it "
            f"yourself: --network {full} (for fit, validate and test: --model.network {full})."
        )
    return full
