"""Classes that a file may name: ours, and those of a few kinds in a few libraries; any other the user has to name.

A class path is an import, and an import runs code; so is a function's path where an argument takes one. What a
checkpoint or an export says is therefore looked up here, and what is not known here is never imported.
"""

import builtins
import collections.abc
import enum
import inspect
import re
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from pathlib import PurePath
from typing import Any

from torch import nn

from fer_lightning.errors import FERError
from fer_lightning.values import shown

OWN = "fer_lightning.networks."

_OURS = (
    "fer_lightning.networks",
    "fer_lightning.training.losses",
    "fer_lightning.training.schedules",
    "fer_lightning.training.distillation",
    "fer_lightning.data.augmentation",
    "fer_lightning.data.sampling",
    "fer_lightning.data.sources",
)
"""Rooms whose classes a file may name."""

_LIGHTNING = "lightning.pytorch"
_LIBRARIES: dict[str, tuple[str, ...]] = {
    "torch.nn": ("torch.nn.Module",),
    "torch.optim": ("torch.optim.Optimizer", "torch.optim.lr_scheduler.LRScheduler"),
    "torchvision.models": ("torch.nn.Module",),
    "torchvision.ops": ("torch.nn.Module",),
    "torchvision.transforms": ("torch.nn.Module",),
    "torchvision.transforms.v2": ("torch.nn.Module",),
    "timm.models": ("torch.nn.Module",),
    "timm.layers": ("torch.nn.Module",),
    "timm.loss": ("torch.nn.Module",),
    "timm.optim": ("torch.optim.Optimizer",),
    f"{_LIGHTNING}.cli": ("torch.optim.lr_scheduler.LRScheduler",),
    f"{_LIGHTNING}.callbacks": (f"{_LIGHTNING}.callbacks.Callback",),
    f"{_LIGHTNING}.loggers": (f"{_LIGHTNING}.loggers.CSVLogger", f"{_LIGHTNING}.loggers.TensorBoardLogger"),
    f"{_LIGHTNING}.plugins": (f"{_LIGHTNING}.plugins.Precision",),
    f"{_LIGHTNING}.profilers": (f"{_LIGHTNING}.profilers.Profiler",),
    f"{_LIGHTNING}.strategies": (f"{_LIGHTNING}.strategies.Strategy",),
}
"""Modules of libraries, each with the classes of whose kind a file may name others in it."""

_CALLERS = frozenset({"Lambda", "LambdaLR", "MultiplicativeLR", "LambdaCallback", "DeepSpeedStrategy"})
"""Classes of these kinds whose purpose is to call what they are given, or to read more files."""

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
"""What could be imported: names with dots between them."""

_PLAIN = (str, int, float, bool, bytes, complex, type(None), list, tuple, dict, set, typing.Any)


class RefusedClassError(FERError):
    """A class that a file names, and that it may not name."""


def full_path(class_path: str) -> str:
    """A class path as files name it; jsonargparse shortens those of ours that fer_lightning exports."""
    package, _, name = class_path.rpartition(".")
    return OWN + name if package in ("", "fer_lightning") else class_path


def find_class(class_path: str, trusted: Collection[str], source: Any, option: str) -> Any:
    """What a file names as a class, imported if it may be.

    Args:
        class_path: What the file says.
        trusted: Class paths that the user named.
        source: The file, for messages.
        option: The option by which the user would name it.

    Raises:
        FERError: If it is neither one that a file may name nor one that the user named, or cannot be imported.
    """
    full = full_path(class_path)
    if full in trusted or class_path in trusted:
        kind = _imported(full, source)
    elif not _DOTTED.fullmatch(full) or (kind := _known(full, source, option)) is None:
        name = full if _DOTTED.fullmatch(full) else shown(full)
        also = f"--network {name} (for fit, validate and test: " if f"{option}.".startswith("--model.network.") else ""
        raise RefusedClassError(
            f"'{source}' names {name} as its {option.rpartition('.')[2]}, and opening it would run that code. If you "
            f"trust it, name it yourself: {also}{option} {name}{')' if also else ''}."
        )
    if option == "--model.network" and not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise FERError(f"'{source}' names {full} as its network, which is no torch.nn.Module.")
    return kind


