"""SaveRunConfig: the run's configuration in its folder."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from fer_lightning.files import replace_text
from fer_lightning.storage import without_secret
from fer_lightning.training.classifier import ExpressionClassifier


class SaveRunConfig(SaveConfigCallback):
    """Saves the configuration, which the model knows for its checkpoints, as `config.yaml` in the run's folder."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the file when training starts; other verbs leave the run's configuration alone."""
        if stage == "fit" and isinstance(pl_module, ExpressionClassifier):
            replace_text(Path(self.config.runs_dir) / self.config.name / "config.yaml", pl_module.run_config)


def config_text(parser: ArgumentParser, given: Any) -> str:
    """A configuration without the checkpoint it was resumed from, so that, repeated, it is a run from the start.

    Passwords and signatures in addresses are left out: the text goes into checkpoints, and to loggers.
    """
    config = _without_secrets(given.clone())
    config["ckpt_path"] = None
    text: str = parser.dump(config, skip_none=False, format="yaml")
    return text


def _without_secrets(value: Any) -> Any:
    """The same with addresses as they may be shown."""
    if isinstance(value, Namespace | dict):
        for name, inner in list(vars(value).items() if isinstance(value, Namespace) else value.items()):
            value[name] = _without_secrets(inner)
        return value
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return without_secret(value) if isinstance(value, str) else value
