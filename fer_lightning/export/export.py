"""Export: a trained network as a file of its own, checked against the original."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from torch import Tensor

from fer_lightning.checkpoints.reading import find_checkpoint, load_classifier, open_checkpoint
from fer_lightning.checkpoints.weights import ABOUT, SUFFIX, portable_facts, read_weights, save_weights
from fer_lightning.data.augmentation import Augmentation
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import TESTING, TRAINING, VALIDATION
from fer_lightning.errors import FERError
from fer_lightning.export.graph import DeployedClassifier
from fer_lightning.inference.model import EXPORTED, ONNX, as_photographs, open_model
from fer_lightning.reports.model_card import measured_in, model_card

FORMATS = {"safetensors": SUFFIX, "onnx": ONNX, "torch_export": EXPORTED}

_TOLERANCE = {"size": 1e-4, "other": 5e-3, "half": 5e-3}
"""Largest difference of a probability: at the network's own size; with resizing, where one rounding of a pixel may fall
the other way; and of half-precision weights."""

_CALIBRATION = 512
"""Training images that settle the ranges of an int8 network."""


def export(
    ckpt_path: str,
    output: str,
    format: Literal["safetensors", "onnx", "torch_export"] | None = None,
    quantize: Literal["int8"] | None = None,
    data: dict[str, Any] | None = None,
    faces: Literal["training", "whole", "detect"] = "training",
    name: str = "default",
    runs_dir: str = "runs",
    half: bool = True,
) -> None:
    """Write a trained network to a file of its own.

    `.safetensors` holds the weights with class names, preprocessing contract and temperature; `--ckpt_path FILE`
    takes it for `test`, `validate` and `predict`, and `fit` starts a new run from it. `.onnx` and `.pt2`
    (torch.export) hold the whole way from a face as uint8 `(n, height, width, 3)`, RGB, any size, to probabilities,
    for programs without fer_lightning; `predict` takes them too. Before a file is kept, its answers are compared with
    the original's; those of int8 by their accuracy on the validation part. A model card is written beside it.

    Args:
        ckpt_path: best, last, pretrained, or a checkpoint.
        output: The file to write, ending in .safetensors, .onnx or .pt2.
        format: Its format; by default the one its ending says.
        quantize: int8 makes an ONNX network that computes in 8-bit integers, and measures what that costs in accuracy
            on the validation part.
        data: For int8, options of FERDataModule for the images, such as --data.root; by default those of the training.
        faces: How whoever uses the file gets to faces: as in training, by taking images whole, or by finding faces. A
            network that was trained on pictures that a face fills takes detected faces as well.
        name: Name of the run that best and last are of.
        runs_dir: Folder that holds the runs.
        half: Write safetensors in half precision, which halves the file.

    Raises:
        FERError: If there is no such checkpoint, the options do not fit each other, the file answers otherwise than
            the original, or int8 loses more than 0.05 of accuracy.
    """
    target = Path(output).expanduser()
    suffix = FORMATS[format] if format else target.suffix
    if target.suffix != suffix or suffix not in FORMATS.values():
        endings = suffix if format else ", ".join(FORMATS.values())
        raise FERError(f"Invalid value for --output. Expected a file ending in {endings}. Received: {output}.")
    if quantize and suffix != ONNX:
        raise FERError(
            f"--quantize int8 makes an ONNX file: expected an --output ending in {ONNX}. Received: {output}."
        )
    if data and not quantize:
        raise FERError("--data options are for --quantize int8, which needs images.")
    path = find_checkpoint(ckpt_path, Path(runs_dir) / name)
    if path.suffix in (ONNX, EXPORTED):
        raise FERError(f"'{path}' is an exported graph already: export from a checkpoint or a .safetensors file.")
    checkpoint = open_checkpoint(path)
    about = checkpoint["fer_lightning"]
    if faces != "training":
        about["preprocessing"]["faces"] = faces
    if path.parent.name == "checkpoints":
        about["measured"] = measured_in(path.parent.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.stem}.writing{target.suffix}")
    lines: list[str] = []
    try:
        if suffix == SUFFIX:
            save_weights(checkpoint, aside, half)
            count = sum(value.numel() for value in read_weights(aside)["state_dict"].values())
            lines.append(f"{count:,} numbers")
        else:
            classifier = load_classifier(path)
            deployed = DeployedClassifier(classifier)
            said = portable_facts(checkpoint) | {"class_shares": classifier.answered_shares}
            if suffix == EXPORTED:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="No complete tensor found")
                    torch.export.save(_program(deployed), aside, extra_files={ABOUT: json.dumps(said)})
            else:
                _write_onnx(deployed, said, aside)
                if quantize:
                    lines += _quantise(aside, path, data or {})
        if not quantize:
            lines.append(_check(path, aside, half and suffix == SUFFIX))
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    size = f"{target.stat().st_size / 1e6:.2f} MB"
    card = target.with_name(target.name + ".md")
    card.write_text(model_card(target.stem, about, f"{target.name}: {'; '.join([size, *lines])}."), encoding="utf-8")
    print("\n".join([f"Written {target}: {size}", *lines, f"Model card in {card}"]))


def _example(deployed: DeployedClassifier) -> Tensor:
    side = deployed.contract.image_size
    return torch.zeros(2, side + 5, side + 9, 3, dtype=torch.uint8)


def _shapes() -> dict[str, Any]:
    return {"image": {place: torch.export.Dim(name) for place, name in enumerate(("n", "height", "width"))}}


def _program(deployed: DeployedClassifier) -> Any:
    return torch.export.export(deployed, (_example(deployed),), dynamic_shapes=_shapes())


def _write_onnx(deployed: DeployedClassifier, about: dict[str, Any], path: Path) -> None:
    try:
        import onnx
        import onnxruntime  # noqa: F401 (for the comparison)
        import onnxscript  # noqa: F401 (torch's exporter)
    except ImportError as error:
        raise FERError(f"ONNX files need {error.name}: pip install onnx onnxscript onnxruntime.") from None
    program = torch.onnx.export(
        deployed,
        (_example(deployed),),
        dynamo=True,
        opset_version=18,  # the first in which Resize can antialias
        input_names=["image"],
        output_names=["probabilities"],
        dynamic_shapes=_shapes(),
        verbose=False,
    )
    if program is None:
        raise FERError("torch could not turn this network into an ONNX graph.")
    model = program.model_proto
    entries = {ABOUT: json.dumps(about), "class_names": json.dumps(about["class_names"])}
    entries["licence_of_the_training_data"] = (about.get("data") or {}).get("licence", "") or "not stated"
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)


def _check(original: Path, written: Path, half: bool) -> str:
    """Compare the answers of a file with the original's.

    Raises:
        FERError: If they differ by more than the tolerance.
    """
    model, copy = open_model(original, device="cpu"), open_model(written, device="cpu")
    contract = model.preprocessing
    generator = torch.Generator().manual_seed(0)
    shape = (64, contract.channels, contract.image_size, contract.image_size)
    smooth = torch.rand(64, contract.channels, 6, 6, generator=generator)
    faces = torch.nn.functional.interpolate(smooth, shape[2:], mode="bicubic").clamp(0, 1)
    noise = torch.rand(shape, generator=generator) * 0.2
    pixels = ((faces * 0.8 + noise) * 255).to(torch.uint8)
    difference = float((model(pixels) - copy(pixels)).abs().max())
    allowed = _TOLERANCE["half" if half else "size"]
    said = f"largest difference to the original {difference:.1e}"
    if model.classifier is not None and written.suffix != SUFFIX:
        photographs = torch.nn.functional.interpolate(pixels.float(), (97, 131), mode="bilinear").to(torch.uint8)
        deployed = DeployedClassifier(model.classifier)
        with torch.inference_mode():
            ours = deployed(as_photographs(photographs))
        resized = float((ours - copy(photographs)).abs().max())
        said += f", with resizing {resized:.1e}"
        if not resized <= _TOLERANCE["other"]:
            difference = resized
    if not difference <= allowed:  # nor if it is not a number
        raise FERError(f"The exported file answers otherwise than the original ({said}): it was not kept.")
    return said


def _quantise(path: Path, original: Path, given: dict[str, Any]) -> list[str]:
    """Turn an ONNX file into one that computes in int8; what that costs on the validation part."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    images = _data(original, given)
    faces = images.samples(TRAINING)
    order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(0))[:_CALIBRATION].tolist()
    pixels = as_photographs(faces.__getitems__(order).images).numpy()

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.parts: Iterator[Any] = iter([pixels[start : start + 32] for start in range(0, len(pixels), 32)])

        def get_next(self) -> dict[str, Any] | None:
            part = next(self.parts, None)
            return None if part is None else {"image": part}

    before = open_model(path, device="cpu")
    part = TESTING if images.validates_on_testing else VALIDATION
    sample = images.samples(part)
    held = sample.__getitems__(list(range(len(sample))))
    answers = torch.cat([before(some) for some in torch.split(held.images, 256)])
    with tempfile.TemporaryDirectory() as folder:
        prepared = os.path.join(folder, "prepared.onnx")
        quant_pre_process(str(path), prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            str(path),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    after = open_model(path, device="cpu")
    found = torch.cat([after(some) for some in torch.split(held.images, 256)])
    right = [float((shares.argmax(1) == held.labels).float().mean()) for shares in (answers, found)]
    same = float((answers.argmax(1) == found.argmax(1)).float().mean())
    if right[1] < right[0] - 0.05:
        raise FERError(
            f"In int8 the accuracy on the validation part falls from {right[0]:.4f} to {right[1]:.4f}: the file was "
            "not kept."
        )
    return [
        f"int8: accuracy on {len(held.labels):,} validation images {right[1]:.4f} instead of {right[0]:.4f}; the same "
        f"answer for {same:.2%}, largest difference of a probability {float((answers - found).abs().max()):.2f}"
    ]


def _data(original: Path, given: dict[str, Any]) -> FERDataModule:
    about = open_checkpoint(original)["fer_lightning"]
    trained = (yaml.safe_load(about.get("config", "{}")) or {}).get("data", {})
    if not trained and "root" not in given and "legend" not in given:
        raise FERError(
            "--quantize int8 needs images of the kind the network was trained on: give --data.root, and --data.split "
            "if it was not the default."
        )
    options = trained | {"classes": about["class_names"]} | about["preprocessing"] | given
    if isinstance(options.get("augmentation"), dict):
        options["augmentation"] = Augmentation(**options["augmentation"])
    return FERDataModule(**options)
