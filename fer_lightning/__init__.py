"""fer_lightning: facial expression recognition with PyTorch Lightning."""

from typing import TYPE_CHECKING, Any

from fer_lightning.version import __version__

if TYPE_CHECKING:
    from fer_lightning.checkpoints.reading import load_model
    from fer_lightning.data.data_info import DataInfo
    from fer_lightning.data.datamodule import FERDataModule
    from fer_lightning.data.input_spec import InputSpec
    from fer_lightning.errors import FERError
    from fer_lightning.inference.recognizer import ExpressionRecognizer
    from fer_lightning.model.expression_model import ExpressionModel
    from fer_lightning.networks.expression_cnn import ExpressionCNN
    from fer_lightning.training.classifier import ExpressionClassifier

_HOMES = {
    "DataInfo": "fer_lightning.data.data_info",
    "ExpressionClassifier": "fer_lightning.training.classifier",
    "ExpressionModel": "fer_lightning.model.expression_model",
    "ExpressionRecognizer": "fer_lightning.inference.recognizer",
    "ExpressionCNN": "fer_lightning.networks.expression_cnn",
    "FERDataModule": "fer_lightning.data.datamodule",
    "FERError": "fer_lightning.errors",
    "InputSpec": "fer_lightning.data.input_spec",
    "load_model": "fer_lightning.checkpoints.reading",
}

__all__ = [
    "DataInfo",
    "ExpressionCNN",
    "ExpressionClassifier",
    "ExpressionModel",
    "ExpressionRecognizer",
    "FERDataModule",
    "FERError",
    "InputSpec",
    "__version__",
    "load_model",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `fer --version` need not wait for torch."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
