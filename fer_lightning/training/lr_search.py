"""The learning rate to train with, found by a short training in which it rises (arXiv 1506.01186, section 3.3)."""

import copy
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from lightning.pytorch.utilities.seed import isolate_rng
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR
from tqdm import tqdm

from fer_lightning.errors import FERError
from fer_lightning.files import replacing
from fer_lightning.training.callbacks.per_step_seed import PerStepSeed
from fer_lightning.training.divergence import DivergedError

_WIDTH = 0.04
"""Standard deviation of the curve's smoothing, as a fraction of its steps."""

_FALL = 0.02
"""A smoothed loss that falls by less than this fraction of where it began says nothing about rates."""


@dataclass
class RateCurve:
    """The loss of a training in which the learning rate rises from step to step.

    Attributes:
        rates: The learning rates.
        losses: The loss of the step with each rate.
    """

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def smoothed(self) -> np.ndarray:
        """The losses without most of what differs between batches, float64 `(steps,)`."""
        losses, steps = np.asarray(self.losses, np.float64), np.arange(len(self.losses))
        near = np.exp(-0.5 * ((steps[:, None] - steps) / max(1.0, _WIDTH * len(steps))) ** 2)
        smooth: np.ndarray = near @ losses / near.sum(1)
        return smooth

    def suggestion(self) -> float | None:
        """The rate, to two digits, at which the loss falls most steeply over the logarithm of the rate.

        None if it does not fall. Before the loss is least, and not where it is: there, some steps are too large.
        """
        if len(self.losses) < 5:
            return None
        smooth = self.smoothed()
        least = int(smooth.argmin())
        if least < 2 or smooth[: least + 1].max() - smooth[least] < _FALL * abs(smooth[0]):
            return None
        slope = np.gradient(smooth[: least + 1], np.log10(self.rates[: least + 1]))
        return float(f"{self.rates[int(slope.argmin())]:.1e}")

    def draw(self, path: Path) -> None:
        """Write the curve as a PNG file."""
        from matplotlib.figure import Figure  # here, as it takes half a second

        figure = Figure((6.4, 4.0), layout="constrained")
        axes = figure.add_subplot()
        smooth, found = self.smoothed(), self.suggestion()
        axes.plot(self.rates, self.losses, ".", color="#9ca3af", markersize=4, label="each step")
        axes.plot(self.rates, smooth, color="#2563a8", label="smoothed")
        if found is not None:
            axes.axvline(found, color="#d97706", linestyle="--", label=f"steepest fall: {found:g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss")
        low, high = smooth.min(), max(smooth[0], float(np.median(self.losses)))
        axes.set_ylim(low - 0.3 * (high - low), high + 0.5 * (high - low))  # the end of the curve is often far above
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        with replacing(path, "wb") as stream:
            figure.savefig(stream, format="png", dpi=120)


