"""The command line: Lightning's verbs, each ready to run as it stands."""

from __future__ import annotations

import errno
import logging
import re
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from filelock import FileLock, Timeout
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fer_lightning import __version__
from fer_lightning.checkpoints.atomic_io import AtomicCheckpointIO
from fer_lightning.checkpoints.reading import find_checkpoint, saved_settings
from fer_lightning.checkpoints.weights import SUFFIX
from fer_lightning.cli.commands import VERBS, run_verb
from fer_lightning.cli.main import command
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.summary import describe
from fer_lightning.errors import FERError
from fer_lightning.training.callbacks.callbacks import (
    EpochMetricsCSV,
    PerStepSeed,
    ResumableEarlyStopping,
    RunSummary,
    SaveRunConfig,
)
from fer_lightning.training.callbacks.evaluation_report import EvaluationReport
from fer_lightning.training.callbacks.last_checkpoint import LastCheckpoint
from fer_lightning.training.classifier import LOGGED, ExpressionClassifier
from fer_lightning.training.precision import fastest_precision

_VERBS = ("fit", "validate", "test")


class _Parser(LightningArgumentParser):
    """Answers a mistake with its message alone; the usage of all options would push it off the screen."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message as the project's own error."""
        if re.search(r"No module named 'timm|import of timm", message):  # the optimiser of configs/ferplus.yaml
            message = "This needs timm, for its optimiser or its network: pip install timm, or '.[timm]' with the rest."
        raise FERError(f"{message}\nAll options: {command()} {self._verb()}--help") from ex

    def _verb(self) -> str:
        words = self.prog.replace(" [options]", "").split()
        return f"{words[-1]} " if words[-1] in _VERBS else ""


