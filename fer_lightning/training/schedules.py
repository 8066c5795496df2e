"""Learning rates over a whole training."""

import math
from typing import Any, Literal

from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR

from fer_lightning.data.data_info import TrainingData
from fer_lightning.data.progress import batches_of
from fer_lightning.errors import FERError, check_range


class WarmupCosine(LRScheduler):
    """Rises linearly from near 0, then falls to 0 along half a cosine (arXiv 1706.02677 and 1608.03983, equation 5).

    It advances with every step; the training tells it its length.

    Args:
        optimizer: Its learning rate is the top.
        warmup: Fraction of the steps in which it rises, 0 to 1.
    """

    interval = "step"

    def __init__(self, optimizer: Optimizer, warmup: float = 0.1) -> None:
        check_range("--model.lr_scheduler.warmup", warmup, 0, 1)
        self.warmup, self._steps = warmup, 1
        super().__init__(optimizer)

    def set_length(self, steps: int) -> None:
        """Learn the number of steps of the whole training."""
        self._steps = steps
        self._last_lr = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each group of parameters."""
        step, rising = self.last_epoch, max(1, round(self.warmup * self._steps))
        factor = (step + 1) / rising
        if step >= rising:
            factor = 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - rising) / max(1, self._steps - rising)))
        return [rate * factor for rate in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """All but the length, which a resumed training may change."""
        return {name: value for name, value in super().state_dict().items() if name not in ("_steps", "warmup")}


def interval_of(scheduler: Any) -> Literal["epoch", "step"]:
    """Whether a scheduler advances with steps or epochs: as it says itself, else as torch documents it."""
    if hasattr(scheduler, "interval"):
        return "step" if scheduler.interval == "step" else "epoch"
    return "step" if isinstance(scheduler, OneCycleLR | CyclicLR) else "epoch"


def keep_its_place(trainer: Trainer, training: TrainingData) -> None:
    """Let a WarmupCosine end with the training, also where an epoch has another number of steps since a resume."""
    loop = trainer.fit_loop
    batches, every = loop.epoch_loop.batch_progress, trainer.accumulate_grad_batches
    for schedule in (config.scheduler for config in trainer.lr_scheduler_configs):
        if not isinstance(schedule, WarmupCosine) or not training.batch_size or trainer.max_steps > 0:
            continue
        whole = total_steps(trainer, training)
        epochs: int = loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        done = epochs * whole // (trainer.max_epochs or 1)
        done += 0 if batches.is_last_batch else batches.current.ready // every
        if done != schedule.last_epoch:
            schedule.set_length(schedule.last_epoch + whole - done)


def total_steps(trainer: Trainer, training: TrainingData) -> int:
    """Steps of a whole training; an FERError if it has no end.

    Lightning's own figure would make the first epoch's batches too early to resume within an epoch; it is asked where
    the data do not say how many batches there are.
    """
    epochs, limit = trainer.max_epochs or 0, trainer.limit_train_batches
    if epochs < 1 and trainer.max_steps < 1:
        raise FERError("WarmupCosine needs to know the length: give --trainer.max_epochs or max_steps.")
    if not training.batch_size or not training.class_counts:
        return int(trainer.estimated_stepping_batches)
    batches = batches_of(sum(training.class_counts) // trainer.world_size, training.batch_size, limit)
    steps = epochs * -(-batches // trainer.accumulate_grad_batches)
    return min(end for end in (steps, trainer.max_steps) if end > 0)
