"""A data module that the user names."""

from importlib import import_module

from lightning.pytorch import LightningDataModule

from fer_lightning.errors import FERError


def own_data_module(class_path: str) -> type[LightningDataModule]:
    """A data module of the user's own, which can say what is in it.

    Raises:
        FERError: If it cannot be imported, is no data module, or cannot say that.
    """
    module, _, name = class_path.rpartition(".")
    try:
        kind: type[LightningDataModule] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FERError(f"Invalid value for --data_module. Cannot import '{class_path}': {error}.") from None
    if not (isinstance(kind, type) and issubclass(kind, LightningDataModule) and hasattr(kind, "info")):
        raise FERError(
            f"Invalid value for --data_module. Expected a LightningDataModule with a property 'info' that returns a "
            f"fer_lightning.DataInfo: class names and input specification. Received: {class_path}."
        )
    return kind
