"""Networks that can be made again from their name."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Self

import torch
from torch import nn

from fer_lightning.errors import FERError
from fer_lightning.names import printable
from fer_lightning.networks.class_paths import OWN, check_arguments, find_class, full_path
from fer_lightning.values import shown

LINKED: dict[str, Callable[[Any], int]] = {
    "num_classes": lambda about: len(about.class_names),
    "in_channels": lambda about: about.input_spec.channels,
    "image_size": lambda about: about.input_spec.image_size,
}
"""Constructor arguments that follow from classes and input, and how: of a `DataInfo` or whatever else knows these."""


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
    path = full_path(str(described["class_path"]))
    kind = find_class(path, trusted, source, "--model.network")
    given = _arguments(described)
    check_arguments(given, kind, trusted, source, "--model.network")
    if "weights" in given:
        given["weights"] = None  # the file's own take their place
    known = inspect.signature(kind.__init__).parameters
    linked = zip(LINKED, (num_classes, in_channels, image_size), strict=True)
    try:
        given = {name: _made(value, trusted, source) for name, value in given.items()}
        network: nn.Module = kind(**given | {name: value for name, value in linked if name in known})
        return network
    except FERError:
        raise
    except Exception as error:  # whatever a constructor raises for arguments of another kind
        said = printable(str(error)).partition("\n")[0][:300]
        raise FERError(f"{source}: the network {path} cannot be made: {said}.") from None


def _arguments(described: Mapping[str, Any]) -> dict[str, Any]:
    return {**(described.get("init_args") or {}), **(described.get("dict_kwargs") or {})}


def _made(value: Any, trusted: Collection[str], source: Any) -> Any:
    """An argument in which classes within the network, which have been checked, are made as well."""
    if isinstance(value, list):
        return [_made(one, trusted, source) for one in value]
    if not isinstance(value, Mapping) or "class_path" not in value:
        return value
    kind = find_class(str(value["class_path"]), trusted, source, "--model.network.*")
    return kind(**{name: _made(inner, trusted, source) for name, inner in _arguments(value).items()})


def check_total(network: str, numbers: int) -> None:
    """An FERError if a network would have more weights than any for faces, before there is memory for them."""
    if numbers > 2**28:
        raise FERError(f"{network} of this size would have {shown(numbers)} weights. Expected at most {2**28:,}.")


def check_sizes(network: str, **sizes: Any) -> None:
    """An FERError if one of a network's sizes, or of several, is no whole number that a network has."""
    for name, value in sizes.items():
        several = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        fits = all(isinstance(one, int) and not isinstance(one, bool) and 1 <= one <= 100_000 for one in several)
        if not several or len(several) > 100 or not fits:
            raise FERError(
                f"Invalid value for {name} of {network}. Expected whole numbers from 1 to 100,000. Received: "
                f"{shown(value)}."
            )
