"""The exponential moving average of a network's weights."""

from itertools import chain

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move an average of weights and buffers, in place, towards a network (arXiv 1703.01780, section 2).

    `decay` is what remains of it; less in the first steps, and nothing in step 0.
    """
    means, values = ([*chain(module.parameters(), module.buffers())] for module in (average, network))
    pairs = list(zip(means, values, strict=True))
    if floats := [pair for pair in pairs if step and pair[0].is_floating_point()]:
        move = get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))  # type: ignore[no-untyped-call]
        move(*map(list, zip(*floats, strict=True)), step)
    for mean, value in pairs:
        if not step or not mean.is_floating_point():
            mean.copy_(value)
