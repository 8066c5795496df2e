"""ResumableEarlyStopping: early stopping that goes on with the patience it is given now."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason


class ResumableEarlyStopping(EarlyStopping):
    """Lightning's EarlyStopping, but a resumed run has the patience it is given now, not the one in the checkpoint."""

    @property
    def state_key(self) -> str:
        """What it is called in checkpoints."""
        return "PatientStopping" + super().state_key.removeprefix(type(self).__qualname__)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up best value and waiting time."""
        none = EarlyStoppingReason.NOT_STOPPED.value
        EarlyStoppingReason(state_dict.get("stopping_reason", none))  # a ValueError where it is none
        fresh = {
            "patience": self.patience,
            "stopped_epoch": 0,
            "stopping_reason": none,
            "stopping_reason_message": None,
        }
        super().load_state_dict(state_dict | fresh)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once if the run that is resumed had come to its end."""
        if self.wait_count and self.wait_count >= self.patience:
            self.stopped_epoch = trainer.current_epoch
            self.stopping_reason = EarlyStoppingReason.PATIENCE_EXHAUSTED
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check, unless the training ended within an epoch, before there was anything to go by."""
        if self.monitor in trainer.callback_metrics:
            super().on_train_epoch_end(trainer, pl_module)
