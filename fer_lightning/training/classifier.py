"""ExpressionClassifier, the LightningModule: loss, optimiser, steps."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fer_lightning.checkpoints.compatibility import refuse_other_contract, refuse_other_weights
from fer_lightning.checkpoints.weights import load_into
from fer_lightning.data.augmentation import cut_and_mix, mix
from fer_lightning.data.batches import Batch
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.sampling import IGNORE_INDEX
from fer_lightning.errors import FERError
from fer_lightning.model.calibration import fit_temperature, stored_curve
from fer_lightning.model.class_prior import check_prior, prior_ratio, prior_shares
from fer_lightning.training import fine_tuning
from fer_lightning.training.distillation import Teacher
from fer_lightning.training.losses import LossOptions
from fer_lightning.training.metrics import EpochFigures, expression_metrics
from fer_lightning.training.schedules import warmup_cosine

CHECKPOINT_FORMAT = 1
"""Raised when what a checkpoint holds changes so that older code cannot read it."""


LOGGED = (
    *("train_loss", "train_acc"),
    *("val_loss", "val_acc", "val_balanced_acc", "val_macro_f1"),
)
"""What is logged during `fit`, and can be monitored."""

RUNNING_LOSS = "loss"
"""What the progress bar shows within an epoch: the loss of one batch now and then; it is in no table."""


class ExpressionClassifier(LightningModule):
    """Trains a network to name expressions, and carries all that is needed to use it afterwards.

    Logged for `train`: loss and acc; for `val` and `test`: loss, acc, balanced_acc and macro_f1, as `val_acc` etc.

    Args:
        network: Takes normalised images `(n, channels, size, size)`, returns logits `(n, classes)`.
        class_names: Names of the network's outputs, in their order.
        preprocessing: The contract that images were prepared under, or its plain values.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes the learning rate scheduler from the optimiser.
        lr_interval: Whether the scheduler advances every epoch or every step.
        schedule: Without a scheduler: `constant`, or `cosine`, which rises and falls over the whole training.
        warmup: Share of the training in which the `cosine` schedule rises.
        loss: How the training loss differs from plain cross-entropy.
        mixup: Parameter alpha of mixup (arXiv 1710.09412): images and targets are blended in pairs; 0 for never.
        cutmix: Parameter alpha of CutMix (arXiv 1905.04899): rectangles are pasted in pairs; 0 for never. With mixup as
            well, each batch gets one of the two.
        freeze: Parts of the network that are not trained, by the start of their parameters' names, such as
            `[stem, stages.0]`; their batch normalisation keeps its statistics.
        layer_decay: The learning rate of each part of the network is this times that of the next one towards the output
            (arXiv 1801.06146, section 3.2); parts are the first two levels of the parameters' names. 1 for all the
            same.
        ema_decay: Evaluate, and keep as the model, an exponential moving average of the weights with this decay a
            step (arXiv 1703.01780, section 2); 0 for none. It starts with the weights after the first step and a
            shorter memory.
        weights: Start the network from a file: a checkpoint or exported weights of ours, `pretrained`, or a state
            dict such as torchvision's. What does not fit starts afresh; of the last layer, the classes that the file
            does not know.
        teacher: A checkpoint, exported weights or `pretrained`, whose answers are a part of every target, against
            doubtful labels (arXiv 1703.02391); of the same classes and kind of images.
        teacher_share: How large that part is, 0 to 1.
        compile: Compile the network with torch.compile for training; on 2 CPU cores it was slower
            (docs/experiments.md).
        class_prior: How frequent the classes are where the network is used: `training`, as in its training; `uniform`,
            all the same; a number: the shares in training to that power (0 is `uniform`, 1 `training`, 2 undoes a logit
            adjustment of 0.5); or their shares, in the order of the class names. Answers are moved from the shares in
            training to these by Bayes' rule (Saerens et al. 2002, equation 2.4), in validation, test and wherever the
            network is used later; training itself is not changed.
        flip_at_test: Answer with the mean logits of an image and its mirror image, at twice the cost.

    Raises:
        FERError: If the network's output does not fit the classes or its input does not fit the contract.
    """

    temperature: Tensor

    def __init__(
        self,
        network: nn.Module,
        class_names: Sequence[str] = EXPRESSIONS,
        preprocessing: InputSpec | dict[str, Any] | None = None,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_interval: Literal["epoch", "step"] = "epoch",
        schedule: Literal["constant", "cosine"] = "constant",
        warmup: float = 0.1,
        loss: LossOptions = LossOptions(),  # noqa: B008 (frozen)
        mixup: float = 0.0,
        cutmix: float = 0.0,
        freeze: list[str] | None = None,
        layer_decay: float = 1.0,
        ema_decay: float = 0.0,
        weights: str | None = None,
        teacher: str | None = None,
        teacher_share: float = 0.3,
        compile: bool = False,
        class_prior: Literal["training", "uniform"] | float | list[float] = "training",
        flip_at_test: bool = False,
    ) -> None:
        super().__init__()
        self.class_names = tuple(class_names)
        if isinstance(preprocessing, dict):
            preprocessing = InputSpec(**preprocessing)
        self.preprocessing = preprocessing or InputSpec()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is an instance of `nn.Module`.*")
            self.save_hyperparameters(logger=False)
        self._keep_plain_hyperparameters()
        self.network = network.to(memory_format=torch.channels_last)  # faster convolutions on CPUs and GPUs
        self.loaded = load_into(network, weights, self.class_names) if weights else ""
        self._optimizer, self._lr_scheduler, self._lr_interval = optimizer, lr_scheduler, lr_interval
        if lr_scheduler is not None and schedule != "constant":
            raise FERError(f"Expected --model.lr_scheduler or --model.schedule {schedule}, not both.")
        self._schedule, self._warmup = schedule, warmup
        self._loss, self.flip_at_test = loss, flip_at_test
        self._blends = [(blend, alpha) for blend, alpha in ((mix, mixup), (cut_and_mix, cutmix)) if alpha]
        self._layer_decay = layer_decay
        self._frozen = fine_tuning.freeze(network, freeze or [])
        self.class_prior = class_prior
        check_prior(class_prior, self.class_names, "--model.class_prior")
        self.class_shares: list[float] = []
        self.data_facts: dict[str, Any] = {}
        sources = {"started_from": weights, "teacher": teacher}
        self._sources = {name: Path(source).name for name, source in sources.items() if source}
        self._counts: Tensor | None = None
        self._draws: Tensor | None = None
        self._teacher_file, self._teacher_share = teacher, teacher_share
        self._teacher: Teacher | None = None  # no module of this one, so that it is not in checkpoints
        self._compile = compile
        self._ema_decay = ema_decay
        self.averaged = AveragedModel(network, use_buffers=True).requires_grad_(False) if ema_decay else None
        classes = len(self.class_names)
        self._so_far = EpochFigures()
        self.val_metrics = expression_metrics(classes, "val_")
        self.test_metrics = expression_metrics(classes, "test_")
        self.register_buffer("temperature", torch.ones(()))
        self.risk_curve: list[list[float]] = []
        self._validated: list[tuple[Tensor, Tensor]] = []
        self.check_network()

    def _keep_plain_hyperparameters(self) -> None:
        """Save only values that a checkpoint can hold under `weights_only=True`.

        From the command line the network and the optimiser arrive here as class paths and stay; objects made in Python
        are dropped, and `load_from_checkpoint` then asks for them.
        """
        self.hparams["class_names"] = list(self.class_names)
        self.hparams["preprocessing"] = self.preprocessing.as_dict()
        for name in [name for name, value in self.hparams.items() if not _is_plain(value)]:
            del self.hparams[name]

    def check_network(self, size: int | None = None) -> None:
        """Make sure that the network takes images of `size` pixels, by default the contract's, and knows the classes.

        Raises:
            FERError: If not.
        """
        contract = self.preprocessing
        size = size or contract.image_size
        shape = (1, contract.channels, size, size)
        name, expected = type(self.network).__name__, (1, len(self.class_names))
        training = self.network.training
        try:
            with torch.no_grad():
                found = tuple(self.network.eval()(torch.zeros(shape, device=self.device)).shape)
        except Exception as error:  # whatever a network raises for a size it cannot take
            raise FERError(
                f"The network {name} cannot take a batch of shape {shape} (n, channels, height, width): {error}"
            ) from None
        finally:
            self.network.train(training)
        if found != expected:
            raise FERError(
                f"The network {name} does not fit the classes. Expected an output of shape {expected} for "
                f"{', '.join(self.class_names)}. Received: {found}."
            )

    def open_teacher(self) -> Teacher | None:
        """Read the teacher's file if there is to be one.

        Raises:
            FERError: If it cannot be the teacher of this network.
        """
        if self._teacher_file:
            self._teacher = Teacher(self._teacher_file, self._teacher_share, self.class_names, self.preprocessing)
        return self._teacher

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float `(n, classes)`, of images as the contract prepares them, uint8 `(n, channels, size, size)`."""
        inputs = self.preprocessing.normalize(images).contiguous(memory_format=torch.channels_last)
        network = self.network if self.averaged is None or self.training else self.averaged
        logits: Tensor = network(inputs)
        if self.flip_at_test and not self.training:
            logits = (logits + network(inputs.flip(-1))) / 2
        return logits

    def on_fit_start(self) -> None:
        """Freeze and compile if asked; learn of the data how frequent the classes are, and how often they are drawn."""
        for module in self._frozen:
            module.eval()  # Lightning keeps this through validation
        if self._compile:
            self.network.compile()  # in place: names in checkpoints stay
        data = self._data()
        if data is not None:
            self._counts = data.training_counts().to(self.device)
            self._draws = data.training_draws().to(self.device) if data.balance else None
            shares = data.training_shares()
            self.class_shares = self._loss.learnt_shares(shares, self._counts.cpu()).tolist()
            if teacher := self._teacher or self.open_teacher():
                teacher.start(shares, self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        images, labels, _, targets = batch
        if targets is None:
            targets = one_hot(labels, len(self.class_names)).float()
        if self._blends:
            blend, alpha = self._blends[int(torch.randint(len(self._blends), ()))]
            images, targets = blend(images, targets, alpha)
        if self._teacher is not None:
            targets = self._teacher(images, targets)
        logits = self(images)
        loss = self._loss(logits, targets, self._counts, self._draws)
        self._so_far.update(loss.detach(), logits.detach(), labels)
        if batch_idx % 10 == 0:
            self.log(RUNNING_LOSS, loss, prog_bar=True, logger=False)
        if self.trainer.is_last_batch:
            self.log_dict(self._so_far.compute(), on_step=False, on_epoch=True, sync_dist=True, batch_size=1)
            self._so_far.reset()
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Loss and metrics of one validation batch; returns its logits and labels."""
        outputs = self._evaluate(batch, "val")
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self._validated.append((outputs["logits"], outputs["labels"]))
        return outputs

    def on_validation_epoch_end(self) -> None:
        """Fit the temperature on the validation part, so that every checkpoint carries its own.

        Where the testing part serves for validation, probabilities stay as they are: the temperature would be fitted on
        test images.
        """
        if not self._validated:
            return
        parts = [torch.cat(column) for column in zip(*self._validated, strict=True)]
        self._validated.clear()
        logits, labels = (torch.as_tensor(self.all_gather(part)).flatten(0, -part.ndim) for part in parts)
        real = labels != IGNORE_INDEX
        data = self._data()
        if real.any() and not (data is not None and data.validates_on_testing):
            logits, labels = logits[real].float(), labels[real]
            self.temperature.fill_(fit_temperature(logits, labels))
            confidence, predicted = self.probabilities(logits).max(1)
            self.risk_curve = stored_curve(confidence.cpu().double().numpy(), (predicted == labels).cpu().numpy())

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Loss and metrics of one test batch; returns its logits and labels."""
        return self._evaluate(batch, "test")

    def _evaluate(self, batch: Batch, part: str) -> dict[str, Tensor]:
        images, labels, *_ = batch
        logits = self(images)
        real = int((labels != IGNORE_INDEX).sum())
        loss = cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum") / max(real, 1)
        metrics = self.val_metrics if part == "val" else self.test_metrics
        metrics.update(self.adapted(logits).argmax(1), labels)
        self.log(f"{part}_loss", loss, on_epoch=True, sync_dist=True, batch_size=real)
        for name, metric in metrics.items():
            self.log(name, metric, on_epoch=True, prog_bar=name == "val_acc", batch_size=real)
        return {"logits": logits.detach(), "labels": labels}

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities of logits, both float `(n, classes)`."""
        return (self.adapted(logits.float()) / self.temperature).softmax(1)

    @property
    def answered_shares(self) -> list[float]:
        """The share of each class that answers are for; empty if not known."""
        return prior_shares(self.class_prior, self.class_names, self.class_shares, "--model.class_prior")

    def adapted(self, logits: Tensor) -> Tensor:
        """Logits moved from the class shares in training to those of `class_prior`, both float `(n, classes)`.

        Raises:
            FERError: If the checkpoint does not know the shares in its training.
        """
        ratio = prior_ratio(self.class_prior, self.class_names, self.class_shares, "--model.class_prior")
        return logits if ratio is None else logits + self.temperature * ratio.log().to(logits)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take the step, and let the averaged weights follow before any callback saves them."""
        super().optimizer_step(*args, **kwargs)
        if self.averaged is not None:
            step = self.trainer.global_step
            decay = min(self._ema_decay, (1 + step) / (10 + step))
            self.averaged.multi_avg_fn = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            self.averaged.update_parameters(self.network)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip gradients of fused optimisers too: Lightning refuses that, though only float16 scales gradients."""
        plugin = self.trainer.precision_plugin
        if isinstance(plugin, MixedPrecision) and plugin.scaler is None:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            super(MixedPrecision, plugin).clip_gradients(optimizer, gradient_clip_val or 0.0, algorithm)
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def make_optimizer(self) -> Optimizer:
        """The optimiser over all trainable parameters.

        Raises:
            FERError: If it does not take its values.
        """
        groups = fine_tuning.parameter_groups(self.network, self._layer_decay)
        try:
            return self._optimizer(groups)
        except (ValueError, TypeError) as error:
            raise FERError(f"--model.optimizer does not work with these values: {error}.") from None

    def configure_optimizers(self) -> Any:
        """The optimiser, with the scheduler if there is one."""
        optimizer = self.make_optimizer()
        for group in optimizer.param_groups:
            group["lr"] *= group.pop("share", 1.0)
        if self._lr_scheduler is None and self._schedule == "cosine":
            rising = warmup_cosine(optimizer, self._steps_in_all(), self._warmup)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rising, "interval": "step"}}
        if self._lr_scheduler is None:
            return optimizer
        scheduler = self._lr_scheduler(optimizer)
        settings = {"scheduler": scheduler, "interval": self._lr_interval}
        if (monitor := getattr(scheduler, "monitor", None)) is not None:
            settings["monitor"] = monitor
        return {"optimizer": optimizer, "lr_scheduler": settings}

    def _steps_in_all(self) -> int:
        """Steps of the whole training; Lightning's own figure would make the first epoch's batches too early."""
        trainer = self.trainer
        epochs, limit, data = trainer.max_epochs or 0, trainer.limit_train_batches, self._data()
        if (epochs < 1 and trainer.max_steps < 1) or data is None:
            raise FERError(
                "--model.schedule cosine needs to know the length: give --trainer.max_epochs or max_steps, and "
                "FERDataModule."
            )
        batches = data.batches_per_epoch()
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        steps = epochs * -(-batches // trainer.accumulate_grad_batches)
        ends = [end for end in (steps, trainer.max_steps) if end > 0]
        return min(ends)

    def _data(self) -> FERDataModule | None:
        data = getattr(self.trainer, "datamodule", None)
        return data if isinstance(data, FERDataModule) else None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the contract, so that a checkpoint says by itself how to use it."""
        from fer_lightning import __version__

        data = self._data() if getattr(self, "_trainer", None) is not None else None
        if data is not None:
            self.data_facts = data.facts() | self._sources
        checkpoint.setdefault("fer_lightning", {}).update(
            format=CHECKPOINT_FORMAT,
            version=__version__,
            class_names=list(self.class_names),
            preprocessing=self.preprocessing.as_dict(),
            risk_curve=self.risk_curve,
            class_shares=self.class_shares,
            data=self.data_facts,
            epoch_so_far=self._of_all_devices(),
        )

    def _of_all_devices(self) -> list[list[float]]:
        """The training figures of the epoch so far, one row a device."""
        mine = self._so_far.state()
        if getattr(self, "_trainer", None) is None or self.trainer.world_size == 1:
            return [mine.tolist()]
        rows: list[list[float]] = torch.as_tensor(self.all_gather(mine)).tolist()
        return rows

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that were trained for something else.

        Raises:
            FERError: If class names, preprocessing or the shapes of the weights differ.
        """
        about = checkpoint.get("fer_lightning", {})
        refuse_other_contract(about, list(self.class_names), self.preprocessing.as_dict())
        self.risk_curve, self.class_shares = about.get("risk_curve", []), about.get("class_shares", [])
        known = about.get("data", {})
        self._sources |= {name: known[name] for name in ("started_from", "teacher") if name in known}
        so_far = about.get("epoch_so_far", [])
        rank = self.trainer.global_rank if getattr(self, "_trainer", None) is not None else 0
        if rank < len(so_far):
            self._so_far.load(so_far[rank])
        refuse_other_weights(checkpoint["state_dict"], self.state_dict(), type(self.network).__name__)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or type(value) in (str, int, float, bool)
