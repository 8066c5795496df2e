"""LeakageNote: points out that images which are measured were trained on."""

from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, LightningModule, Trainer

from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.leakage import leaked_fraction
from fer_lightning.data.splits import TESTING, VALIDATION


class LeakageNote(Callback):
    """Compares the training images that a checkpoint knows with those that are measured now."""

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Point out that test images were trained on, or may have been."""
        data = getattr(trainer, "datamodule", None)
        known = CheckpointInfo.from_dict(checkpoint.get(KEY, {}), "The checkpoint").training
        if not isinstance(data, FERDataModule) or known is None:
            return
        if known.leakage_fingerprint:
            testing = trainer.state.fn == "test" or data.validates_on_testing
            if leaked := leaked_fraction(known.leakage_fingerprint, data.split, TESTING if testing else VALIDATION):
                rank_zero_only(print)(
                    f"Note   About {leaked:.0%} of the images that these weights were trained on have the name and "
                    "label of one measured here: if they are the same images, the figures are too good. For the "
                    f"training they were divided by --data.split {known.split}."
                )
        elif known.split_fingerprint and known.split_fingerprint != data.split.fingerprint:
            rank_zero_only(print)(
                "Note   These images are not divided as they were when the checkpoint was trained: test images may "
                "have been trained on."
            )
