"""`fit --lr_find true`, or with Lightning's LearningRateFinder: the rate is searched first, and then it is the run's.

What is found takes the place of --model.optimizer.lr in the configuration, and the search is taken out of it: so the
run repeated from its config.yaml is the same run, and one that is gone on with does not search again.
"""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LearningRateFinder

from fer_lightning.training.classifier import ExpressionClassifier
from fer_lightning.training.lr_search import RateCurve, check_tuning, sweep, told

HELP = (
    "Search the learning rate first, and train with what is found (also a LearningRateFinder in --trainer.callbacks)."
)

PICTURE = "learning_rate.png"
"""The curve, in the run's folder."""

_LEAST = 1e-6
"""The rate to begin with; Lightning's 1e-8 tries two more decades in which nothing happens."""


def take_finder(trainer: Trainer, classifier: ExpressionClassifier, config: Any, resumed: bool) -> Any:
    """Take the search that a `fit` is asked for out of its Trainer and its configuration; None where there is none.

    Raises:
        FERError: If it does not apply.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    found = [one for one in callbacks if type(one) is LearningRateFinder]
    found += [LearningRateFinder(min_lr=_LEAST)] if config.lr_find else []
    config["lr_find"] = False
    trainer.callbacks = [one for one in callbacks if one not in found]  # type: ignore[attr-defined]
    named = config.trainer.callbacks
    if isinstance(named, list):
        config.trainer["callbacks"] = [one for one in named if not _is_finder(one)] or None
    elif _is_finder(named):
        config.trainer["callbacks"] = None
    if found and resumed:
        print("Note   The learning rate is not searched again: the run goes on with the one it has.")
    finder = found[0] if found and not resumed else None
    check_tuning(trainer, classifier, finder)
    return finder


def search(
    finder: LearningRateFinder, trainer: Trainer, classifier: ExpressionClassifier, data: Any, config: Any
) -> RateCurve | None:
    """Search the rate, put it into classifier and configuration, and say it; None under --trainer.fast_dev_run."""
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return None
    curve = sweep(trainer, classifier, data, finder)
    if (rate := curve.suggestion()) is not None:
        classifier.lr = config.model.optimizer.init_args["lr"] = rate
    print(told(curve, rate), flush=True)
    return curve


def draw(curve: RateCurve, run_dir: Path) -> None:
    """Write the picture of a search."""
    curve.draw(run_dir / PICTURE)
    print(f"       its curve is {run_dir / PICTURE}", flush=True)


def _is_finder(named: Any) -> bool:
    """Whether a callback's settings, a class path with its arguments, are Lightning's finder."""
    return bool(named) and str(named.get("class_path", "")).rpartition(".")[2] == LearningRateFinder.__name__
