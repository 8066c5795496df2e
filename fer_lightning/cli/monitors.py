"""What decides which epoch is kept."""

from typing import Any

from fer_lightning.errors import FERError
from fer_lightning.training.metrics import LOGGED


def check_monitors(config: Any) -> None:
    """Make sure that what a `fit` follows is there; set each `mode` to the direction in which it improves.

    Raises:
        FERError: If an option does not fit.
    """
    for option in ("early_stopping", "checkpoint_best"):
        monitor = config[option].monitor
        if monitor not in LOGGED:
            raise FERError(
                f"Invalid value for --{option}.monitor. Expected one of {', '.join(LOGGED)}. Received: {monitor}."
            )
        if monitor.startswith("val_") and config.trainer.limit_val_batches == 0:
            raise FERError(
                f"--{option}.monitor {monitor} needs validation, but --trainer.limit_val_batches is 0. Expected "
                "validation, or train_loss or train_acc for both monitors."
            )
        config[option].mode = "min" if monitor.endswith("_loss") else "max"
    best = config.checkpoint_best
    if best.save_top_k != 1 and "{" not in (best.filename or ""):
        raise FERError(
            f"Invalid value for --checkpoint_best.save_top_k. Expected 1, as '{best.filename}.ckpt' is one file. "
            f"Received: {best.save_top_k}. More need a name of their own: --checkpoint_best.filename '{{epoch}}'."
        )
