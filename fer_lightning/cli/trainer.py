"""Lightning's verbs, each ready to run as it stands."""

import inspect
import signal
import sys
import threading
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fer_lightning.checkpoints.atomic_io import AtomicCheckpointIO
from fer_lightning.checkpoints.finding import DEFAULT_RUN, name_of, origin_of
from fer_lightning.checkpoints.saved_config import leave_old_data, saved_settings
from fer_lightning.checkpoints.weights import SUFFIX
from fer_lightning.cli import lr_find
from fer_lightning.cli.callbacks import SLICES, callbacks_of_fit, callbacks_of_measuring, progress_bar
from fer_lightning.cli.commands import VERBS, take
from fer_lightning.cli.configs import DEFAULT, layers, named_classes, said_of_data
from fer_lightning.cli.data_module import own_data_module
from fer_lightning.cli.fit_options import check_options
from fer_lightning.cli.fit_start import check_epoch, check_origin, check_start
from fer_lightning.cli.node_runs import take_run
from fer_lightning.cli.nodes import nodes, refusing_together
from fer_lightning.cli.parser import OneMessage
from fer_lightning.cli.run_folder import check_report, is_within, run_of
from fer_lightning.cli.run_place import place_of
from fer_lightning.cli.same_settings import check_same
from fer_lightning.cli.stopping import lost_peer
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.errors import FERError, constructing
from fer_lightning.names import check_name, file_name
from fer_lightning.networks.class_paths import full_path
from fer_lightning.networks.rebuilding import LINKED
from fer_lightning.program import program
from fer_lightning.reports.data_summary import describe
from fer_lightning.training.callbacks.last_checkpoint import STOPPING, LastCheckpoint
from fer_lightning.training.callbacks.resumable_early_stopping import ResumableEarlyStopping
from fer_lightning.training.callbacks.save_run_config import SaveRunConfig, config_text
from fer_lightning.training.classifier import ExpressionClassifier
from fer_lightning.training.precision import fastest_precision


class _Parser(OneMessage, LightningArgumentParser):
    """Lightning's parser, with one message for a mistake."""


