"""Learning rate over a whole training."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine(optimizer: Optimizer, steps: int, warmup: float) -> LambdaLR:
    """Rises linearly from near 0, then falls to 0 along half a cosine (arXiv 1706.02677 and 1608.03983, equation 5).

    Args:
        optimizer: Its learning rate is the top.
        steps: Length of the training; the schedule advances once a step.
        warmup: Share of the steps in which it rises.
    """
    rising = max(1, round(warmup * steps))

    def share(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising)))

    return LambdaLR(optimizer, share)
