"""What a checkpoint says of paths, options and its own state when a run goes on from it."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint

from fer_lightning.training.resuming import own_files
from tests.conftest import TINY, run_here

pytestmark = pytest.mark.slow

LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"
MORE = ("--trainer.max_epochs", "3", "--early_stopping.patience", "9")


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory) -> Path:
    """A folder with a run of two epochs, each of 9 steps."""
    folder = tmp_path_factory.mktemp("trained")
    run_here("fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "2", cwd=folder)
    return folder


@pytest.fixture
def place(trained, tmp_path) -> Path:
    """A copy of it, whose best checkpoint has a score that nothing will reach."""
    work = Path(shutil.copytree(trained, tmp_path / "work"))
    for name in (BEST, LAST):
        change(work / "runs/default" / name, perfect)
    return work


def change(path: Path, how, to: Path | None = None) -> Path:
    checkpoint = torch.load(path, weights_only=True)
    how(checkpoint)
    torch.save(checkpoint, to or path)
    return to or path


def best_state(checkpoint: dict) -> dict:
    return next(state for key, state in checkpoint["callbacks"].items() if key.startswith("ModelCheckpoint"))


def perfect(checkpoint: dict) -> None:
    state = best_state(checkpoint)
    for name in ("best_model_score", "current_score", "kth_value"):
        state[name] = torch.tensor(1.0)
    state["best_k_models"] = dict.fromkeys(state["best_k_models"], torch.tensor(1.0))


def refused(place: Path, capsys, *words: str | Path) -> str:
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", *words, cwd=place)
    return capsys.readouterr().err


def test_no_path_in_a_checkpoint_is_touched(place):
    victim = place / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine")

    def evil(checkpoint):
        named = {str(victim): torch.tensor(0.0)}
        paths = {"dirpath": str(place), "best_model_path": str(victim), "kth_best_model_path": str(victim)}
        best_state(checkpoint).update(paths, best_k_models=named, kth_value=torch.tensor(0.0))

    for number, path in enumerate((place / "evil.ckpt", place / "runs/default/checkpoints/evil.ckpt")):
        change(place / "runs/default" / LAST, evil, path)
        run_here("fit", "--ckpt_path", path, *MORE, "--name", f"new{number}", cwd=place)
        assert (victim / "file").read_text() == "mine"
        assert (place / f"runs/new{number}" / BEST).is_file()  # a run that had none has one at its end


@pytest.mark.parametrize("how", ["relative", "absolute", "renamed", "moved", "link", "last"])
def test_the_best_stays_the_best_by_whatever_path_a_run_goes_on(place, how):
    run_dir = place / "runs/default"
    words = {"last": ["last"], "relative": [f"runs/default/{LAST}"]}.get(how, [run_dir / LAST])
    if how == "renamed":
        run_dir = run_dir.rename(place / "runs/older")
        words = [run_dir / LAST]
    elif how == "moved":
        run_dir = (place / "runs").rename(place / "elsewhere") / "default"
        words = [f"elsewhere/default/{LAST}"]
    elif how == "link":
        (place / "linked").symlink_to(run_dir)
        words = [f"linked/{LAST}"]
    before = (run_dir / BEST).read_bytes()
    run_here("fit", "--ckpt_path", *words, *MORE, cwd=place)
    assert (run_dir / BEST).read_bytes() == before
    assert torch.load(run_dir / LAST, weights_only=True)["epoch"] == 2


def test_without_its_best_file_a_run_gets_another(place):
    (place / "runs/default" / BEST).unlink()
    run_here("fit", "--ckpt_path", "last", *MORE, cwd=place)
    assert torch.load(place / "runs/default" / BEST, weights_only=True)["epoch"] == 2


def test_a_changed_rate_is_used_and_written_down(place):
    rates = ("--model.optimizer.lr", "0.01", "--model.optimizer.weight_decay", "0.1")
    run_here("fit", "--ckpt_path", "last", *MORE, *rates, cwd=place)
    rows = list(csv.DictReader((place / "runs/default/metrics.csv").open()))
    assert [row["lr"] for row in rows] == ["0.001", "0.001", "0.01"]
    group = torch.load(place / "runs/default" / LAST, weights_only=True)["optimizer_states"][0]["param_groups"][0]
    assert (group["lr"], group["weight_decay"]) == (0.01, 0.1)
    config = yaml.safe_load((place / "runs/default/config.yaml").read_text())
    assert config["model"]["optimizer"]["init_args"]["lr"] == 0.01


def test_a_scheduled_rate_keeps_its_course(drawn, tmp_path):
    """After two of StepLR's epochs at gamma 0.5 a quarter of the rate is left, of the old one and of the new one."""
    step = (
        "--model.lr_scheduler",
        "StepLR",
        "--model.lr_scheduler.step_size",
        "1",
        "--model.lr_scheduler.gamma",
        "0.5",
    )
    run_here("fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "2", *step, cwd=tmp_path)
    run_here("fit", "--ckpt_path", "last", *MORE, "--model.optimizer.lr", "0.008", cwd=tmp_path)
    rows = list(csv.DictReader((tmp_path / "runs/default/metrics.csv").open()))
    assert [float(row["lr"]) for row in rows] == pytest.approx([0.0005, 0.00025, 0.001])  # after the epoch's step


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ("--model.optimizer", "SGD"),
            "--model.optimizer torch.optim.SGD: the checkpoint was trained with torch.optim.Adam",
        ),
        (("--model.optimizer.amsgrad", "true"), "--model.optimizer.amsgrad cannot change under way"),
        (("--model.lr_scheduler", "StepLR", "--model.lr_scheduler.step_size", "1"), "was trained without one"),
        (("--model.fine_tuning.freeze", "[features.0]"), "--model.fine_tuning.freeze: the optimizer's state"),
        (
            ("--model.fine_tuning.weights", "pretrained"),
            "weights pretrained: the training of 'runs/default/checkpoints/",
        ),
        (("--model.ema_decay", "0.9"), "another network"),
        (("--trainer.max_epochs", "1"), "Expected 2 or more"),
        (("--checkpoint_best.monitor", "val_loss"), "is the best by another measure than val_loss"),
    ],
)
def test_what_cannot_change_under_way_is_refused_and_the_run_stays_as_it_is(place, capsys, words, why):
    before = {path: path.read_bytes() for path in (place / "runs").rglob("*") if path.is_file()}
    assert why in refused(place, capsys, "--ckpt_path", "last", *words)
    assert {path: path.read_bytes() for path in (place / "runs").rglob("*") if path.is_file()} == before


