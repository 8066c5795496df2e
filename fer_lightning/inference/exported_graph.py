"""Exported graphs (.pt2) read as data: a list of tensor operations, none of which can run code.

`torch.export.load` unpickles, evaluates expressions and compiles text that the file brings. So what `torch.export.save`
wrote is read here without it: JSON for the operations, which have to be among those that networks are made of, and bare
bytes for the weights. Shapes are tried without memory first, so that no file can ask for more than there is.
"""

import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fer_lightning.checkpoints.archive import check_packed
from fer_lightning.checkpoints.weights import check_state
from fer_lightning.inference.operators import CHECKS, OF_NUMBERS, OPERATORS
from fer_lightning.values import ValuesError, read_json, shown, wrong

_LARGEST_TEXT = 2**26
_MOST_STEPS = 50_000

_DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    12: torch.bool,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    13: torch.bfloat16,
}
_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d, 4: torch.preserve_format}
"""Numbers for kinds of numbers and orders of memory in torch.export's schema."""


class _Name(str):
    """What an earlier step made."""

    __slots__ = ()


class _Device:
    """The device that the graph runs on."""


class _Step(NamedTuple):
    operation: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any
    done: tuple[str, ...] = ()


class ExportedGraph:
    """A graph as a function: images uint8 `(n, h, w, 3)`, RGB, to probabilities, float `(n, classes)`."""

    def __init__(self, steps: list[_Step], weights: dict[str, Tensor], image: str, answer: str) -> None:
        last = {name: place for place, step in enumerate(steps) for name in _names((step.args, step.kwargs))}
        done: dict[int, list[str]] = {}
        for name, place in last.items():
            if name not in weights and name != answer:
                done.setdefault(place, []).append(name)
        self._steps = [step._replace(done=tuple(done.get(place, ()))) for place, step in enumerate(steps)]
        self._weights, self._image, self._answer = weights, image, answer

    def __call__(self, images: Tensor) -> Tensor:
        """Probabilities, float `(n, classes)`, of images, uint8 `(n, h, w, 3)`, RGB."""
        answers: Tensor = self._run(images, self._weights)
        return answers

    def check(self, size: int, classes: int) -> None:
        """Try it without memory: a ValuesError if it does not give numbers for the classes, or needs too much."""
        weights = {name: value.to("meta") for name, value in self._weights.items()}
        images = torch.empty(2, size, size, 3, dtype=torch.uint8, device="meta")
        found = self._run(images, weights, most=max(2**26, 2 * 64 * 3 * size * size))
        if not isinstance(found, Tensor) or found.shape != (2, classes) or found.dtype != torch.float32:
            raise wrong("its answer", f"a number for each of {classes} classes", shown(getattr(found, "shape", found)))

    @torch.no_grad()
    def _run(self, images: Tensor, weights: Mapping[str, Tensor], most: int = 0) -> Any:
        known: dict[str, Any] = {**weights, self._image: images}
        for step in self._steps:
            args = [known[x] if type(x) is _Name else _filled(x, known, images.device) for x in step.args]
            kwargs = _filled(step.kwargs, known, images.device) if step.kwargs else {}
            result = step.operation(*args, **kwargs)
            for name, value in _named(step.outputs, result):
                if most and _size(value) > most:
                    raise ValuesError("one of its operations needs more memory than a network of its size")
                known[name] = value
            for name in step.done:
                known.pop(name, None)
        return known[self._answer]


def read_graph(path: str | os.PathLike[str], key: str) -> tuple[ExportedGraph, str]:
    """The graph in a .pt2 file, and the text that it has under a key (empty without one).

    Raises:
        ValuesError: If it says what such a file does not say.
        Exception: Whatever zipfile and torch raise for damaged ones.
    """
    check_packed(path)
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}

        def text(name: str) -> str:
            if name not in entries or entries[name].file_size > _LARGEST_TEXT:
                raise ValuesError(f"it has no {name}: expected a file of torch.export.save of torch 2.9 or newer")
            return archive.read(entries[name]).decode()

        if f"extra/{key}" not in entries:
            raise ValuesError("it is a model of another program: expected a file written by export")
        about, model = text(f"extra/{key}"), read_json(text("models/model.json"))
        tensors: dict[str, Tensor] = {}
        for folder in ("weights", "constants"):
            config = read_json(text(f"data/{folder}/model_{folder}_config.json"))["config"]
            for name, entry in config.items():
                part = f"data/{folder}/{entry['path_name']}"
                tensors[name] = _tensor(name, entry, archive.read(entries[part]) if part in entries else b"")
    check_state({name: value for name, value in tensors.items() if value.is_floating_point()}, path)
    module = model["graph_module"]
    graph, inputs, outputs = module["graph"], module["signature"]["input_specs"], module["signature"]["output_specs"]
    weights: dict[str, Tensor] = {}
    images: list[str] = []
    for one in inputs:
        ((kind, says),) = one.items()
        if kind == "user_input":
            images.append(says["arg"]["as_tensor"]["name"])
        elif kind in ("parameter", "buffer", "tensor_constant"):
            weights[says["arg"]["name"]] = tensors[says[f"{kind}_name"]]
        else:
            raise wrong("an input of the graph", "a weight or the images", kind)
    if len(images) != 1 or len(outputs) != 1 or len(graph["outputs"]) != 1 or "user_output" not in outputs[0]:
        raise ValuesError("its graph has to have one input, images, and one output, probabilities")
    if len(graph["nodes"]) > _MOST_STEPS:
        raise ValuesError(f"its graph has more than {_MOST_STEPS:,} operations")
    steps = [step for node in graph["nodes"] if (step := _step(node)) is not None]
    return ExportedGraph(steps, weights, images[0], graph["outputs"][0]["as_tensor"]["name"]), about


