"""fer_lightning: facial expression recognition with PyTorch Lightning."""

import os
from typing import TYPE_CHECKING, Any

from fer_lightning.version import __version__ as __version__

if TYPE_CHECKING:
    from fer_lightning.checkpoints.reading import load_model as load_model
    from fer_lightning.data.data_info import DataInfo as DataInfo
    from fer_lightning.data.datamodule import FERDataModule as FERDataModule
    from fer_lightning.data.input_spec import InputSpec as InputSpec
    from fer_lightning.errors import FERError as FERError
    from fer_lightning.inference.recognizer import ExpressionRecognizer as ExpressionRecognizer
    from fer_lightning.model.expression_model import ExpressionModel as ExpressionModel
    from fer_lightning.networks.expression_cnn import ExpressionCNN as ExpressionCNN
    from fer_lightning.training.classifier import ExpressionClassifier as ExpressionClassifier

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime notes each start in a file; nothing here reports home

_HOMES = {
    "DataInfo": "data.data_info",
    "ExpressionCNN": "networks.expression_cnn",
    "ExpressionClassifier": "training.classifier",
    "ExpressionModel": "model.expression_model",
    "ExpressionRecognizer": "inference.recognizer",
    "FERDataModule": "data.datamodule",
    "FERError": "errors",
    "InputSpec": "data.input_spec",
    "load_model": "checkpoints.reading",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `fer --version` need not wait for torch."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