class FERCommandLine(LightningCLI):
    """LightningCLI with the project's defaults, run folders and checkpoints that bring their settings along."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run's name, the callbacks that are always there, and what the model takes from the data."""
        parser.add_argument("--name", type=str, default="default", help="Name of the run and of its folder.")
        parser.add_argument("--runs_dir", type=str, default="runs", help="Folder that holds the runs.")
        parser.add_lightning_class_args(ResumableEarlyStopping, "early_stopping")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint_best")
        parser.add_lightning_class_args(LastCheckpoint, "checkpoint_last")
        parser.set_defaults(_DEFAULTS)
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        parser.link_arguments("data.class_names", "model.class_names", apply_on="instantiate")
        parser.link_arguments("data.preprocessing", "model.preprocessing", apply_on="instantiate")
        for name in ("num_classes", "in_channels", "image_size"):
            parser.link_arguments(f"data.{name}", f"model.network.init_args.{name}", apply_on="instantiate")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's verbs but `predict`, as ours takes photographs and video without a data set or a Trainer."""
        known = LightningCLI.subcommands()
        return {verb: known[verb] for verb in _VERBS}

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        super()._add_subcommands(parser, **kwargs)
        subcommands = parser._subcommands_action
        if subcommands is not None:
            for verb, description in VERBS.items():  # they never come here: `main` runs them; this is for --help
                subcommands.add_subcommand(verb, _Parser(description=description), help=description)

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand in ("validate", "test"):
            parser.set_defaults({"verbose": False})  # our own report says more
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse what the user says on top of configs/default.yaml and of the settings in a given checkpoint."""
        words = _configs_first(list(args))  # type: ignore[arg-type]
        at = next((place + 1 for place, word in enumerate(words) if word in _VERBS), 0)
        if at:
            words[at:at] = ["--config", str(default_config())]
        super().parse_arguments(parser, words)
        verb = self.config.subcommand
        config = self.config[verb]
        given = config.get("ckpt_path")
        if given is None:
            if verb != "fit":
                raise FERError(
                    f"{verb} needs a checkpoint: without one the network's weights are random. Expected --ckpt_path "
                    "best, last or a file."
                )
            return
        path = find_checkpoint(str(given), Path(config.runs_dir) / config.name)
        finetune = verb == "fit" and path.suffix == SUFFIX
        saved = saved_settings(path, everything=verb == "fit")
        if finetune:  # weights without a training to go on with: a new run starts from them, with classes of its own
            saved["model"]["weights"] = str(path)
            saved["data"].pop("classes")
            saved["model"].pop("class_prior", None)
        if path.parent.name == "checkpoints":  # the run is where its checkpoint lies, whatever it was called before
            run_dir = path.parent.parent
            saved |= {"name": run_dir.name, "runs_dir": str(run_dir.parent)}
        elif verb != "fit":  # not into the folder of a run that has nothing to do with it
            saved["name"] = path.stem
        words[at + 2 : at + 2] = ["--config", yaml.safe_dump(saved)]
        super().parse_arguments(parser, words)
        self.config[verb]["ckpt_path"] = None if finetune else str(path)
        if finetune:  # also where a recipe names other weights
            self.config[verb]["model"]["weights"] = str(path)

    def _parse_ckpt_path(self) -> None:
        """Not Lightning's way: there, the checkpoint's hyper-parameters silently beat the command line."""

    def before_instantiate_classes(self) -> None:
        """Settle the run's folder; check what is monitored."""
        self._lock: FileLock | None = None
        if self.subcommand == "fit":
            self._check_monitors(self.config[self.subcommand])
        self.run_dir = Path(self._get(self.config, "runs_dir")) / self._get(self.config, "name")

    def _check_monitors(self, config: Any) -> None:
        """What decides which epoch is kept must be there, and be followed in its own direction."""
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

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with the run's loggers unless others were asked for."""
        settings = self._get(self.config_init, "trainer")
        if settings.get("logger") in (None, True):
            logger = TensorBoardLogger(self.run_dir.parent, self.run_dir.name, version="")
            kwargs["logger"] = logger if self.subcommand == "fit" else False
        kwargs["plugins"] = [AtomicCheckpointIO(), *_listed(settings.get("plugins"))]
        if self.subcommand == "fit":
            if settings.get("precision") is None:
                kwargs["precision"] = fastest_precision(settings.get("accelerator"))
        else:
            kwargs["enable_checkpointing"] = False
        try:
            return super().instantiate_trainer(**kwargs, use_distributed_sampler=False)
        except (ValueError, TypeError, RuntimeError) as error:
            raise FERError(f"The --trainer options do not work here: {error}") from error

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Any]) -> Trainer:
        chosen = self._get(self.config_init, "trainer").get("precision") is None
        summary = RunSummary(command(), self.run_dir, chosen)
        if self.subcommand == "fit":
            for callback in callbacks:  # not in the configuration: a run repeated from it must not write here
                if isinstance(callback, ModelCheckpoint | LastCheckpoint) and callback.dirpath is None:
                    callback.dirpath = str(self.run_dir / "checkpoints")
            randomness = PerStepSeed(int(self._get(self.config, "seed_everything")))
            callbacks = [EpochMetricsCSV(self.run_dir / "metrics.csv"), randomness, summary, *callbacks]
        else:
            callbacks = [EvaluationReport(self.run_dir)]
        return super()._instantiate_trainer(config, callbacks)

    def before_fit(self) -> None:
        """Prepare the data before any other process starts; then move an earlier run of the same name aside."""
        config = self.config[self.subcommand]
        for size in self.datamodule.augmentation.sizes:
            self.model.check_network(size)
        self.model.open_teacher()
        self.model.make_optimizer()  # before an earlier run is moved aside
        self._prepare()
        if not config.trainer.fast_dev_run:
            within = config.ckpt_path is not None and self.run_dir.resolve() in Path(config.ckpt_path).resolve().parents
            self._take_run_dir(resume=within)

    def after_fit(self) -> None:
        """Let the run's folder go."""
        if self._lock is not None:
            self._lock.release()

    def before_validate(self) -> None:
        """Prepare the data."""
        self._prepare()

    def before_test(self) -> None:
        """Prepare the data."""
        self._prepare()

    @rank_zero_only
    def _prepare(self) -> None:
        """Say what is used and decode it: a broken image must not move an earlier run aside."""
        print(describe(self.datamodule), flush=True)
        self.datamodule.prepare_data()

    @rank_zero_only
    def _take_run_dir(self, resume: bool) -> None:
        """Hold the run's folder for this process alone; unless this resumes, keep an earlier run under another name."""
        try:
            self.run_dir.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FERError(
                f"Cannot make the folder '{self.run_dir.parent}' for runs ({error.strerror}). Choose another place "
                "with --runs_dir DIR."
            ) from None
        self._lock = FileLock(self.run_dir.parent / f".{self.run_dir.name}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise FERError(f"Another fit is writing to '{self.run_dir}'. Choose another --name.") from None
        if not resume and self.run_dir.is_dir() and any(self.run_dir.iterdir()):
            stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self.run_dir.stat().st_mtime))
            kept = self.run_dir.with_name(f"{self.run_dir.name}-{stamp}")
            while kept.exists():
                kept = kept.with_name(kept.name + "+")
            self.run_dir.rename(kept)
            print(f"Run    {self.run_dir} held an earlier run, now {kept}")


