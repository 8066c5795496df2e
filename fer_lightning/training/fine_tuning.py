"""Which parts of a network learn, and how fast."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lightning.pytorch.cli import OptimizerCallable
from torch import nn
from torch.optim import Optimizer

from fer_lightning.errors import FERError, constructing


@dataclass(frozen=True)
class FineTuning:
    """How a training starts from what was learned before, and holds on to it.

    Attributes:
        weights: Start the network from a file: a checkpoint or exported weights of ours, `pretrained`, or a state dict
            such as torchvision's. What does not fit starts afresh; of the last layer, the classes that the file does
            not know.
        freeze: Parts of the network that are not trained, by the start of their parameters' names, such as
            `[stem, stages.0]`; their batch normalization keeps its statistics.
        layer_decay: The learning rate of each part of the network is this times that of the next one towards the output
            (arXiv 1801.06146, section 3.2); parts are the first level of the parameters' names, or one of a
            numbered row, such as `stages.0`. 1 for all the same.
    """

    weights: str | None = None
    freeze: list[str] | None = None
    layer_decay: float = 1.0


def freeze(network: nn.Module, starts: Sequence[str]) -> list[nn.Module]:
    """Take parameters out of the training by the start of their names, such as `stem` or `stages.0`.

    Returns:
        The modules that hold them, to be kept in evaluation.

    Raises:
        FERError: If nothing starts so, or nothing is left to train.
    """
    frozen: dict[str, nn.Module] = {}
    for start in starts:
        found = [name for name, _ in network.named_parameters() if f"{name}.".startswith(f"{start}.")]
        if not found:
            raise FERError(
                f"--model.fine_tuning.freeze: nothing in the network starts with '{start}'. Expected "
                f"{', '.join(parts(network))}."
            )
        for name in found:
            network.get_parameter(name).requires_grad_(False)
            module = name.rpartition(".")[0]
            frozen[module] = network.get_submodule(module)
    if starts and not any(value.requires_grad for value in network.parameters()):
        raise FERError("--model.fine_tuning.freeze leaves nothing to train.")
    return list(frozen.values())


def parts(network: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trained parameters by the parts of the network they belong to, from the input on.

    A part is a first level of their names, such as `conv1`, or one of a numbered row, such as `stages.0`; the name of a
    wrapper, as in `model.conv1`, is no level.
    """
    found: dict[str, list[nn.Parameter]] = defaultdict(list)
    wrapped = int(len(list(network.children())) == 1)
    for name, value in network.named_parameters():
        if value.requires_grad:
            levels = name.split(".")
            numbered = "".join(levels[wrapped + 1 : wrapped + 2]).isdigit()
            found[".".join(levels[: wrapped + 1 + numbered])].append(value)
    return found


def parameter_groups(network: nn.Module, layer_decay: float) -> list[dict[str, Any]]:
    """The trained parameters for an optimizer: in one group, or one for each part with its `factor` of the rate."""
    if layer_decay == 1:
        return [{"params": [value for value in network.parameters() if value.requires_grad]}]
    groups = list(parts(network).values())
    last = len(groups) - 1
    return [{"params": values, "factor": layer_decay ** (last - place)} for place, values in enumerate(groups)]


def layered_optimizer(
    make: OptimizerCallable, network: nn.Module, layer_decay: float, rate: float | None = None
) -> Optimizer:
    """An optimizer over the trained parameters; `rate` takes the place of its learning rate.

    Raises:
        FERError: If it does not take its values.
    """
    with constructing("--model.optimizer"):
        optimizer = make(parameter_groups(network, layer_decay))
    for group in optimizer.param_groups:
        group["lr"] = (group["lr"] if rate is None else rate) * group.pop("factor", 1.0)
    return optimizer
