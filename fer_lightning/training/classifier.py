"""ExpressionClassifier, the LightningModule: it trains an ExpressionModel."""

import copy
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import Optimizer

from fer_lightning.checkpoints.compatibility import upgraded_state
from fer_lightning.checkpoints.finding import label_of
from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.checkpoints.reading import check_same_model, check_same_weights, info_of
from fer_lightning.checkpoints.transfer import load_into
from fer_lightning.data.batches import as_batch, labeled
from fer_lightning.data.data_info import DataInfo
from fer_lightning.data.sampling import IGNORE_INDEX
from fer_lightning.errors import FERError, check_range, constructing
from fer_lightning.model.calibration import fit_temperature, stored_curve
from fer_lightning.model.class_prior import ClassPrior
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.training import divergence
from fer_lightning.training.averaging import update_average
from fer_lightning.training.distillation import Distillation
from fer_lightning.training.fine_tuning import FineTuning, freeze, layered_optimizer
from fer_lightning.training.losses import CrossEntropy
from fer_lightning.training.losses.checked import scalar_loss, with_loss, without_parameters
from fer_lightning.training.lr_search import settle_rate
from fer_lightning.training.metrics import RUNNING_LOSS, EpochFigures, expression_metrics
from fer_lightning.training.resumed_optimizer import apply_options
from fer_lightning.training.resuming import check_training_state, own_checkpoints, place_in_data
from fer_lightning.training.schedules import WarmupCosine, interval_of, keep_its_place, total_steps


