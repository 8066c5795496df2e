"""LineProgress: what progress in lines, with no bar of a terminal, has in common."""

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar


class LineProgress(ProgressBar):
    """A progress bar for Lightning that is none: it can be switched off, and is on in the first process alone."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True

    def disable(self) -> None:
        """Show nothing from now on."""
        self._enabled = False

    def enable(self) -> None:
        """Show it again."""
        self._enabled = True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave it to one process to say something."""
        super().setup(trainer, pl_module, stage)
        if not trainer.is_global_zero:
            self.disable()


def epoch_of(trainer: Trainer) -> str:
    """The epoch, counted from 1, as `Epoch 3/20`."""
    most = f"/{trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""
    return f"Epoch {trainer.current_epoch + 1}{most}"


def clock(seconds: float) -> str:
    """A duration as `1:05`, or `2:00:07` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
