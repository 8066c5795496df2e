"""FERDataModule: from a data set's folder to batches for every subset."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader, Sampler

from fer_lightning.cores import available_cpus
from fer_lightning.data.augmentation import Augmentation, Moment, augment
from fer_lightning.data.batches import Batch, FaceSamples, collate
from fer_lightning.data.data_info import DataInfo, check_license
from fer_lightning.data.face_detectors import YUNET
from fer_lightning.data.identities import IDENTITY_PATTERN
from fer_lightning.data.input_spec import Color, Faces, InputSpec, Interpolation
from fer_lightning.data.legend import Conflicts, Legend, OnError
from fer_lightning.data.legend_rows import normalised_classes
from fer_lightning.data.progress import EpochPosition, EpochProgress, fraction_done
from fer_lightning.data.sampling import BalancedSampling, ClassSampling, EvaluationSampler
from fer_lightning.data.shared_memory import fitting_workers
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.recognise import chosen_sources
from fer_lightning.data.splits import TESTING, TRAINING, Split, SplitRule
from fer_lightning.data.streams.order import training_sampler
from fer_lightning.data.streams.subsets import StreamSubsets, stream_subsets
from fer_lightning.data.subsets import Subsets
from fer_lightning.errors import check_range
from fer_lightning.files import check_path
from fer_lightning.processes import start_worker
from fer_lightning.seeding import seed_step

_MOST_IMAGES, _MOST_WORKERS = 1_000_000, 1024


class FERDataModule(LightningDataModule):
    """Splits a data set into training, validation and testing, decodes its images once and loads batches.

    It gives `Batch`es: images uint8 `(n, channels, image_size, image_size)`, labels and sample numbers int64 `(n,)`.
    Images are not yet normalized; the model does that on its device. It trains any LightningModule, and its loaders
    also work without a Trainer.

    Args:
        root: The data set: a folder for each class, a table, a folder with `legend.csv` and `images/`, or as it is
            published (docs/data.md), here or at an address (s3://...); or what `prepare` wrote. A list trains on all
            of them; each is split by itself (with `predefined`, those without parts as `grouped`). Without it,
            synthetic faces are used.
        legend: The table, if it is elsewhere.
        images: The image folder, if it is elsewhere.
        columns: Headings by role, where a table has unusual ones, such as `{image: pth, label: class}`; the roles are
            image, label, split, identity and user.
        classes: The class list, in the order of the network's outputs; without it, the labels found in the legend.
        label_names: What labels that are numbers mean, in their order; without it, the class list.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        on_error: An image or row that cannot be used is an error, or dropped and listed.
        follow_links: Take links to files outside the image folder.
        source: A data set in another form, instead of `root`: a class with `read()`, see
            `fer_lightning.data.sources.DataSource`.
        split: How images are divided into training and testing: sequential (file order, as the original notebook),
            stratified (drawn per class), grouped (nobody is on both sides) or predefined (as the data set says). By
            default predefined where the data set says what each image is for, else grouped.
        train_fraction: Fraction of the images for training and validation together.
        val_fraction: Fraction of those that is taken for validation; 0 validates on the testing images.
        split_seed: Draws another split.
        folds: Number of folds of a cross-validation.
        fold: The fold of a cross-validation that is tested, 0 to folds - 1; `crossval` sets it.
        identity: Regular expression on the image name; its first group is who is in the image.
        exclude: CSV file with a column `image`: left out of training and validation (testing stays, but for images
            that cannot be read).
        relabel: CSV file with columns `image` and `suggested`: labels to use in training and validation instead.
        soft_labels: Train towards the distribution of the annotators' votes instead of the label (label distribution
            learning, arXiv 1608.01041); the legend needs a column of votes for each class.
        sampling: How often images of each class are drawn in an epoch; `BalancedSampling` by default, which takes every
            image once unless it is given a strength. The loss takes the difference into account.
        license: Under which license the images and labels may be used; it goes into the model card.
        prepared_dir: Where the decoded images are kept, and the image folders training/, validation/ and testing/ are
            built (hard links where possible).
        cache: Decode and resize every image once, to a file that is mapped into memory; without it, in every epoch.
        image_size: Height and width in pixels of the network's input.
        color: Input in rgb or gray. Gray is the default, as color can give away where an image is from, and thereby
            its class, while it does not help to recognize the expression (docs/concepts/color.md).
        interpolation: How images are resized.
        mean: Subtracted from each channel after scaling to 0..1.
        std: Divides each channel after that.
        faces: Take images as faces (whole), find and cut out the largest (detect), or turn it upright as well (align).
        unaligned: With align, the share of training images that are cut out as they are, drawn anew each epoch.
        margin: Added to the longer side of a detected face's box, as a fraction of it. The default frames faces as FER+
            and facial_expressions do: there that side is 0.97 and 0.99 of the image's (600 and 300 images, medians).
        detector: What finds faces: yunet, or a YuNet model file (.onnx) for OpenCV.
        augmentation: Changes training batches on their device: `Augmentation`, which has every change switched off by
            default, or any module; see `fer_lightning.data.augmentation.augment`.
        batch_size: Images in a training batch, on each device.
        eval_batch_size: Images in a batch for validate, test and predict, on each device.
        num_workers: Processes that load batches; without a number, none with the cache, else the free cores, at
            most 8. With a cache that does not fit into memory, 1 or 2 read ahead.
        seed: Order of the training images; the command line takes it from --seed_everything.

    Raises:
        FERError: If a value is out of range, or class names have to be read and the data set cannot be.
    """

    def __init__(
        self,
        root: str | list[str] | None = None,
        legend: str | None = None,
        images: str | None = None,
        columns: dict[str, str] | None = None,
        classes: list[str] | None = None,
        label_names: list[str] | None = None,
        conflicts: Conflicts = "drop",
        on_error: OnError = "error",
        follow_links: bool = False,
        source: DataSource | None = None,
        split: SplitRule | None = None,
        train_fraction: float = 0.8,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        folds: int = 5,
        fold: int | None = None,
        identity: str = IDENTITY_PATTERN,
        exclude: str | None = None,
        relabel: str | None = None,
        soft_labels: bool = False,
        sampling: ClassSampling | None = None,
        license: str = "",
        prepared_dir: str = "prepared_data",
        cache: bool = True,
        image_size: int = 100,
        color: Color = "gray",
        interpolation: Interpolation = "bilinear",
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.5,),
        faces: Faces = "whole",
        unaligned: float = 0.0,
        margin: float = 0.02,
        detector: str = YUNET,
        augmentation: nn.Module | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 256,
        num_workers: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_range("--data.batch_size", batch_size, 1, _MOST_IMAGES)
        check_range("--data.eval_batch_size", eval_batch_size, 1, _MOST_IMAGES)
        check_license(license)
        check_range("--data.num_workers", num_workers or 0, 0, _MOST_WORKERS)
        for option, path in (("exclude", exclude), ("relabel", relabel), ("prepared_dir", prepared_dir)):
            if path is not None:
                check_path(f"--data.{option}", path, kept=True)
        self.license, self.sampling, self.seed = license, sampling or BalancedSampling(), seed
        self.augmentation = Augmentation() if augmentation is None else augmentation
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.input_spec = InputSpec(image_size, color, interpolation, tuple(mean), tuple(std), faces, margin, detector)
        self.in_channels, self.image_size = self.input_spec.channels, image_size
        batch_bytes = (batch_size + eval_batch_size) * self.in_channels * image_size**2
        split_options: dict[str, Any] = {"train_fraction": train_fraction, "val_fraction": val_fraction}
        split_options["identity"] = identity
        self.settled = split_options | {"split": split, "split_seed": split_seed, "fold": fold, "folds": folds}
        self.settled |= {"legend": legend, "images": images, "columns": columns, "conflicts": conflicts}
        self.settled |= {"on_error": on_error, "exclude": exclude, "relabel": relabel, "unaligned": unaligned}
        split_options |= {"rule": split, "seed": split_seed, "fold": None if fold is None else (fold, folds)}
        names = normalised_classes(classes) if classes is not None else None
        kept: tuple[Any, ...] = (self.input_spec, prepared_dir, cache)
        stream = stream_subsets(None if source else root, self.settled, names, soft_labels, *kept)
        usual = 2 * stream.remote if stream else 0 if cache else available_cpus()
        self.num_workers = fitting_workers(num_workers, usual, batch_bytes)
        reading: dict[str, Any] = {"images": images, "columns": columns, "classes": names, "label_names": label_names}
        reading |= {"conflicts": conflicts, "follow_links": follow_links, "prepared_dir": prepared_dir}
        # What `exclude` names may be missing: what else is wrong shows once the legend is read.
        reading |= {"on_error": "drop" if exclude else on_error}
        sources = [] if stream else chosen_sources(source, root, legend, reading)
        options: tuple[Any, ...] = (split_options, exclude, relabel, soft_labels, on_error, unaligned, *kept)
        self.subsets: Subsets | StreamSubsets = stream or Subsets(sources, names, *options)
        self._progress = EpochProgress()
        self.class_names = self.subsets.class_names
        self.num_classes = len(self.class_names)

    @property
    def legend(self) -> Legend:
        """The legend, read and checked at first use; of several data sets, the combined one."""
        return self.subsets.legend

    @property
    def split(self) -> Split:
        """The subset of every image, made at first use."""
        return self.subsets.split

    @property
    def validates_on_testing(self) -> bool:
        """Whether there is no validation subset, so that the testing subset takes its place."""
        return self.subsets.validation == TESTING

    @cached_property
    def info(self) -> DataInfo:
        """What a network has to know of its data; reads the legend, but no image."""
        known = self.subsets.training
        draws = self.sampling.draws(torch.tensor(known.class_counts).float())
        training = replace(
            known,
            license=self.license or known.license,
            draws=() if draws is None else tuple(draws.tolist()),
            batch_size=self.batch_size,
        )
        return DataInfo(self.class_names, self.input_spec, training)

    def prepare_data(self) -> None:
        """Decode the images that the running stage needs, on one process of each machine; see `prepare`."""
        self.prepare(self.trainer.state.fn if self.trainer is not None else None)

    def prepare(self, stage: str | None = None) -> None:
        """Decode the images that a stage needs; for `fit`, and without a stage, all, and build the image folders.

        So a broken image is known before the training.
        """
        needed = {"validate": self.subsets.validation, "test": TESTING, "predict": TESTING}
        self.subsets.prepare(needed.get(stage or "fit"))

    def setup(self, stage: str | None = None) -> None:
        """Make the subsets that a stage needs ready: `fit`, `validate`, `test` or `predict`; None for all."""
        validation = self.subsets.validation
        needed = {None: (TRAINING, validation, TESTING), "fit": (TRAINING, validation), "validate": (validation,)}
        for subset in needed.get(stage, (TESTING,)):
            self.samples(subset)

    def teardown(self, stage: str | None = None) -> None:
        """Wait for the image folders, if they are still being built."""
        self.subsets.finish()

    def samples(self, subset: int) -> FaceSamples:
        """One subset as a data set of whole batches: 0 training, 1 validation, 2 testing; see `Subsets.samples`."""
        return self.subsets.samples(subset)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the training subset."""
        samples = self.samples(TRAINING)
        draws = torch.tensor(self.info.training.draws)[samples.labels] if self.info.training.draws else None
        sampler = training_sampler(samples, *self._devices(), self.seed, draws, self.settled["unaligned"])
        if self.trainer is not None:
            sampler.resume(*self._progress.start(self.trainer, self.here(self._devices()[0]), len(samples)))
        return self._loader(samples, sampler, self.batch_size)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation subset, or of the testing subset if there is none."""
        samples = self.samples(self.subsets.validation)
        return self._loader(samples, EvaluationSampler(samples, *self._devices()), self.eval_batch_size)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the testing subset."""
        samples = self.samples(TESTING)
        return self._loader(samples, EvaluationSampler(samples, *self._devices()), self.eval_batch_size)

    predict_dataloader = test_dataloader

    def _loader(self, samples: FaceSamples, sampler: Sampler[int], batch_size: int) -> DataLoader[Batch]:
        return DataLoader(
            samples,
            batch_size=batch_size,  # by keyword: for predict, Lightning makes the loader anew
            sampler=sampler,
            collate_fn=collate,
            worker_init_fn=start_worker,
            num_workers=self.num_workers,
            pin_memory=torch.accelerator.is_available(),
            persistent_workers=self.num_workers > 0,
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment a training batch on its device."""
        trainer = self.trainer
        if trainer is None or not trainer.training or not getattr(self.augmentation, "active", True):
            return batch
        step = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        seed_step("augmentation ", self.seed, step, trainer.global_rank, batch.images.device)
        moment = Moment(self.seed, trainer.current_epoch, fraction_done(trainer))
        return augment(self.augmentation, batch, self.num_classes, moment)

    def here(self, devices: int) -> EpochPosition:
        """The start of an epoch on so many devices."""
        return EpochPosition(0, self.batch_size, devices, self.seed, self.subsets.order)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint of a training: the place in the epoch."""
        if self.trainer is None or self.trainer.state.fn != "fit":
            return {}
        return self._progress.position(self.trainer, self.here(self._devices()[0])).to_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there; an FERError if the state is damaged."""
        self._progress.resumed = EpochPosition.from_dict(state_dict)

    def _devices(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer is not None else (1, 0)

    def majority(self, subset: int) -> tuple[str, float]:
        """The most frequent class of a subset, and the accuracy of always answering it."""
        counts = self.subsets.counts[subset]
        return self.class_names[int(counts.argmax())], float(counts.max() / max(counts.sum(), 1))