def check_arguments(
    values: Mapping[str, Any], kind: Any, trusted: Collection[str], source: Any, option: str = ""
) -> None:
    """Check all that a parser would import for the arguments of a class or function, which a file says.

    Args:
        values: The arguments.
        kind: The class, whose annotations say which of them are plain values.
        trusted: Class paths that the user named.
        source: The file, for messages.
        option: The option that these arguments are below.

    Raises:
        FERError: If one of them is a class, function or file that the user did not name.
    """
    hints = _hints(kind)
    for name, value in values.items():
        _check(value, hints.get(name, typing.Callable), trusted, source, f"{option}.{name}" if option else f"--{name}")


def class_paths(value: Any) -> Iterator[str]:
    """All that could be a class path in what a user wrote."""
    if isinstance(value, str):
        if _DOTTED.fullmatch(value):
            yield full_path(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from class_paths(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from class_paths(inner)


def _check(value: Any, hint: Any, trusted: Collection[str], source: Any, option: str) -> None:
    if isinstance(value, Mapping) and "class_path" in value:
        kind = find_class(str(value["class_path"]), trusted, source, option)
        if not isinstance(kind, type):
            raise FERError(f"'{source}' names {shown(value['class_path'])} for {option}, which is no class.")
        for part in ("init_args", "dict_kwargs"):
            if not isinstance(given := value.get(part) or {}, Mapping):
                raise FERError(f"'{source}' is damaged: the {part} for {option} are {shown(given)}.")
            check_arguments(given, kind, trusted, source, option)
    elif _is_plain(hint):
        return
    elif isinstance(value, Mapping):
        inner = next((one for one in _parts(hint) if is_dataclass(one)), None)
        check_arguments(value, inner, trusted, source, option)
    elif isinstance(value, list | tuple):
        for one in value:
            _check(one, hint, trusted, source, option)
    elif (
        isinstance(value, str) and value not in trusted and (not re.fullmatch(r"[\w -]*", value) or _is_builtin(value))
    ):
        raise RefusedClassError(
            f"'{source}' names {shown(value)} for {option}, and opening it might run that code. If you trust it, name "
            f"it yourself: {option} {shown(value)}."
        )


def _known(full: str, source: Any, option: str) -> Any:
    """The class of one of the kinds that files may name, or None."""
    root = max((one for one in (*_OURS, *_LIBRARIES) if full.startswith(f"{one}.")), key=len, default=None)
    parts = full.split(".")
    if root is None or any(part.startswith("_") for part in parts) or parts[-1] in _CALLERS:
        return None
    if root in _OURS:
        return _imported(full, source)
    found: Any = import_module(root)  # not what the file says below it: a submodule may be a program
    for part in parts[root.count(".") + 1 :]:
        found = vars(found).get(part)
        if found is None:
            raise FERError(f"'{source}' names {full} for {option}, which is not there in this version of {parts[0]}.")
    kinds = tuple(_attribute(one) for one in _LIBRARIES[root])
    fits = isinstance(found, type) and issubclass(found, kinds) and found.__module__.startswith(f"{parts[0]}.")
    return found if fits else None


def _imported(full: str, source: Any) -> Any:
    try:
        return _attribute(full)
    except (ImportError, AttributeError, ValueError) as error:
        raise FERError(f"{full}, which '{source}' names, cannot be imported: {error}.") from None


def _attribute(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """What the annotations of a constructor say; those that cannot be resolved are left out."""
    if kind is None:
        return {}
    try:
        return typing.get_type_hints(kind.__init__)
    except Exception:  # names that a library imports for checkers alone
        signature = inspect.signature(kind.__init__).parameters.values()
        return {one.name: one.annotation for one in signature if not isinstance(one.annotation, str)}


def _parts(hint: Any) -> Iterator[Any]:
    """A type, with all that it is composed of."""
    origin = typing.get_origin(hint)
    if origin is None or origin is typing.Literal:
        yield hint if origin is None else str
    else:
        if origin not in (typing.Union, types.UnionType, typing.Annotated):
            yield origin
        for inner in typing.get_args(hint):
            if not (origin is typing.Annotated and not isinstance(inner, type)) and inner is not Ellipsis:
                yield from _parts(inner)


def _is_plain(hint: Any) -> bool:
    """Whether a parser imports nothing for an argument of this type."""
    return all(
        part in _PLAIN
        or (isinstance(part, type) and issubclass(part, str | int | float | enum.Enum | PurePath))
        or part in (collections.abc.Sequence, collections.abc.Iterable, collections.abc.Mapping)
        for part in _parts(hint)
    )


def _is_builtin(name: str) -> bool:
    return name in vars(builtins)