EARLY = "PatientStopping{'monitor': 'val_acc', 'mode': 'max'}"
DAMAGE = {
    "callbacks": lambda c: c.update(callbacks=[1]),
    "stopping": lambda c: c["callbacks"].update({EARLY: 5}),
    "wait": lambda c: c["callbacks"][EARLY].update(wait_count="x"),
    "reason": lambda c: c["callbacks"][EARLY].update(stopping_reason=77),
    "score": lambda c: c["callbacks"][EARLY].update(best_score=torch.tensor(torch.nan)),
    "rows": lambda c: c["callbacks"]["EpochTable"].update(rows=[5]),
    "no loops": lambda c: c.pop("loops"),
    "loop": lambda c: c.update(loops={}),
    "count": lambda c: c["loops"]["fit_loop"]["epoch_progress"]["current"].update(ready=-5),
    "order": lambda c: c["loops"]["fit_loop"]["epoch_progress"]["current"].update(completed=50),
    "no optimizer": lambda c: c.update(optimizer_states=[]),
    "no moment": lambda c: c["optimizer_states"][0]["state"][0].pop("exp_avg"),
    "shape": lambda c: c["optimizer_states"][0]["state"][0].update(exp_avg=torch.zeros(1)),
    "kind": lambda c: c["optimizer_states"][0]["state"][0].update(exp_avg="x"),
    "infinite": lambda c: c["optimizer_states"][0]["state"][0]["exp_avg_sq"].fill_(torch.inf),
    "rate": lambda c: c["optimizer_states"][0]["param_groups"][0].update(lr=float("nan")),
    "scheduler": lambda c: c.update(lr_schedulers=[5]),
    "version": lambda c: c.update({"pytorch-lightning_version": 5}),
    "figures": lambda c: c.update(training_figures=[[1]]),
    "place": lambda c: c.update(FERDataModule=5),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_training_state_is_one_message_and_nothing_is_moved(place, capsys, damage):
    change(place / "runs/default" / LAST, DAMAGE[damage], place / "bad.ckpt")
    before = sorted(path.name for path in (place / "runs").iterdir())
    said = refused(place, capsys, "--ckpt_path", "bad.ckpt", *MORE)
    assert "checkpoint" in said
    assert "Traceback" not in said
    assert sorted(path.name for path in (place / "runs").iterdir()) == before


def test_weights_alone_keep_the_score_that_their_run_says(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "best.ckpt")
    callback = ModelCheckpoint(tmp_path, "best", monitor="val_acc", mode="max", save_weights_only=True)
    said = {"best_k_models": {"/elsewhere/best.ckpt": torch.tensor(0.5), "/elsewhere/other.ckpt": torch.tensor(0.9)}}
    found = own_files(callback, said)
    assert found["best_model_score"] == 0.5
    assert found["best_k_models"] == {str(tmp_path / "best.ckpt"): 0.5}
