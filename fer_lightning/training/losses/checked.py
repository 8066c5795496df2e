"""A loss of any class, called and checked."""

import torch
from torch import Tensor, nn

from fer_lightning.errors import FERError


def scalar_loss(loss: nn.Module, logits: Tensor, targets: Tensor) -> Tensor:
    """The value of a loss module, a scalar that has a gradient.

    Args:
        loss: The module, perhaps of the user's own.
        logits: float `(n, classes)`.
        targets: float `(n, classes)`.

    Raises:
        FERError: If it gives something else, or fails, which its own code alone can explain.
    """
    path = f"{type(loss).__module__}.{type(loss).__qualname__}"
    try:
        value = loss(logits, targets)
    except (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError) as error:
        if path.startswith("fer_lightning.") or isinstance(error, torch.OutOfMemoryError):
            raise
        raise FERError(
            f"--model.loss {path} failed with logits and targets, both float {tuple(logits.shape)}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if isinstance(value, Tensor) and value.ndim == 0 and value.is_floating_point() and value.requires_grad:
        return value
    found = type(value).__name__
    if isinstance(value, Tensor):
        kind = f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
        found = kind if value.requires_grad else f"{kind} without a gradient"
    raise FERError(f"--model.loss {path}: expected a float scalar tensor that has a gradient. Received: {found}.")
