"""Search learning rate, label smoothing and flipping with Optuna; trials that fall behind are given up early.

    pip install -e '.[sweep]'
    python examples/sweep.py --root DATA --trials 30

The validation subset alone decides: whoever chooses by test images has trained on them. What has been tried is kept in
sweep.db, so a search that was stopped goes on; sweep.png shows it.
"""

import argparse

import matplotlib.pyplot as plt
import optuna
import torch
from lightning.pytorch import Callback, Trainer, seed_everything

from fer_lightning import ExpressionClassifier, ExpressionCNN, FERDataModule
from fer_lightning.data.augmentation import Augmentation
from fer_lightning.training.losses import CrossEntropy


class Judge(Callback):
    """Tells Optuna how good every epoch is, and gives the trial up where others were better by then."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial, self.best = trial, 0.0

    def on_validation_end(self, trainer, pl_module) -> None:
        value = float(trainer.callback_metrics["val_balanced_acc"])
        self.best = max(self.best, value)
        self.trial.report(value, trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def objective(trial: optuna.Trial) -> float:
    """Train once, with what Optuna wants to know about."""
    rate = trial.suggest_float("lr", 1e-4, 3e-2, log=True)
    smoothing = trial.suggest_float("label_smoothing", 0.0, 0.2)
    flip = trial.suggest_categorical("flip", [False, True])
    seed_everything(0, verbose=False)
    data = FERDataModule(given.root, image_size=given.image_size, augmentation=Augmentation(flip=flip))
    network = ExpressionCNN(data.num_classes, data.in_channels, data.image_size)
    model = ExpressionClassifier(network, data.info, CrossEntropy(smoothing), lambda p: torch.optim.Adam(p, lr=rate))
    judge = Judge(trial)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    Trainer(max_epochs=given.epochs, callbacks=[judge], num_sanity_val_steps=0, **quiet).fit(model, data)
    return judge.best


def draw(study: optuna.Study, path: str) -> None:
    """Every trial, epoch by epoch."""
    colors = {optuna.trial.TrialState.COMPLETE: "tab:blue", optuna.trial.TrialState.PRUNED: "lightgray"}
    for trial in study.trials:
        color = "tab:orange" if trial == study.best_trial else colors.get(trial.state)
        if color:
            plt.plot(*zip(*sorted(trial.intermediate_values.items()), strict=True), ".-", color=color)
    plt.xticks(range(given.epochs))
    plt.xlabel("epoch")
    plt.ylabel("balanced accuracy, validation")
    plt.title("orange: best, gray: given up early")
    plt.savefig(path, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="the data set; without it, the embedded synthetic faces")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--image_size", type=int, default=48)
    given = parser.parse_args()
    study = optuna.create_study(
        storage="sqlite:///sweep.db",
        study_name="sweep",
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1),
    )
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))  # the same tries in every search
    study.optimize(objective, n_trials=given.trials)
    draw(study, "sweep.png")
    best = study.best_params
    print(f"Best: balanced accuracy {study.best_value:.4f} on the validation subset, after {len(study.trials)} trials")
    print(
        f"python train.py fit --data.image_size {given.image_size} --trainer.max_epochs {given.epochs} "
        f"--model.optimizer.lr {best['lr']:.2g} "
        f"--model.loss.label_smoothing {best['label_smoothing']:.2g} --data.augmentation.flip {best['flip']}"
    )
