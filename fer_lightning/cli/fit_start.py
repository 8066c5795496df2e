"""What is checked of data, network and checkpoint before a training moves or writes anything."""

import copy
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from fer_lightning.checkpoints.compatibility import upgraded_state
from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.checkpoints.reading import check_same_model, check_same_weights
from fer_lightning.cli.run_folder import is_within
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.progress import EpochPosition, batches_of
from fer_lightning.errors import FERError
from fer_lightning.screen import say
from fer_lightning.training.classifier import ExpressionClassifier
from fer_lightning.training.divergence import first_not_finite
from fer_lightning.training.resumed_optimizer import changed_options, rehearse
from fer_lightning.training.resuming import check_training_state, own_files, place_in_data
from fer_lightning.training.schedules import WarmupCosine, total_steps


def check_epoch(trainer: Trainer, classifier: ExpressionClassifier) -> None:
    """Make sure that an epoch has a batch, of a size that the network can be trained with, and then validation.

    Raises:
        FERError: If not; or if optimizer or scheduler cannot be made, or it has to know an end and there is none.
    """
    training = classifier.data_info.training
    size, images = training.batch_size, sum(training.class_counts) // trainer.world_size
    if not size or not training.class_counts:  # a data module of another kind
        classifier.make_optimizers()
        return
    batches, limit = batches_of(images, size, 1.0), trainer.limit_train_batches
    used = batches_of(images, size, limit)
    if used < 1:
        raise FERError(
            f"There is nothing to train on: {images} training images on each device, of whose {batches} batches "
            f"--trainer.limit_train_batches {limit} takes none."
        )
    if isinstance(classifier.make_optimizers()[1], WarmupCosine):
        total_steps(trainer, training)
    if images % size == 1 and used == batches and not _takes_one_image(classifier):
        other = next((n for d in range(1, images) for n in (size + d, size - d) if n > 1 and images % n != 1), None)
        raise FERError(
            f"The last of the {batches} training batches of an epoch has one image, and batch normalization needs two: "
            + (f"choose another --data.batch_size, such as {other}." if other else "there is one training image.")
        )
    value = trainer.val_check_interval
    every_n_epoch = trainer.check_val_every_n_epoch
    if isinstance(value, int) and every_n_epoch is not None and value > used and trainer.limit_val_batches:
        raise FERError(
            f"Invalid value for --trainer.val_check_interval. Expected a fraction up to 1.0, or at most the number of "
            f"training batches, {used}. Received: {value}."
        )


def _takes_one_image(classifier: ExpressionClassifier) -> bool:
    model, network = classifier.model, copy.deepcopy(classifier.trained_network)
    spec = model.input_spec
    image = torch.zeros(1, spec.channels, spec.image_size, spec.image_size, dtype=torch.uint8)
    try:
        network.train()(model.normalize(image))
    except ValueError as error:
        return "more than 1 value per channel" not in str(error)
    return True


def check_origin(named: str | None, before: str | None, path: Path) -> None:
    """Make sure that a resumed training is not told to start from other weights than it did: it goes on with its own.

    Args:
        named: The weights that the user names now.
        before: Those that its training started from.
        path: Its checkpoint.

    Raises:
        FERError: If it is.
    """
    if named and os.path.realpath(named) != os.path.realpath(before or ""):
        origin = f"'{before}'" if before else "none"
        raise FERError(
            f"--model.fine_tuning.weights {named}: the training of '{path}' started from {origin}, and goes on with "
            "weights of its own. Leave the option away, or leave --ckpt_path away and start a new training from these."
        )


@rank_zero_only
def _say_devices(before: EpochPosition, now: EpochPosition) -> None:
    """Say that another number of devices makes other steps."""
    then, size = before.devices * before.batch_size, now.devices * now.batch_size
    if before.devices != now.devices and then != size:
        were = f"{before.devices} device{'' if before.devices == 1 else 's'}"
        same = f" The same again: --data.batch_size {then // now.devices}." if then % now.devices == 0 else ""
        say(
            f"Note   The training was on {were}, and goes on with {now.devices}: a step takes {size} images now "
            f"instead of {then}.{same}"
        )


def check_start(
    path: str | None,
    trainer: Trainer,
    classifier: ExpressionClassifier,
    datamodule: Any,
    run_dir: Path,
) -> None:
    """Make sure that a training can go on with its checkpoint, or that Lightning takes up none where none was named.

    Args:
        path: The checkpoint, or None for a training from the start.
        trainer: The Trainer that is about to fit.
        classifier: What is trained, and its configuration; it is not changed.
        datamodule: What it is trained with.
        run_dir: The folder of the run.

    Raises:
        FERError: If it cannot, or Lightning would.
    """
    if path is not None:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        check_training_state(checkpoint, trainer)
        if name := first_not_finite(checkpoint["state_dict"]):
            raise FERError(f"The weights '{name}' in '{path}' are not finite: they are of no use. Take another one.")
        info = CheckpointInfo.from_dict(checkpoint.get(KEY, {}), path)
        check_same_model(info, classifier.model)
        before, now = (x.split_fingerprint if x else "" for x in (info.training, classifier.data_info.training))
        if before and now and before != now:
            raise FERError(
                f"The images are not divided as they were in the training of '{path}': test images would have been "
                "trained on. Leave the --data options away that change which image is where, or start a new run from "
                f"these weights: --model.fine_tuning.weights {path} --name NEW."
            )
        state, name = upgraded_state(checkpoint["state_dict"]), type(classifier.model.network).__name__
        check_same_weights(state, classifier.state_dict(), name)
        done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        if trainer.max_epochs is not None and 0 <= trainer.max_epochs < done:
            raise FERError(
                f"Invalid value for --trainer.max_epochs. Expected {done} or more: so many epochs are behind the "
                f"checkpoint '{path}'. Received: {trainer.max_epochs}."
            )
        if is_within(path, run_dir):
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, ModelCheckpoint):
                    own_files(callback, checkpoint["callbacks"].get(callback.state_key))
        if (place := place_in_data(checkpoint, datamodule)) is not None:
            here = datamodule.here(trainer.world_size)
            images = sum(classifier.data_info.training.class_counts)
            place.go_on(here, images, trainer.accumulate_grad_batches, trainer.limit_train_batches)
        if isinstance(datamodule, FERDataModule):
            _say_devices(EpochPosition.from_dict(checkpoint["FERDataModule"]), datamodule.here(trainer.world_size))
        changed_options(checkpoint, classifier.run_config)
        network = classifier.trained_network
        rehearse(checkpoint, lambda: classifier.make_optimizers(copy.deepcopy(network)))
        return
    root = Path(trainer.default_root_dir)
    found = next(root.glob("hpc_ckpt_*"), None)
    if found and root.resolve() != run_dir.resolve():  # that one is about to be moved aside
        raise FERError(
            f"'{found}' is of another training, and Lightning would go on with it under SLURM. Delete it, or leave "
            "--trainer.default_root_dir away."
        )
