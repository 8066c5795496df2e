"""`export`: a trained model as a file of its own, checked against the original."""

import errno
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch.nn.functional import interpolate

from fer_lightning.checkpoints.finding import HUB_CONFIG, HUB_WEIGHTS, find_checkpoint
from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.checkpoints.reading import model_of, read_checkpoint
from fer_lightning.checkpoints.saved_config import leave_old_data, saved_settings
from fer_lightning.checkpoints.weights import SUFFIX, save_weights
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import SplitRule
from fer_lightning.errors import FERError, check_range
from fer_lightning.export import bundle, hub_folder
from fer_lightning.export.folder import check_folder
from fer_lightning.export.graph import OPSETS, DeployedModel, graph_bytes
from fer_lightning.export.quantization import quantize_int8
from fer_lightning.files import check_output, replacing, replacing_all, replacing_path
from fer_lightning.inference.model import EXPORTED, ONNX, open_model, rgb_images
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.names import check_name
from fer_lightning.reports.card_metadata import with_metadata
from fer_lightning.reports.model_card import measured_in, model_card
from fer_lightning.screen import say

TOLERANCE = {"size": 1e-4, "other": 5e-3, "half": 5e-3}
"""Largest difference of a probability: at the network's own size; with resizing, where one rounding of a pixel may fall
the other way; and of half-precision weights."""


@dataclass(frozen=True)
class CalibrationData:
    """Where the images for int8 are; None is as in training.

    Args:
        root: Folder of the data set; a list of several combines them.
        legend: Its legend, if it is not the one in the folder.
        images: The folder of its images, if it is not the one in the folder.
        split: How images are divided into subsets.
    """

    root: str | list[str] | None = None
    legend: str | None = None
    images: str | None = None
    split: SplitRule | None = None