_DEFAULTS: dict[str, Any] = {
    "model.network": {"class_path": "fer_lightning.networks.ExpressionCNN"},
    "early_stopping.monitor": "val_acc",
    "early_stopping.mode": "max",
    "early_stopping.patience": 3,
    "trainer.enable_model_summary": False,
    "checkpoint_best.monitor": "val_acc",
    "checkpoint_best.mode": "max",
    "checkpoint_best.filename": "best",
    "checkpoint_best.enable_version_counter": False,
    "checkpoint_best.save_on_train_epoch_end": True,
}


def _configs_first(words: list[str]) -> list[str]:
    """The files of a command line before its options, in their order: what is said on the line wins."""
    at = next((place + 1 for place, word in enumerate(words) if word in _VERBS), 0)
    files: list[str] = []
    others: list[str] = []
    left = iter(words[at:])
    for word in left:
        if word in ("--config", "-c"):
            files += [word, *([value] if (value := next(left, None)) is not None else [])]
        else:
            (files if word.startswith("--config=") else others).append(word)
    return words[:at] + (files + others if at else others)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


_LOST_PEER = ("Connection reset by peer", "Connection closed by peer", "Broken pipe", "remote process exited")
"""What gloo and NCCL say when a process they talk to is gone."""


def default_config() -> Path:
    """`configs/default.yaml`: beside the package in a checkout, inside it when installed from a wheel."""
    here = Path(__file__).parents[1]
    inside = here / "configs" / "default.yaml"
    return inside if inside.is_file() else here.parent / "configs" / "default.yaml"


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: The words after the program's name; None takes those of the process.

    Raises:
        SystemExit: With status 2 and a message on standard error after a user's mistake.
    """
    _quieten()
    words = list(sys.argv[1:] if args is None else args)
    try:
        if words and words[0] in VERBS:
            run_verb(words[0], words[1:])
            return
        FERCommandLine(
            ExpressionClassifier,
            FERDataModule,
            save_config_callback=SaveRunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_kwargs={"version": __version__, "description": __doc__},
            parser_class=_Parser,
            args=words,
        )
    except (FERError, MisconfigurationException) as error:
        _fail(str(error))
    except SIGTERMException:
        raise SystemExit(128 + signal.SIGTERM) from None  # Lightning's own status says that all went well
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _LOST_PEER):
            raise
        _fail(
            "Another process of this training has ended unexpectedly, so this one ends too. Look above for its "
            "message; without one it was probably killed, for instance for want of memory. Go on with --ckpt_path last."
        )
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _fail(
                "The disk is full. Free some space, or choose another place with --runs_dir DIR; then go on with "
                "--ckpt_path last: the checkpoint before this one is whole."
            )
        if error.filename is None and error.errno is None:
            raise
        _fail(f"{error.strerror}: '{error.filename}'" if error.filename else str(error))


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise SystemExit(2)


def _quieten() -> None:
    """Keep the terminal for what concerns the user."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_advertisement)
    for message in (
        ".*does not have many workers.*",
        ".*could not find the monitored key in the returned metrics.*",  # a training that ends within its first epoch
        ".*exists and is not empty.*",
        ".*callbacks used to create the checkpoint need to be provided.*",
        ".*LightningCLI's args parameter.*",
        ".*your dataloader is not resumable.*",  # the sampler is: see FERDataModule
        ".*number of training batches.*is smaller than the logging interval.*",
        ".*torch.distributed.nn.functional.all_gather is deprecated.*",
        ".*isinstance.treespec, LeafSpec.. is deprecated.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return (
        not record.getMessage()
        .lstrip()
        .startswith(("💡", "TPU available", "HPU available", "GPU available: False", "Using bfloat16"))
    )
