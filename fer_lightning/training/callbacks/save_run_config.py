"""SaveRunConfig: the run's configuration in its folder."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from fer_lightning.files import replace_text
from fer_lightning.training.classifier import ExpressionClassifier


class SaveRunConfig(SaveConfigCallback):
    """Saves the configuration, which the model knows for its checkpoints, as `config.yaml` in the run's folder."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the file when training starts; other verbs leave the run's configuration alone."""
        if stage == "fit" and isinstance(pl_module, ExpressionClassifier):
            replace_text(Path(self.config.runs_dir) / self.config.name / "config.yaml", pl_module.run_config)


def config_text(parser: ArgumentParser, given: Any) -> str:
    """A configuration without the checkpoint it was resumed from: repeated, it is a run from the start."""
    config: Any = given.clone()
    config["ckpt_path"] = None
    text: str = parser.dump(config, skip_none=False, format="yaml")
    return text
