"""ONNX networks that compute in 8-bit integers."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import TESTING, TRAINING, VALIDATION
from fer_lightning.errors import FERError
from fer_lightning.inference.model import open_model, rgb_images


def quantize_int8(path: Path, data: FERDataModule) -> str:
    """Turn an ONNX file into one that computes in int8, and say what it costs; more than 0.05 of accuracy is refused.

    Training images settle the ranges; what is lost is measured on the validation subset.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    training = data.samples(TRAINING)
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(0))[:512].tolist()
    batches = ({"image": some.numpy()} for some in torch.split(rgb_images(training.__getitems__(order).images), 32))

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            return next(batches, None)

    held_out = data.samples(TESTING if data.validates_on_testing else VALIDATION)
    images = held_out.__getitems__(list(range(len(held_out)))).images

    def answers() -> Tensor:
        model = open_model(path, device="cpu")
        return torch.cat([model.probabilities(some) for some in torch.split(images, 256)])

    before = answers()
    with tempfile.TemporaryDirectory() as folder:
        prepared = f"{folder}/prepared.onnx"
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
    after = answers()
    accuracies = [float((found.argmax(1) == held_out.labels).float().mean()) for found in (before, after)]
    if accuracies[1] < accuracies[0] - 0.05:
        raise FERError(
            f"In int8 the accuracy on the validation subset falls from {accuracies[0]:.4f} to {accuracies[1]:.4f}: "
            "the file was not kept."
        )
    same = float((before.argmax(1) == after.argmax(1)).float().mean())
    return (
        f"int8: accuracy on {len(held_out):,} validation images {accuracies[1]:.4f} instead of {accuracies[0]:.4f}; "
        f"the same answer for {same:.2%}, largest difference of a probability {float((before - after).abs().max()):.2f}"
    )
