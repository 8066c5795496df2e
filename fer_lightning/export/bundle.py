"""A folder with a model and all that it takes to use it, which needs nothing of fer_lightning."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.data.face_crop import LONGEST, SHORTEST, TIMES_AT_MOST
from fer_lightning.data.face_detectors import SAME, SURE, WEIGHTS
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.sources.synthetic_face import draw_face
from fer_lightning.errors import FERError
from fer_lightning.export.graph import detector_bytes, graph_bytes
from fer_lightning.export.page import PAGE, write_page
from fer_lightning.files import check_output_folder
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.names import printable
from fer_lightning.reports.model_card import model_card, must_not_be_used_for
from fer_lightning.version import __version__

FILES = ("model.onnx", "detector.onnx", "detector.LICENSE", "model.json", "recognize.py", "README.md", *PAGE)
"""What a bundle consists of."""

FORMAT = 1
"""Of `model.json`; what recognize.py expects."""

OPSET = 17
"""Of the networks in a bundle, unless another is asked for: what older runtimes read, and needs no Resize."""

TOLERANCE = 1e-4
"""Largest difference of a probability between the bundle's own program and the original."""

_COMPARED = 200
"""Images that it is compared on."""


def check_bundle_folder(folder: Path, read: Path, overwrite: bool) -> None:
    """Raise an FERError if a bundle in this folder would be the end of something else."""
    check_output_folder("--output", folder, FILES[0], [read], overwrite=True)
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if foreign := [name for name in there if name not in FILES]:
        raise FERError(
            f"Invalid value for --output. '{folder}' has files that are of no bundle, as '{printable(foreign[0])}'. "
            "Choose another folder."
        )
    if there and not overwrite:
        raise FERError(
            f"Invalid value for --output. '{folder}' is there already. Choose another folder, or replace it with "
            "--overwrite."
        )


def about_bundle(model: ExpressionModel, info: CheckpointInfo, name: str) -> dict[str, Any]:
    """What `model.json` says, in plain values."""
    card = model_card(name, info)
    return {
        "format": FORMAT,
        "name": name,
        "version": __version__,
        "classes": list(model.class_names),
        "input": model.input_spec.to_dict() | {"detector": "yunet"},
        "temperature": float(model.temperature),
        "class_prior": dict(zip(model.class_names, model.effective_prior, strict=False)),
        "license": (info.training and info.training.license) or "not stated",
        "must_not_be_used_for": must_not_be_used_for(card),
        "card": card,
        "detection": {
            "longest": LONGEST,
            "shortest": SHORTEST,
            "at_most": TIMES_AT_MOST,
            "sure": SURE,
            "same": SAME,
        },
    }


def write_bundle(model: ExpressionModel, info: CheckpointInfo, folder: Path, name: str, opset: int) -> str:
    """Write the files into a folder that is there, and compare the answers of its program with the original's.

    Returns:
        What was compared, in a sentence.

    Raises:
        FERError: If a package is missing, or the answers are others: nothing of this is to be kept then.
    """
    (folder / "model.onnx").write_bytes(graph_bytes(model, info, ".onnx", resize=False, opset=opset))
    (folder / "detector.onnx").write_bytes(detector_bytes(opset))
    (folder / "model.json").write_text(json.dumps(about_bundle(model, info, name), indent=1), encoding="utf-8")
    package = files("fer_lightning")
    for file, source in {"recognize.py": "export/recognize.py", "README.md": "export/bundle.md"}.items():
        (folder / file).write_bytes(package.joinpath(*source.split("/")).read_bytes())
    (folder / "detector.LICENSE").write_bytes(WEIGHTS.with_name("yunet.LICENSE").read_bytes())
    write_page(folder)
    return _compared(model, folder)


def _compared(model: ExpressionModel, folder: Path) -> str:
    """Compare whole images, and the faces that are found in them, on synthetic faces before synthetic walls."""
    from fer_lightning.export.recognize import Recognizer  # with onnxruntime

    ours, difference, faces = Recognizer(folder), 0.0, 0
    whole = ExpressionRecognizer(model, faces="whole", device="cpu")
    detecting = ExpressionRecognizer(whole, faces="detect")
    for number in range(_COMPARED):
        face = draw_face(EXPRESSIONS[number % len(EXPRESSIONS)], (1, number // 8), number)
        image = Image.new("RGB", (150 + 7 * (number % 50), 140 + 5 * (number % 40)), (90, 110, number))
        side = 60 + number % 80
        image.paste(face.resize((side, side)), (number % 30, number % 50))
        for recognizer in (whole, detecting):
            wanted, found = recognizer.predict(image).faces, ours(image, whole=recognizer is whole)
            boxes = [face and [face.left, face.top, face.width, face.height] for face in (one.face for one in wanted)]
            if boxes != [one["box"] and [*one["box"].values()][:4] for one in found]:
                raise FERError("The bundle's detector finds other faces than the original: it was not kept.")
            for one, other in zip(wanted, found, strict=True):
                pairs = zip(one.probabilities.values(), other["probabilities"].values(), strict=True)
                difference = max(difference, *(abs(value - same) for value, same in pairs))
            faces += len(found) * (recognizer is detecting)
    if not difference <= TOLERANCE:  # no if it is not a number
        raise FERError(f"The bundle answers otherwise than the original (by up to {difference:.1e}): it was not kept.")
    return f"largest difference to the original {difference:.1e} on {_COMPARED} images and {faces} faces found in them"
