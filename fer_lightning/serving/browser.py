"""What the page needs to run the model on the visitor's own device."""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.data.face_detectors import YUNET
from fer_lightning.export.about import about_bundle
from fer_lightning.inference.bundle import BundleModel, is_bundle, open_bundle
from fer_lightning.inference.recognizer import ExpressionRecognizer

NETWORKS = ("model.onnx", "detector.onnx", "landmarks.onnx")
"""What the page looks for beside model.json; the last one where faces are aligned."""


def browser_files(recognizer: ExpressionRecognizer, path: Path, name: str) -> dict[str, tuple[bytes, str]]:
    """model.json and the networks, by their addresses: content and its kind.

    None where the page could not answer as the service does.

    Args:
        recognizer: That of the service.
        path: The file that its model is from.
        name: What the model is called.

    Raises:
        FERError: If the network cannot be turned into a graph.
        OSError: If the folder of an exported model lacks one of the files.
    """
    found = _of_bundle(recognizer, path, name) if is_bundle(path) else _made(recognizer, path, name)
    if found is None:
        return {}
    about, *networks = found
    said = json.loads(about)
    said["input"]["faces"], said["threshold"] = recognizer.input_spec.faces, recognizer.threshold
    files = {
        f"/{name}": (content, "application/octet-stream") for name, content in zip(NETWORKS, networks, strict=False)
    }
    return {"/model.json": (json.dumps(said).encode(), "application/json")} | files


def _of_bundle(recognizer: ExpressionRecognizer, path: Path, name: str) -> list[bytes] | None:
    networks = [path.with_name(name) for name in NETWORKS[: 3 if recognizer.input_spec.align else 2]]
    moved = not isinstance(recognizer.model, BundleModel) or recognizer.model.ratio is not None
    if moved or recognizer.input_spec.detector != str(networks[1]):
        return None
    if len(networks) == 3 and not networks[2].is_file():  # faces are aligned that were not in training
        return None
    info = open_bundle(path)[1]  # as the service answers, and not what somebody may have written into model.json
    about = _about(recognizer, info, info.learned_prior, name)
    return [about, *(file.read_bytes() for file in networks)]


def _made(recognizer: ExpressionRecognizer, path: Path, name: str) -> list[bytes] | None:
    model = recognizer.model
    if isinstance(model, BundleModel) or path.suffix in (".onnx", ".pt2"):  # of which the faces may have any size
        return None
    if recognizer.input_spec.detector != YUNET:
        return None
    if any(find_spec(package) is None for package in ("onnx", "onnxruntime", "onnxscript")):
        return None
    from fer_lightning.export.bundle import OPSET  # needs torch, which exported models are served without
    from fer_lightning.export.graph import detector_bytes, graph_bytes, landmarks_bytes
    from fer_lightning.inference.model import info_of_file

    model, info = copy.deepcopy(model).cpu(), info_of_file(path)
    about = _about(recognizer, info, model.effective_prior, name)
    landmarks = [landmarks_bytes(OPSET)] if recognizer.input_spec.align else []
    return [about, graph_bytes(model, info, ".onnx", resize=False, opset=OPSET), detector_bytes(OPSET), *landmarks]


def _about(recognizer: ExpressionRecognizer, info: CheckpointInfo, prior: Sequence[float], name: str) -> bytes:
    spec = replace(info.input_spec, align=recognizer.input_spec.align)
    return json.dumps(about_bundle(replace(info, input_spec=spec), prior, name)).encode()
