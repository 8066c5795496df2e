"""fer_lightning: facial expression recognition with PyTorch Lightning."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fer_lightning.data.datamodule import FERDataModule
    from fer_lightning.data.input_spec import InputSpec
    from fer_lightning.errors import FERError
    from fer_lightning.inference.recognizer import ExpressionRecognizer
    from fer_lightning.networks.expression_cnn import ExpressionCNN
    from fer_lightning.training.classifier import ExpressionClassifier

_HOMES = {
    "ExpressionClassifier": "fer_lightning.training.classifier",
    "ExpressionRecognizer": "fer_lightning.inference.recognizer",
    "ExpressionCNN": "fer_lightning.networks.expression_cnn",
    "FERDataModule": "fer_lightning.data.datamodule",
    "FERError": "fer_lightning.errors",
    "InputSpec": "fer_lightning.data.input_spec",
}

__all__ = [
    "ExpressionCNN",
    "ExpressionClassifier",
    "ExpressionRecognizer",
    "FERDataModule",
    "FERError",
    "InputSpec",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `fer --version` need not wait for torch."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
