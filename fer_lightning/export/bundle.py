"""A folder with a model and all that it takes to use it, which needs nothing of fer_lightning."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.data.face_detectors import WEIGHTS
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.sources.synthetic_face import draw_face
from fer_lightning.errors import FERError
from fer_lightning.export.about import about_bundle
from fer_lightning.export.graph import detector_bytes, graph_bytes, landmarks_bytes
from fer_lightning.export.page import PAGE, write_page
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.model.expression_model import ExpressionModel

MARK = "model.json"
"""By this file a folder is known to be a bundle."""

ALIGNING = ("landmarks.onnx", "landmarks.LICENSE")
"""What a bundle has beside its model where that takes aligned faces."""

FILES = (
    *("model.onnx", "detector.onnx", "detector.LICENSE", *ALIGNING, MARK),
    *("recognize.py", "recognize.mjs", "README.md", *PAGE),
)
"""What a bundle consists of."""

OPSET = 17
"""Of the networks in a bundle, unless another is asked for: what older runtimes read, and needs no Resize."""

TOLERANCE = 1e-4
"""Largest difference of a probability between the bundle's own program and the original."""

OTHERWISE = 0.1
"""The same where a face is turned otherwise by a fraction of a degree, which one in a hundred aligned ones may be."""

_COMPARED = 200
"""Images that it is compared on."""


def write_bundle(model: ExpressionModel, info: CheckpointInfo, folder: Path, name: str, opset: int) -> str:
    """Write the files into a folder that is there, and compare the answers of its program with the original's.

    Returns:
        What was compared, in a sentence.

    Raises:
        FERError: If a package is missing, or the answers are others: nothing of this is to be kept then.
    """
    (folder / "model.onnx").write_bytes(graph_bytes(model, info, ".onnx", resize=False, opset=opset))
    (folder / "detector.onnx").write_bytes(detector_bytes(opset))
    about = about_bundle(info, model.effective_prior, name)
    (folder / MARK).write_text(json.dumps(about, indent=1), encoding="utf-8")
    package = files("fer_lightning")
    for file, source in {
        "recognize.py": "recognize.py",
        "recognize.mjs": "recognize.mjs",
        "README.md": "bundle.md",
    }.items():
        (folder / file).write_bytes(package.joinpath("export", source).read_bytes())
    licenses = {"detector.LICENSE": "yunet.LICENSE"}
    if info.input_spec.align:
        (folder / "landmarks.onnx").write_bytes(landmarks_bytes(opset))
        licenses["landmarks.LICENSE"] = "face_landmarks.LICENSE"
    for file, source in licenses.items():
        (folder / file).write_bytes(WEIGHTS.with_name(source).read_bytes())
    write_page(folder)
    return compare(model, info, folder)


def compare(model: ExpressionModel, info: CheckpointInfo, folder: Path) -> str:
    """Compare whole images, and the faces that are found in them, on synthetic faces before synthetic walls."""
    from fer_lightning.export.recognize import Recognizer  # with onnxruntime

    ours, whole_ones, found_ones = Recognizer(folder), [0.0], [0.0]
    whole = ExpressionRecognizer(model, faces="whole", device="cpu")
    detecting = ExpressionRecognizer(whole, faces="detect")
    for number in range(_COMPARED):
        face = draw_face(EXPRESSIONS[number % len(EXPRESSIONS)], (1, number // 8), number)
        image = Image.new("RGB", (150 + 7 * (number % 50), 140 + 5 * (number % 40)), (90, 110, number))
        side = 60 + number % 80
        image.paste(face.resize((side, side)), (number % 30, number % 50))
        for recognizer in (whole, detecting):
            usual = info.input_spec.faces == recognizer.input_spec.faces
            wanted, found = recognizer.predict(image).faces, ours(image, None if usual else recognizer is whole)
            boxes = [face and [face.left, face.top, face.width, face.height] for face in (one.face for one in wanted)]
            if boxes != [one["box"] and [*one["box"].values()][:4] for one in found]:
                raise FERError("The bundle's detector finds other faces than the original: it was not kept.")
            for one, other in zip(wanted, found, strict=True):
                pairs = zip(one.probabilities.values(), other["probabilities"].values(), strict=True)
                differences = found_ones if recognizer is detecting else whole_ones
                differences.append(max(abs(value - same) for value, same in pairs))
    # Where a landmark lies on the border between half pixels, runtimes may turn a face a little otherwise.
    spared = len(found_ones) // 100 if info.input_spec.align else 0
    otherwise = [one for one in sorted(found_ones)[len(found_ones) - spared :] if TOLERANCE < one < OTHERWISE]
    difference = max(one for one in whole_ones + found_ones if one not in otherwise)
    if not np.isfinite(whole_ones + found_ones).all() or difference > TOLERANCE:
        raise FERError(f"The bundle answers otherwise than the original (by up to {difference:.1e}): it was not kept.")
    said = f"largest difference to the original {difference:.1e} on {_COMPARED} images and {len(found_ones) - 1} faces "
    said += "found in them"
    return f"{said}; {len(otherwise)} more are turned by a fraction of a degree more" if otherwise else said