def export(
    ckpt_path: str,
    output: str,
    quantize: Literal["int8"] | None = None,
    data: CalibrationData = CalibrationData(),
    faces: Literal["training", "whole", "detect"] = "training",
    name: str = "default",
    runs_dir: str = "runs",
    half: bool | None = None,
    network: list[str] | None = None,
    resize: bool = True,
    opset: int | None = None,
    hub: bool = False,
    license: str = "",
    overwrite: bool = False,
) -> None:
    """Write a trained model to a file of its own, or to a folder that needs nothing of fer_lightning.

    `.safetensors` holds the weights with class names, input specification and temperature; `--ckpt_path FILE` takes it
    for `test`, `validate` and `predict`, and `fit` starts a new run from it. `.onnx` and `.pt2` (torch.export) hold the
    whole way from a face as uint8 `(n, height, width, 3)`, RGB, any size, to probabilities, for programs without
    fer_lightning; `predict` takes them too. A folder, as app/, gets the network, the face detector, a program for
    Python that needs onnxruntime alone, a page on which a browser runs it, and what they say of themselves. With --hub
    the folder is one for a model hub: README.md (the model card), model.safetensors and config.json; --ckpt_path takes
    it, and hf://OWNER/NAME once it is uploaded. Before anything is kept, its answers are compared with the original's;
    those of int8 by their accuracy on the validation subset. A model card is written beside it.

    Args:
        ckpt_path: best, last, pretrained, or a checkpoint.
        output: The file to write, ending in .safetensors, .onnx or .pt2; or a folder, as app/.
        quantize: int8 makes an ONNX network that computes in 8-bit integers, and measures what that costs in accuracy
            on the validation subset.
        data: For int8, where the images are, if they are not those of the training.
        faces: How whoever uses the file gets to faces: as in training, by taking images whole, or by finding faces. A
            network that was trained on images that a face fills takes detected faces as well.
        name: Name of the run that best and last are of.
        runs_dir: Folder that holds the runs.
        half: Write weights in half precision, which halves the file. By default a .safetensors file is, and a folder
            for a hub is not, so that it answers as the checkpoint does, bit for bit.
        network: Class paths of the network and of the classes in it, where the checkpoint names some of another package
            and you trust them.
        resize: Of an .onnx or .pt2 file, whether it takes faces of any size, or only of the network's own.
        opset: The version of ONNX's operations, for older runtimes, from 13; by default 18, in a folder 17. Below 18 an
            .onnx file needs --resize false.
        hub: Make the folder one for a model hub.
        license: For a hub, under which license the model is given away, such as apache-2.0.
        overwrite: Replace a file, or a model card beside it, or a folder, that is there already.

    Raises:
        FERError: If there is no such checkpoint, the options do not fit each other, the output is there already, the
            disk is full, the file answers otherwise than
            the original, or int8 loses more than 0.05 of accuracy.
    """
    target, folder = Path(output).expanduser(), hub or output.endswith(("/", os.sep)) or not Path(output).suffix
    if hub and target.suffix in (SUFFIX, ONNX, EXPORTED):
        raise FERError(f"--hub makes a folder: expected --output with a folder such as app/. Received: {output}.")
    kind = "" if folder else target.suffix
    if kind not in (known := (SUFFIX, ONNX, EXPORTED, "")):
        endings = ", ".join(known[:-1])
        raise FERError(
            f"Invalid value for --output. Expected a file ending in {endings}, or a folder such as app/. Received: "
            f"{output}."
        )
    _check_opset("hub" if hub else kind, resize, opset)
    if license and not hub:
        raise FERError("--license is for --hub. What the training's data are under is said by fit --data.license.")
    if half is not None and not hub and kind != SUFFIX:
        raise FERError(f"--half is for files ending in {SUFFIX}, and for --hub.")
    if quantize and kind != ONNX:
        raise FERError(f"--quantize int8 makes an ONNX file: expected --output ending in {ONNX}. Received: {output}.")
    if data != CalibrationData() and not quantize:
        raise FERError("--data options are for --quantize int8, which needs images.")
    half = kind == SUFFIX if half is None else half
    files = hub_folder.FILES if hub else bundle.FILES
    known_by = (HUB_CONFIG, hub_folder.SIGN) if hub else (bundle.MARK, "")
    path = find_checkpoint(ckpt_path, Path(runs_dir) / check_name(name, "--name"))
    if path.suffix in (ONNX, EXPORTED):
        raise FERError(f"'{path}' is an exported graph already: export from a checkpoint or a .safetensors file.")
    if folder:
        target = Path(os.path.realpath(target))  # a link goes on leading there
        check_folder(target, path, overwrite, files, *known_by)
    else:
        card = target.with_name(target.name + ".md")
        check_output("--output", target, [path], overwrite)
        check_output("--output, whose model card is beside it", card, [path], overwrite)
    trusted = network or []
    info, state = read_checkpoint(path)
    model = model_of(info, state, path, trusted=trusted)
    if faces != "training":
        info = replace(info, input_spec=replace(info.input_spec, faces=faces))
    if path.parent.name == "checkpoints":
        info = replace(info, measured=measured_in(path.parent.parent, path))
    try:
        if folder:
            with replacing_all(target, files[0], files) as aside:
                if hub:
                    said = hub_folder.write_hub_folder(info, state, aside, target.name, half, license)
                    said += check_parity(model, aside / HUB_WEIGHTS, half, trusted)
                else:
                    said = bundle.write_bundle(model, info, aside, target.name, opset or bundle.OPSET)
                size = sum(file.stat().st_size for file in aside.rglob("*") if file.is_file()) / 1e6
                check_folder(target, path, overwrite, files, *known_by)  # as somebody may have put something there
            say(f"Written {output}: {size:.2f} MB\n{said}\nHow to use it: {Path(output) / 'README.md'}")
            return
        with replacing_path(target) as aside:
            if target.suffix == SUFFIX:
                save_weights(info, state, aside, half)
            else:
                aside.write_bytes(graph_bytes(model, info, target.suffix, resize, opset or OPSETS[1]))
            if quantize:
                check_parity(model, aside, False, trusted, resize)
                said = quantize_int8(aside, _calibration_data(path, info, data, trusted))
            else:
                said = check_parity(model, aside, half and target.suffix == SUFFIX, trusted, resize)
            numbers = sum(value.numel() for value in state.values())
            lines = [f"{aside.stat().st_size / 1e6:.2f} MB", f"{numbers:,} numbers", said]
            about = model_card(target.stem, info, f"{target.name}: {'; '.join(lines)}.")
            with replacing(card, errors="backslashreplace") as stream:
                stream.write(with_metadata(about, target.stem, info))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise FERError(
            f"The disk is full: '{target}' was not written, and what stood there still does. Free some space, or "
            "choose another place with --output."
        ) from None
    say("\n".join([f"Written {target}: {lines[0]}", *lines[1:], f"Model card in {card}"]))


