"""A loss of any class, called and checked."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fer_lightning.errors import FERError


def without_parameters(loss: nn.Module) -> nn.Module:
    """A loss module that has nothing to be trained.

    Raises:
        FERError: If it has: the optimizer is over the network alone, so that it would silently stay as it is.
    """
    if names := [name for name, value in loss.named_parameters() if value.requires_grad]:
        raise FERError(
            f"--model.loss {type(loss).__module__}.{type(loss).__qualname__} has parameters of its own "
            f"({', '.join(names[:3])}), and the optimizer trains the network alone. Put them into the network, or make "
            "them constants (register_buffer)."
        )
    return loss


def with_loss(state: Mapping[str, Tensor], loss: nn.Module) -> dict[str, Tensor]:
    """A classifier's state with that of this loss, whichever loss it was trained with."""
    others = {name: value for name, value in state.items() if not name.startswith("loss.")}
    return others | {f"loss.{name}": value for name, value in loss.state_dict().items()}


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
