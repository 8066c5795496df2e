"""PerStepSeed: what is random in a step is a function of the step."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from fer_lightning.seeding import seed_step


class PerStepSeed(Callback):
    """Seeds torch's random numbers anew before every step, from (seed, step, device).

    Dropout and the like are then a function of the step alone: a resumed run draws what the uninterrupted one drew,
    whatever was drawn in between.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Seed the generators of all devices."""
        step = trainer.fit_loop.epoch_loop.total_batch_idx
        seed_step("", self.seed, step, trainer.global_rank, trainer.strategy.root_device)
