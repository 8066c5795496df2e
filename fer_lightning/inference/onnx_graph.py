"""Exported graphs in ONNX, looked at before a runtime runs them."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.checkpoints.finding import check_file
from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.names import printable
from fer_lightning.values import ValuesError, shown, wrong

_MOST_NODES = 50_000
_MOST_NUMBERS = 2**30
_DOMAINS = ("", "ai.onnx")


def open_onnx(path: Path) -> tuple[Callable[[np.ndarray], np.ndarray], CheckpointInfo]:
    """An exported network as a function, and what its file says.

    Returns:
        Probabilities, float `(n, classes)`, of images, uint8 `(n, h, w, 3)`, RGB; and the rest.

    Raises:
        FERError: If it cannot be read, or onnx or onnxruntime are missing.
    """
    with reading_graph(path, "an ONNX"):
        import onnxruntime

        content, about = read_onnx(path, KEY)
        info = info_in_graph(about, path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    return lambda images: session.run(["probabilities"], {"image": images})[0], info


def info_in_graph(text: str, path: Path) -> CheckpointInfo:
    """What the text in an exported file says."""
    info = CheckpointInfo.from_dict(text, path)
    return replace(info, class_prior="training")  # its answers are for the prior that it states


@contextlib.contextmanager
def reading_graph(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever is raised in the block into an FERError about that file."""
    check_file(path)
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(f"'{path}' needs {error.name}: pip install {error.name}.") from None
    except FERError:
        raise
    except ValuesError as error:
        raise FERError(f"Cannot use '{path}': {error}.") from None
    except Exception as error:  # onnxruntime's, protobuf's, zipfile's and torch's own have no base class in common
        said = printable(str(error) or type(error).__name__).partition("\n")[0][:200]
        raise FERError(f"Cannot read '{path}': damaged, or not {kind} file ({said}).") from None


def read_onnx(path: Path, key: str, output: str = "probabilities") -> tuple[bytes, str]:
    """The content of an ONNX file whose graph ends and is of the kind that `export` writes, and its text under a key.

    It turns `image`, uint8, into `output`, float.

    Raises:
        ValuesError: If it is of another program or another kind.
        Exception: Whatever protobuf raises for a damaged file.
    """
    import onnx

    content = path.read_bytes()
    model = onnx.load_model_from_string(content)
    about: str = next((one.value for one in model.metadata_props if one.key == key), "")
    if not about:
        raise ValuesError("it is a model of another program: expected a file written by export")
    graph = model.graph
    if model.functions or len(graph.node) > _MOST_NODES:
        raise ValuesError("its graph is none that export writes")
    for node in graph.node:
        inner = any(one.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for one in node.attribute)
        if inner or node.domain not in _DOMAINS:  # a loop may run for ever
            raise ValuesError(f"its graph has the operation {shown(node.op_type)}, which none of ours has")
    tensors = [*graph.initializer, *(one.t for node in graph.node for one in node.attribute if one.HasField("t"))]
    if any(one.external_data or one.data_location for one in tensors) or graph.sparse_initializer:
        raise ValuesError("some of its weights are in other files")
    for names, expected in ((graph.input, "image"), (graph.output, output)):
        given = [one.name for one in names]
        if given != [expected]:
            raise wrong("its graph", f"one with '{expected}' alone at that end", given)
    if [graph.input[0].type.tensor_type.elem_type, graph.output[0].type.tensor_type.elem_type] != [2, 1]:
        raise ValuesError(f"its graph has to turn uint8 images into float {output}")
    _check_sizes(onnx.shape_inference.infer_shapes(model, data_prop=True).graph)
    return content, about


def _check_sizes(graph: Any) -> None:
    for value in graph.value_info:
        sizes = [one.dim_value for one in value.type.tensor_type.shape.dim if one.HasField("dim_value")]
        if math.prod(max(size, 0) for size in sizes) > _MOST_NUMBERS:
            raise ValuesError("one of its operations needs more memory than a network of its size")