def _check_opset(suffix: str, resize: bool, opset: int | None) -> None:
    if not resize and suffix not in (ONNX, EXPORTED):
        raise FERError(f"--resize false is for files ending in {ONNX} or {EXPORTED}.")
    if opset is None:
        return
    if suffix not in (ONNX, ""):
        raise FERError(f"--opset is for files ending in {ONNX}, and for folders without --hub.")
    check_range("--opset", opset, *OPSETS)
    if suffix and resize and opset < OPSETS[1]:
        raise FERError(f"--opset {opset} has no operation that brings faces to size: add --resize false, or take 18.")


def check_parity(
    original: ExpressionModel, written: Path, half: bool, trusted: Collection[str] = (), resize: bool = True
) -> str:
    """Compare a file's answers with the original's on 64 smooth random images; the largest difference, in a sentence.

    An FERError if it is more than `TOLERANCE` for weights in half precision, or not.
    """
    copy = open_model(written, device="cpu", trusted=trusted)
    spec = original.input_spec
    generator = torch.Generator().manual_seed(0)
    shape = (64, spec.channels, spec.image_size, spec.image_size)
    smooth = torch.rand(64, spec.channels, 6, 6, generator=generator)
    faces = interpolate(smooth, shape[2:], mode="bicubic").clamp(0, 1)
    images = (faces * 204 + torch.rand(shape, generator=generator) * 51).to(torch.uint8)
    difference = float((original.probabilities(images) - copy.probabilities(images)).abs().max())
    said = f"largest difference to the original {difference:.1e}"
    fits = difference <= TOLERANCE["half" if half else "size"]  # no if it is not a number
    if written.suffix != SUFFIX and resize:
        larger = interpolate(images.float(), (97, 131), mode="bilinear").to(torch.uint8)
        resized = float((DeployedModel(original)(rgb_images(larger)) - copy.probabilities(larger)).abs().max())
        said += f", with resizing {resized:.1e}"
        fits = fits and resized <= TOLERANCE["other"]
    if not fits:
        raise FERError(f"The exported file answers otherwise than the original ({said}): it was not kept.")
    return said


def _calibration_data(path: Path, info: CheckpointInfo, data: CalibrationData, trusted: list[str]) -> FERDataModule:
    given = {name: value for name, value in asdict(data).items() if value is not None}
    saved = saved_settings(path, everything=False, trusted=trusted)["data"]
    # No parts by class path: what is a dictionary otherwise are the headings of a table.
    plain = {name: value for name, value in saved.items() if name == "columns" or not isinstance(value, dict)}
    settings = plain | given
    if given.keys() & {"root", "legend"}:
        leave_old_data(settings, plain, {f"--data.{name}" for name in given}, say)
    elif not info.config or saved.get("source"):
        raise FERError(
            "--quantize int8 needs images of the kind the network was trained on: give --data.root, and --data.split "
            "if it was not the default."
        )
    return FERDataModule(**settings)