class _RisingRate(Callback):
    """Sets the rate of each step, from the least to the most, and stops after the last one or when the loss explodes.

    Parameter groups keep their proportions, as with layer-wise decay.
    """

    def __init__(self, rates: list[float], threshold: float | None, curve: RateCurve) -> None:
        self._rates, self._threshold, self._curve = rates, threshold, curve
        self._losses: list[float] = []
        self._factors: list[float] = []
        self._bar: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn the proportions."""
        (optimizer,) = trainer.optimizers
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        self._factors = [rate / max(rates) for rate in rates]
        self._bar = tqdm(total=len(self._rates), desc="Trying learning rates", delay=1, leave=False)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Set the rate of the step that this batch is of."""
        for group, factor in zip(trainer.optimizers[0].param_groups, self._factors, strict=True):
            group["lr"] = factor * self._rates[min(trainer.global_step, len(self._rates) - 1)]

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Note the loss of a step, which may be of several batches."""
        self._losses.append(float(outputs["loss"]))
        if trainer.fit_loop._should_accumulate():
            return
        loss, known = sum(self._losses) / len(self._losses), self._curve.losses
        self._losses = []
        if not isfinite(loss) or (self._threshold and known and loss > self._threshold * min(known)):
            trainer.should_stop = True
            return
        self._curve.rates.append(self._rates[len(known)])
        known.append(loss)
        self._bar.update()
        trainer.should_stop |= len(known) == len(self._rates)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def sweep(trainer: Trainer, classifier: Any, data: Any, finder: LearningRateFinder) -> RateCurve:
    """Train a copy of a classifier with rising learning rates; nothing else changes.

    Args:
        trainer: The Trainer that the rate is for; the copy is trained by another one, on its device.
        classifier: What is to be trained, an ExpressionClassifier.
        data: A data module, or a loader of training batches.
        finder: Says which rates, and how many.
    """
    low, high, number = finder._min_lr, finder._max_lr, finder._num_training_steps
    space = np.linspace if finder._mode == "linear" else np.geomspace
    curve, device = RateCurve(), trainer.strategy.root_device
    attached, classifier._trainer = classifier._trainer, None  # else the copy would have a Trainer's copy
    try:
        copied = copy.deepcopy(classifier)
    finally:
        classifier._trainer = attached
    copied._lr_scheduler = None
    rising = _RisingRate(space(low, high, number).tolist(), finder._early_stop_threshold, curve)
    with isolate_rng():
        inner = Trainer(
            accelerator=device.type,
            devices=1 if device.index is None else [device.index],
            precision=trainer.precision,
            accumulate_grad_batches=trainer.accumulate_grad_batches,
            gradient_clip_val=trainer.gradient_clip_val,
            gradient_clip_algorithm=trainer.gradient_clip_algorithm,
            limit_train_batches=trainer.limit_train_batches,
            limit_val_batches=0,
            max_epochs=-1,
            callbacks=[rising, PerStepSeed(getattr(data, "seed", 0))],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        try:
            inner.fit(copied, data)
        except DivergedError:  # with rates as high as this, it may
            if not curve.losses:
                raise
        finally:
            if hasattr(data, "trainer"):
                data.trainer = getattr(attached, "datamodule", None) and attached
    return curve


def check_tuning(trainer: Trainer, classifier: Any, finder: LearningRateFinder | None) -> None:
    """Make sure that a LearningRateFinder applies, and that there is no BatchSizeFinder.

    Raises:
        FERError: If not; it says what to do instead.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    if any(isinstance(callback, BatchSizeFinder) for callback in callbacks):
        raise FERError(
            "BatchSizeFinder is not supported: the learning rate's schedule, and the place that a stopped run goes on "
            "from, depend on the batch size. Try --data.batch_size 128, 256, ... with --trainer.max_steps 5, and train "
            "with the largest that fits."
        )
    if finder is None:
        return
    if trainer.world_size > 1:
        raise FERError(
            f"The learning rate is searched on one device. Received: {trainer.world_size}. Search with "
            "--trainer.devices 1 and --trainer.max_epochs 1, and train on several with what it finds: "
            "--model.optimizer.lr RATE."
        )
    optimizer, scheduler = classifier.make_optimizers()
    name = type(optimizer).__name__
    if not all(isinstance(group.get("lr"), float) and group["lr"] > 0 for group in optimizer.param_groups):
        raise FERError(
            f"The learning rate is searched for optimizers that have one above 0, as 'lr'. Received: {name}."
        )
    if isinstance(scheduler, OneCycleLR | CyclicLR):
        raise FERError(
            f"{type(scheduler).__name__} has learning rates of its own: one for the optimizer is of no use to it. "
            "Search without --model.lr_scheduler, and give what is found to the scheduler."
        )


def settle_rate(classifier: Any) -> None:
    """Let a LearningRateFinder among its Trainer's callbacks find a classifier's rate before its optimizer is made.

    Lightning's own search comes after that: it would go on with the rate alone, and neither with a schedule's nor with
    layer-wise decay. A resumed training has its rate, so that none is searched. `Tuner.lr_find` is left to Lightning.

    Raises:
        FERError: If it does not apply.
    """
    trainer: Any = classifier._trainer
    if trainer is None:  # an optimizer without a training
        return
    callbacks: list[Callback] = trainer.callbacks
    finders = [one for one in callbacks if type(one) is LearningRateFinder and not one._early_exit]
    resumed = trainer.ckpt_path is not None
    check_tuning(trainer, classifier, finders[0] if finders and not resumed else None)
    trainer.callbacks = [one for one in callbacks if one not in finders]
    for finder in finders[: not resumed]:
        curve = sweep(trainer, classifier, trainer.fit_loop._data_source.instance, finder)
        finder.optimal_lr = curve  # type: ignore[assignment] # has a `suggestion` as Lightning's
        classifier.lr = curve.suggestion()
        print(told(curve, classifier.lr))


def told(curve: RateCurve, rate: float | None) -> str:
    """What is said of a search."""
    tried = f"{len(curve.rates)} steps from {curve.rates[0]:g} to {curve.rates[-1]:.2g}"
    if rate is None:
        return f"Rate   the loss did not fall in {tried}, so the learning rate stays as it is"
    return f"Rate   {rate:g}, where the loss fell most steeply in {tried}"