class FERCommandLine(LightningCLI):
    """LightningCLI with the project's defaults, run folders and checkpoints that bring their settings along."""

    _held: ExitStack | None = None
    _origin: str | None = None

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run's name, the callbacks that are always there, and what the model takes from the data."""
        parser.add_argument("--name", type=str, default="default", help="Name of the run and of its folder.")
        parser.add_argument("--runs_dir", type=str, default="runs", help="Folder that holds the runs.")
        parser.add_lightning_class_args(ResumableEarlyStopping, "early_stopping")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint_best")
        parser.add_lightning_class_args(LastCheckpoint, "checkpoint_last")
        defaults = cast(OneMessage, parser).named(yaml.safe_load(DEFAULT.read_text(encoding="utf-8")))
        parser.set_defaults({name: value for name, value in defaults if f"--{name}" in parser._option_string_actions})
        parser.link_arguments("data.info", "model.data", apply_on="instantiate")
        for name, value in LINKED.items():
            target = f"model.network.init_args.{name}"
            parser.link_arguments("data.info", target, compute_fn=value, apply_on="instantiate")
        if self.datamodule_class is FERDataModule:
            parser.link_arguments("seed_everything", "data.seed", compute_fn=int)

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's verbs but `predict`, as ours takes images and video without a data set or a Trainer."""
        known = LightningCLI.subcommands()
        return {verb: known[verb] for verb in ("fit", "validate", "test")}

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.usage = f"{program()} {subcommand} [options]"
        if subcommand == "fit":
            parser.add_argument("--lr_find", type=bool, default=False, help=lr_find.HELP)
        if subcommand in ("validate", "test") and self.datamodule_class is FERDataModule:
            parser.set_defaults({"verbose": False})  # our own report says more
            parser.add_argument("--slices", type=list[str] | str | None, default=None, help=SLICES)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Lay options, wherever they stand, over configurations in their order, a checkpoint's, and default.yaml."""
        verb, *words = list(args)  # type: ignore[arg-type]
        if "--help_all" in words:
            parser.parse_args([verb, "--help"])
        tell = rank_zero_only(lambda line: print(line, file=sys.stderr, flush=True))
        given, options = layers(words, tell)
        known = cast(OneMessage, self._parser(verb))
        trusted: set[str] = set()
        if verb != "fit":
            taken, options = take(options, "--network")
            trusted.update(x if "://" in x else full_path(x) for x in taken.get("network", ()))
        known.check_options(options, VERBS[verb].options)
        for layer in given:
            known.check_settings(layer.settings, layer.name)
        place = place_of(verb, given, options)
        texts = [layer.text for layer in given]
        path, finetune = place.checkpoint, False
        if path is not None:
            finetune = verb == "fit" and path.suffix == SUFFIX
            trusted |= named_classes(given, options) | said_of_data(given, options)
            folder = place.folder if place.named else None
            saved = self._settings(verb, path, finetune, trusted, folder)
            texts.insert(0, yaml.safe_dump(saved))
        elif verb != "fit" and not any(word.partition("=")[0] == "--print_config" for word in options):
            raise FERError(
                f"{verb} needs a checkpoint: without one the network's weights are random. Expected --ckpt_path "
                "best, last or a file."
            )
        self.config = parser.parse_args([verb, *(f"--config={text}" for text in texts), *options])
        self.config[verb]["ckpt_path"] = None if finetune or path is None else str(path)
        if path is not None:
            data, resumed = self.config[verb].get("data") or {}, verb == "fit" and not finetune
            leave_old_data(data, saved["data"], said_of_data(given, options), tell, resumed)
        if verb == "fit" and path is not None and not finetune:
            tuning = self.config[verb]["model"]["fine_tuning"]
            check_origin(tuning["weights"], saved["model"]["fine_tuning"]["weights"], path)
            self._origin, tuning["weights"] = tuning["weights"], None  # a checkpoint has its own
        check_options(self.config[verb], verb == "fit")
        if finetune and path:  # also where a recipe names other weights
            self.config[verb]["model"]["fine_tuning"]["weights"] = origin_of(path)

    def _settings(
        self, verb: str, path: Path, finetune: bool, trusted: Collection[str], folder: Path | None
    ) -> dict[str, Any]:
        """What a checkpoint says of its training, as far as it holds for what is done now; `folder` is the run's."""
        kinds = _KINDS | {"data": self.datamodule_class}
        run_dir = run_of(path)
        folder = folder or run_dir or DEFAULT_RUN
        saved = saved_settings(path, verb == "fit", trusted, kinds, folder)
        if finetune:  # weights without a training to go on with: a new run starts from them, with classes of its own
            saved["model"]["fine_tuning"]["weights"] = origin_of(path)
            del saved["data"]["classes"], saved["data"]["label_names"]
            saved["model"].pop("class_prior", None)
        if run_dir:  # the run is where its checkpoint lies, whatever it was called before
            saved |= {"name": run_dir.name, "runs_dir": str(run_dir.parent)}
        elif verb != "fit":  # not into the folder of a run that has nothing to do with it
            saved["name"] = file_name(name_of(path))
        known = inspect.signature(cast(type, self.datamodule_class)).parameters  # of the user's own there are others
        return saved | {"data": {name: value for name, value in saved["data"].items() if name in known}}

    def _parse_ckpt_path(self) -> None:
        """Not Lightning's way: there, the checkpoint's hyper-parameters silently beat the command line."""

    def before_instantiate_classes(self) -> None:
        """Settle the run's folder."""
        name = check_name(str(self._get(self.config, "name")), "--name")
        self.run_dir = Path(self._get(self.config, "runs_dir")) / name
        if self.subcommand != "fit" and (path := self._get(self.config, "ckpt_path")) is not None:
            check_report(self.run_dir, Path(path), str(self.subcommand))

    def instantiate_classes(self) -> None:
        """Make data, model and Trainer; what they do not take is one message."""
        with constructing():
            super().instantiate_classes()

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Any]) -> Trainer:
        """The trainer with the run's own callbacks, and with its loggers unless others were asked for."""
        fit, chosen = self.subcommand == "fit", config.get("precision") is None
        plugins = config.get("plugins") or []
        config["plugins"] = [AtomicCheckpointIO(), *(plugins if isinstance(plugins, list) else [plugins])]
        if config.get("logger") in (None, True):
            config["logger"] = TensorBoardLogger(self.run_dir.parent, self.run_dir.name, version="") if fit else False
        if fit:
            config["default_root_dir"] = config.get("default_root_dir") or str(self.run_dir)
            for callback in callbacks:  # not in the configuration: a run repeated from it must not write here
                if isinstance(callback, ModelCheckpoint | LastCheckpoint) and callback.dirpath is None:
                    callback.dirpath = str(self.run_dir / "checkpoints")
            if chosen:
                config["precision"] = fastest_precision(config["accelerator"])
            seed = int(self._get(self.config, "seed_everything"))
            callbacks = [*callbacks_of_fit(self.run_dir, seed, chosen), *callbacks]
        else:
            config["enable_checkpointing"] = False
            callbacks = callbacks_of_measuring(self.run_dir, self.datamodule, self._get(self.config, "slices"))
        callbacks = [*progress_bar(config), *callbacks]
        if self.datamodule_class is FERDataModule:
            config = config | {"use_distributed_sampler": False}  # its samplers divide by themselves, resumably
        try:
            return super()._instantiate_trainer(config, callbacks)
        except (ValueError, TypeError, RuntimeError, ImportError, MisconfigurationException) as error:
            raise FERError(f"The --trainer options do not work here: {error}") from error

    def before_fit(self) -> None:
        """Prepare the data before any other process starts; then move an earlier run of the same name aside."""
        model = self.model.model  # all of this before an earlier run is moved aside
        for size in getattr(getattr(self.datamodule, "augmentation", None), "progressive_sizes", ()):
            model.check_network(size)
        if self.model.distillation:
            self.model.distillation.prepare(self.model.data_info)
        if isinstance(self.datamodule, FERDataModule):
            self.datamodule.subsets.check_folds()
        check_epoch(self.trainer, self.model)
        path = self._get(self.config, "ckpt_path")
        tuning = self.config["fit"]["model"]["fine_tuning"]
        tuning["weights"] = tuning["weights"] or self._origin  # repeated, the run starts from these again
        finder = lr_find.take_finder(self.trainer, self.model, self.config["fit"], path is not None)
        self.model.run_config = config_text(self._parser("fit"), self.config["fit"])
        check_start(path, self.trainer, self.model, self.datamodule, self.run_dir)
        check_same(nodes(), self.model.run_config, path, self.datamodule)
        self._prepare()
        curve = finder and lr_find.search(finder, self.trainer, self.model, self.datamodule, self.config["fit"])
        if curve:
            self.model.run_config = config_text(self._parser("fit"), self.config["fit"])
        if not self._get(self.config, "trainer").fast_dev_run:
            self._held = take_run(nodes(), self.trainer, self.run_dir, bool(path and is_within(path, self.run_dir)))
        if curve:
            lr_find.draw(curve, self.run_dir)

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the verb; the run's folder and the signals are let go however it ends."""
        numbers = (signal.SIGTERM, *STOPPING)
        before = {number: signal.getsignal(number) for number in numbers}
        try:
            super()._run_subcommand(subcommand)
        except SystemExit as error:
            if error.code == 1 and self.trainer.interrupted:  # Lightning's status after KeyboardInterrupt
                stops = [c.asked_to_stop for c in self.trainer.checkpoint_callbacks if isinstance(c, LastCheckpoint)]
                raise SystemExit(128 + max([*stops, 0] if any(stops) else [signal.SIGINT])) from None
            raise
        except Exception as error:
            if isinstance(error, FERError | OSError) or not self.trainer._checkpoint_connector._loaded_checkpoint:
                raise
            raise FERError(
                f"Cannot take up '{self._get(self.config, 'ckpt_path')}': it is damaged, or for something else "
                f"({type(error).__name__}: {error}). Use another checkpoint."
            ) from error
        finally:
            for number, handler in before.items():
                if handler is not None and threading.current_thread() is threading.main_thread():
                    signal.signal(number, handler)
            if self._held:
                self._held.close()

    def before_validate(self) -> None:
        """Prepare the data."""
        config = config_text(self._parser(self.subcommand), self.config[self.subcommand])
        check_same(nodes(), config, self._get(self.config, "ckpt_path"), self.datamodule)
        self._prepare()

    before_test = before_validate

    def _prepare(self) -> None:
        """Say what is used, and decode it on each machine: a broken image must not move an earlier run aside."""
        first, there = self.trainer.is_global_zero, nodes()
        if isinstance(self.datamodule, FERDataModule) and (first or (there and there.first)):
            if first:
                print(describe(self.datamodule), end="", flush=True)
            self.datamodule.prepare(self.subcommand)


_KINDS = {
    "model": ExpressionClassifier,
    "trainer": Trainer,
    "early_stopping": ResumableEarlyStopping,
    "checkpoint_best": ModelCheckpoint,
    "checkpoint_last": LastCheckpoint,
}
"""What the sections of a configuration are the arguments of."""


def run(verb: str, words: Sequence[str]) -> None:
    """Run one of Lightning's verbs (`fit`, `validate` or `test`) with the words behind it; status 143 after SIGTERM."""
    named, words = take(words, "--data_module")
    try:
        with refusing_together():
            FERCommandLine(
                ExpressionClassifier,
                own_data_module(named["data_module"][-1]) if named else FERDataModule,
                save_config_callback=SaveRunConfig,
                save_config_kwargs={"save_to_log_dir": False},
                seed_everything_default=0,
                auto_configure_optimizers=False,
                parser_kwargs={"prog": program()},
                parser_class=_Parser,
                args=[verb, *words],
            )
    except MisconfigurationException as error:
        raise FERError(str(error)) from error
    except SIGTERMException:
        raise SystemExit(128 + signal.SIGTERM) from None  # Lightning's own status says that all went well
    except RuntimeError as error:
        if not (why := lost_peer(error)):
            raise
        raise FERError(why) from error