def _tensor(name: str, entry: Mapping[str, Any], read: bytes) -> Tensor:
    meta = entry["tensor_meta"]
    if entry.get("use_pickle"):
        raise ValuesError(f"'{shown(name)}' is packed in a way that might run code")
    sizes, strides = ([_whole(one["as_int"]) for one in meta[which]] for which in ("sizes", "strides"))
    dtype, content = _DTYPES[meta["dtype"]], bytearray(read)
    flat = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
    if math.prod(sizes) > flat.numel():
        raise ValuesError(f"{shown(name)} says that it is larger than it is")
    return flat.as_strided(sizes, strides, _whole(meta["storage_offset"]["as_int"]))


def _step(node: Mapping[str, Any]) -> _Step | None:
    """An operation with its arguments; None for what only checks."""
    target = node["target"]
    parts = target.split(".") if isinstance(target, str) else []
    if parts[:3] == ["torch", "ops", "aten"] and len(parts) == 5 and parts[3] in (*CHECKS, *OPERATORS):
        if parts[3] in CHECKS:
            return None
        operation = getattr(getattr(torch.ops.aten, parts[3]), parts[4])
    elif target in OF_NUMBERS:
        operation = _bounded(OF_NUMBERS[target])
    else:
        raise ValuesError(
            f"its graph has the operation {shown(target)}, which is none of those that networks are made of"
        )
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for one in node["inputs"]:
        if one.get("kind") == 2:
            kwargs[str(one["name"])] = _argument(one["arg"])
        else:
            args.append(_argument(one["arg"]))
    return _Step(operation, tuple(args), kwargs, [_argument(one) for one in node["outputs"]])


def _argument(arg: Mapping[str, Any], depth: int = 0) -> Any:
    """A value, or the name of one, in torch.export's schema."""
    ((kind, value),) = arg.items()
    if kind == "as_none":
        return None
    if kind == "as_tensor":
        return _Name(value["name"])
    if kind == "as_name":
        return _Name(value)
    if kind == "as_tensors":
        return [_Name(one["name"]) for one in value]
    if kind in ("as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools") and not depth:
        return [_argument(one, 1) for one in value]
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool") and not depth:
        return _argument(value, 1)
    if kind in ("as_int", "as_ints"):
        return [_whole(one) for one in value] if kind == "as_ints" else _whole(value)
    if kind in ("as_float", "as_floats"):  # infinity is a text in JSON
        return [float(one) for one in value] if kind == "as_floats" else float(value)
    if kind in ("as_bool", "as_bools"):
        return [bool(one) for one in value] if kind == "as_bools" else bool(value)
    if kind == "as_string":
        return str(value)
    if kind == "as_scalar_type":
        return _DTYPES[value]
    if kind == "as_memory_format":
        return _FORMATS[value]
    if kind == "as_layout":
        return torch.strided
    if kind == "as_device":
        return _Device
    raise wrong("an argument in its graph", "a tensor or a number", kind)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise wrong("a size in its graph", "a whole number", value)
    return value


def _filled(value: Any, known: Mapping[str, Any], device: torch.device) -> Any:
    if isinstance(value, _Name):
        return known[value]
    if isinstance(value, list):
        return [_filled(one, known, device) for one in value]
    if isinstance(value, dict):
        return {name: _filled(one, known, device) for name, one in value.items()}
    return device if value is _Device else value


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, _Name):
        yield value
    elif isinstance(value, list | tuple | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _names(one)


def _named(outputs: Any, result: Any) -> Iterator[tuple[str, Any]]:
    """What a step made, under the names of its outputs."""
    if isinstance(outputs, _Name):
        yield outputs, result
    elif isinstance(outputs, list) and len(outputs) == 1 and not isinstance(result, tuple):
        yield from _named(outputs[0], result)
    elif isinstance(outputs, list) and outputs:
        for one, value in zip(outputs, result, strict=True):
            yield from _named(one, value)


def _size(value: Any) -> int:
    return value.numel() if isinstance(value, Tensor) else 0


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    def answer(*values: Any) -> Any:
        found = function(*values)
        if not abs(found) < 2**63:
            raise ValuesError("its graph reckons with numbers that are too large")
        return found

    return answer