class ExpressionClassifier(LightningModule):
    """Trains a model to name expressions; `classifier.model` is the `ExpressionModel`, also for use without Lightning.

    Batches are `fer_lightning.data.batches.Batch`, or `(images, labels)` of any loader: uint8 `(n, channels, h, w)` and
    int64 `(n,)`. Logged for `train`: loss and acc; for `val` and `test`: loss, acc, balanced_acc and macro_f1, as
    `val_acc` etc. `Trainer.predict` gives calibrated probabilities, float `(n, classes)`.

    Args:
        network: Takes normalized images `(n, channels, size, size)`, returns logits `(n, classes)`.
        data: Class names, input specification and what is known of the training images: `FERDataModule.info`, or a
            `DataInfo` of your own.
        loss: Makes a scalar of logits and targets, both float `(n, classes)`; `CrossEntropy` by default.
        optimizer: Makes the optimizer from the parameters.
        lr_scheduler: Makes the learning rate scheduler from the optimizer. It advances every epoch, or every step if
            it is `WarmupCosine` or torch's `OneCycleLR` or `CyclicLR`, or has an attribute `interval` that says `step`.
        fine_tuning: How to start from earlier weights, and which parts of the network to hold back.
        distillation: A teacher whose answers are a part of every target.
        ema_decay: Evaluate, and keep as the model, an exponential moving average of the weights with this decay a
            step (arXiv 1703.01780, section 2); 0 for none. It starts with the weights after the first step and a
            shorter memory.
        class_prior: How frequent the classes are where the model is used: `training`, as in its training; `uniform`,
            all the same; a number: the learned frequencies to that power (0 is `uniform`, 1 `training`, 2 undoes a
            logit adjustment of 0.5); or their frequencies, in the order of the class names. Answers are moved by
            Bayes' rule (Saerens et al. 2002, equation 2.4), in validation, test and wherever the model is used later;
            training itself is not changed.
        tta_flip: Answer with the mean logits of an image and its mirror image, at twice the cost.

    Raises:
        FERError: If the network's output does not fit the classes or its input does not fit the specification.
    """

    def __init__(
        self,
        network: nn.Module,
        data: DataInfo | None = None,
        loss: nn.Module | None = None,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
        fine_tuning: FineTuning = FineTuning(),  # noqa: B008 (frozen)
        distillation: Distillation | None = None,
        ema_decay: float = 0.0,
        class_prior: ClassPrior = "training",
        tta_flip: bool = False,
    ) -> None:
        super().__init__()
        check_range("--model.ema_decay", ema_decay, 0, 1)
        check_range("--model.fine_tuning.layer_decay", fine_tuning.layer_decay, 0, 1)
        self.data_info = data or DataInfo()
        names, spec = self.data_info.class_names, self.data_info.input_spec
        self.loaded = load_into(network, fine_tuning.weights, names) if fine_tuning.weights else ""
        self.model = ExpressionModel(network, names, spec, class_prior=class_prior, tta_flip=tta_flip)
        if ema_decay:  # answers are the average's; without one, weights stand in a checkpoint once
            self.trained = network
            self.model.network = copy.deepcopy(network).requires_grad_(False)
        self._frozen = freeze(network, fine_tuning.freeze or [])
        self.loss = without_parameters(loss) if loss is not None else CrossEntropy()
        self._optimizer, self._lr_scheduler = optimizer, lr_scheduler
        self._layer_decay, self._ema_decay, self.distillation = fine_tuning.layer_decay, ema_decay, distillation
        self.started_from = label_of(fine_tuning.weights) if fine_tuning.weights else ""
        self.taught_by = distillation.name if distillation else ""
        self.run_config = ""
        self.lr: float | None = None  # takes the place of the optimizer's, where one was searched
        self._resumed: dict[str, Any] = {}
        self._so_far = EpochFigures()
        self.val_metrics = expression_metrics(len(names), "val_")
        self.test_metrics = expression_metrics(len(names), "test_")
        self._evaluated: list[tuple[Tensor, Tensor]] = []

    @property
    def trained_network(self) -> nn.Module:
        """The network whose weights the optimizer changes."""
        return self.trained if self._ema_decay else self.model.network

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float `(n, classes)`, of images, uint8 `(n, channels, h, w)`; in training, of what is trained."""
        trained = self.training
        logits: Tensor = self.trained_network(self.model.normalize(images)) if trained else self.model(images)
        return logits

    def on_fit_start(self) -> None:
        """Put changed options into the optimizer's state; it is restored after this."""
        if self._resumed:
            apply_options(self._resumed, self.run_config, self.make_optimizer())
        self._resumed = {}

    def _prepare(self) -> None:
        """Tell the loss what is trained on, and the model what it learns."""
        for module in self._frozen:
            module.eval()  # Lightning keeps this through validation
        if (prepare := getattr(self.loss, "prepare", None)) is not None:
            prepare(self.data_info.training)
        self.model.learned_prior = tuple(getattr(self.loss, "learned_prior", tuple)())
        _ = self.model.effective_prior  # refused now rather than after an epoch
        if self.distillation:
            self.distillation.prepare(self.data_info, self.device)

    def on_train_start(self) -> None:
        """Once all is restored, let the schedule end where the training does."""
        keep_its_place(self.trainer, self.data_info.training)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        images, labels, targets = labeled(batch, len(self.model.class_names))
        if targets is None:
            targets = one_hot(labels, len(self.model.class_names)).float()
        if self.distillation:
            targets = self.distillation(images, targets)
        logits = self(images).float()
        loss = scalar_loss(self.loss, logits, targets)
        self._so_far.update(loss.detach(), logits.detach(), labels)
        if divergence.is_time_to_look(self.trainer, loss.device, batch_idx):
            divergence.check(self._so_far.is_finite(), "the loss is", self.trainer)
        if batch_idx % 10 == 0:
            self.log(RUNNING_LOSS, loss, prog_bar=True, logger=False)
        if self.trainer.is_last_batch:
            figures, weight = self._so_far.compute(), self._so_far.weight
            self.log_dict(figures, on_step=False, on_epoch=True, sync_dist=True, batch_size=weight)
            self._so_far.reset()
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Loss of one batch of validation or test."""
        images, labels, _ = labeled(batch, len(self.model.class_names))
        logits = self(images)
        real = int((labels != IGNORE_INDEX).sum())
        loss = cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum") / max(real, 1)
        name = "test_loss" if self.trainer.testing else "val_loss"
        self.log(name, loss, on_epoch=True, sync_dist=True, batch_size=real)
        self._evaluated.append((logits.detach(), labels))

    test_step = validation_step

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Calibrated probabilities, float `(n, classes)`, of a batch; what only pads it is left out."""
        images, labels, *_ = as_batch(batch)
        if labels is not None:
            images = images[labels != IGNORE_INDEX]
        return self.model.probabilities(images)

    def on_validation_epoch_end(self) -> None:
        """Fit the temperature, so that every checkpoint carries its own; then measure with it.

        Where the testing subset serves for validation, the temperature stays: it would be fitted to test images.
        """
        divergence.check_answers(self._evaluated, self.trainer)
        fitting = self.trainer.state.fn == "fit" and not self.trainer.sanity_checking
        if fitting and self._evaluated and not self.data_info.training.validates_on_test:
            logits, labels = self.evaluated()
            if len(labels):
                self.model.temperature.fill_(fit_temperature(logits, labels))
                confidence, predicted = self.model.calibrate(logits).max(1)
                right = (predicted == labels).cpu().numpy()
                self.model.risk_curve = stored_curve(confidence.cpu().double().numpy(), right)
        self.on_test_epoch_end()

    def on_test_epoch_end(self) -> None:
        """Measure."""
        if self.trainer.testing:
            divergence.check_answers(self._evaluated, self.trainer)
        metrics = self.test_metrics if self.trainer.testing else self.val_metrics
        for logits, labels in self._evaluated:
            metrics.update(self.model.adapt(logits).argmax(1), labels)
        self._evaluated.clear()
        for name, metric in metrics.items():
            self.log(name, metric, on_epoch=True, prog_bar=name == "val_acc")

    def evaluated(self) -> tuple[Tensor, Tensor]:
        """Logits, float `(n, classes)`, and labels, int64 `(n,)`, of an evaluation that ends now, from every device.

        They are in the order of the files; what only pads a batch is left out.
        """
        columns = [torch.cat(column) for column in zip(*self._evaluated, strict=True)]
        if self.trainer.world_size > 1:
            columns = [torch.as_tensor(self.all_gather(part)).transpose(0, 1).flatten(0, 1) for part in columns]
        logits, labels = columns
        real = labels != IGNORE_INDEX
        return logits[real].float(), labels[real]

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take the step, and let the averaged weights follow before any callback saves them."""
        super().optimizer_step(*args, **kwargs)
        if self._ema_decay:
            update_average(self.model.network, self.trained_network, self._ema_decay, self.trainer.global_step)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip gradients of fused optimizers too: Lightning refuses that, though only float16 scales gradients."""
        plugin = self.trainer.precision_plugin
        if isinstance(plugin, MixedPrecision) and plugin.scaler is None:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            super(MixedPrecision, plugin).clip_gradients(optimizer, gradient_clip_val or 0.0, algorithm)
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_train_epoch_end(self) -> None:
        """Stop if a weight is not finite."""
        divergence.check_weights(self.state_dict(), self.trainer)

    def make_optimizer(self, network: nn.Module | None = None) -> Optimizer:
        """The optimizer over all trainable parameters of the network, or of a copy of it; see `layered_optimizer`."""
        return layered_optimizer(self._optimizer, network or self.trained_network, self._layer_decay, self.lr)

    def make_optimizers(self, network: nn.Module | None = None) -> tuple[Optimizer, Any]:
        """The optimizer, see `make_optimizer`, and its scheduler or None."""
        optimizer = self.make_optimizer(network)
        with constructing("--model.lr_scheduler"):
            return optimizer, self._lr_scheduler(optimizer) if self._lr_scheduler is not None else None

    def configure_optimizers(self) -> Any:
        """The optimizer, with the scheduler if there is one; its rate is searched if that is asked for."""
        self._prepare()  # a search for the rate trains before `on_fit_start`
        settle_rate(self)
        optimizer, scheduler = self.make_optimizers()
        if scheduler is None:
            return optimizer
        if isinstance(scheduler, WarmupCosine):
            scheduler.set_length(total_steps(self.trainer, self.data_info.training))
        settings = {"scheduler": scheduler, "interval": interval_of(scheduler)}
        return {"optimizer": optimizer, "lr_scheduler": settings | {"monitor": getattr(scheduler, "monitor", None)}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a checkpoint says about its model, and the training figures of the epoch so far."""
        named = yaml.safe_load(self.run_config)["model"].get("network") if self.run_config else None
        origin = {"started_from": self.started_from, "teacher": self.taught_by, "config": self.run_config}
        checkpoint[KEY] = info_of(self.model, named, training=self.data_info.training, **origin).to_dict()
        figures = self._so_far.state()
        trainer = getattr(self, "_trainer", None)
        if trainer is not None and trainer.state.fn == "fit":
            divergence.check_weights(checkpoint["state_dict"], trainer)
            divergence.check(self._so_far.is_finite(), "the loss is", trainer)
        several = trainer is not None and trainer.world_size > 1
        rows = torch.as_tensor(self.all_gather(figures)) if several else figures[None]
        checkpoint["training_figures"] = rows.tolist()  # a row for each device

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take what a checkpoint says, of this or an earlier version; refuse weights that are for something else.

        Raises:
            FERError: If class names, input specification or the shapes of the weights differ.
        """
        about = checkpoint.get(KEY, {})
        info = CheckpointInfo.from_dict(about, "The checkpoint")
        check_same_model(info, self.model)
        if name := divergence.first_not_finite(checkpoint["state_dict"]):
            raise FERError(f"The checkpoint's weights '{name}' are not finite: they are of no use. Take another one.")
        self.model.risk_curve, self.model.learned_prior = info.risk_curve, info.learned_prior
        self.started_from, self.taught_by = self.started_from or info.started_from, self.taught_by or info.teacher
        rows = checkpoint.get("training_figures", about.get("epoch_so_far", []))
        trainer = getattr(self, "_trainer", None)
        if trainer is not None and trainer.state.fn == "fit":
            check_training_state(checkpoint, trainer)
            place_in_data(checkpoint, getattr(trainer, "datamodule", None))
            own_checkpoints(checkpoint, trainer)
            self._resumed = checkpoint
        self._so_far.load(rows, trainer.global_rank if trainer else 0, trainer.world_size if trainer else 1)
        checkpoint["state_dict"] = upgraded_state(checkpoint["state_dict"])
        if trainer is None or trainer.state.fn != "fit":  # what a loss remembers is of use to a training alone
            checkpoint["state_dict"] = with_loss(checkpoint["state_dict"], self.loss)
        check_same_weights(checkpoint["state_dict"], self.state_dict(), type(self.model.network).__name__)
