"""`main([...])` in the cells of a real Jupyter kernel: errors, the interrupt button, progress, going on."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import TINY
from tests.jupyter import Cells, kernel

LONG = [*TINY, "--trainer.max_epochs", "12", "--early_stopping.patience", "1000"]
FAILING = """
from lightning.pytorch import Callback

class Failing(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 5:
            raise RuntimeError("the fifth step")
"""


@pytest.fixture(scope="module")
def folder(drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jupyter")
    (folder / "DATA").symlink_to(drawn)
    (folder / "failing.py").write_text(FAILING)
    return folder


@pytest.fixture(scope="module")
def cells(folder):
    with kernel(folder) as cells:
        cells.run("from fer_lightning.cli.main import main")
        yield cells


def call(*words: str) -> str:
    return f"main({[str(word) for word in words]})"


def fit(name: str, *words: str) -> str:
    return call("fit", "--name", name, "--data.root", "DATA", *words)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (fit("wrong", "--data.batch_size", "-3"), "FERError: Invalid value for --data.batch_size. Expected 1 to 1"),
        (call("fitt"), "FERError: Unknown verb 'fitt'. Did you mean fit?"),
        (call("fit", "--nix", "1"), "FERError: There is no option --nix."),
        (call("audit", "--data.root", "nowhere"), "FERError: Invalid value for --data.root."),
        (call("test"), "FERError: test needs a checkpoint"),
        ("import fer_lightning; fer_lightning.FERDataModule('nowhere')", "FERError: Invalid value for --data.root."),
    ],
)
def test_a_mistake_is_one_message(cells: Cells, code: str, message: str):
    done = cells.run(code)
    assert done.error == "FERError"
    assert done.shown.startswith(message)
    assert len(done.shown.splitlines()) <= 3  # the last one names the page that explains
    assert done.stderr == ""


def test_help_ends_the_cell_well(cells: Cells):
    for words in ([], ["--version"], ["fit", "--help"], ["fit", "--help_all"], ["audit", "--help_all"]):
        done = cells.run(call(*words))
        assert (done.error, done.stderr, done.result) == ("", "", "")
        assert done.stdout


@pytest.mark.slow
def test_a_training_leaves_one_line_of_progress(cells: Cells, folder: Path):
    done = cells.run(fit("short", *TINY, "--trainer.max_epochs", "6"))
    assert done.error == ""
    (states,) = done.displays.values()
    assert states[-1].startswith("Epoch 6/6  ━")
    assert "val_acc 0." in states[-1]
    assert all(state.startswith("Epoch ") and "\n" not in state for state in states)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) < 35
    assert "\r" not in done.stdout
    tested = cells.run(call("test", "--name", "short", "--ckpt_path", "best"))
    assert [states[-1].split("━")[0] for states in tested.displays.values()] == ["Test  "]
    assert (folder / "runs/short/test/report.html").is_file()
    quiet = cells.run(fit("quiet", *TINY, "--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"))
    assert (quiet.displays, quiet.error) == ({}, "")


@pytest.mark.slow
def test_a_failed_cell_lets_the_run_go(cells: Cells, folder: Path):
    done = cells.run(fit("failing", *LONG, "--trainer.callbacks", "failing.Failing"))
    assert done.error == "RuntimeError"  # what is no mistake of the command line's keeps its traceback
    assert "failing.py" in done.shown
    again = cells.run(fit("failing", *TINY, "--trainer.max_epochs", "1"))
    assert again.error == "", again.shown
    assert (folder / "runs/failing/summary.json").is_file()


@pytest.mark.slow
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(cells: Cells, folder: Path):
    stopped = cells.run(fit("stopped", *LONG), interrupt_when=(folder / "runs/stopped/metrics.csv").is_file)
    assert (stopped.error, stopped.shown) == ("Stopped", "Stopped by Ctrl-C.")
    assert "Continue with:" in stopped.stdout
    assert not (folder / "runs/stopped/summary.json").exists()
    last = cells.run(call("fit", "--name", "stopped", "--ckpt_path", "last"))
    assert last.error == "", last.shown
    assert cells.run(fit("whole", *LONG)).error == ""
    weights = [
        torch.load(folder / "runs" / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("stopped", "whole")
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.slow
def test_the_name_of_an_interrupted_training_is_free(cells: Cells, folder: Path):
    shutil.rmtree(folder / "runs/again", ignore_errors=True)
    cells.run(fit("again", *LONG), interrupt_when=(folder / "runs/again/metrics.csv").is_file)
    assert cells.run(fit("again", *TINY, "--trainer.max_epochs", "1")).error == ""


@pytest.mark.slow
def test_an_interrupt_while_libraries_are_imported_ends_the_cell_and_not_the_kernel(folder: Path):
    with kernel(folder) as cells:
        begun = folder / "begun"
        begun.unlink(missing_ok=True)
        cells.run("from fer_lightning.cli.main import main")
        done = cells.run(
            f"open('begun', 'w').close(); {fit('early', *LONG)}",
            interrupt_when=lambda: begun.is_file() and time.time() - begun.stat().st_mtime > 0.2,  # no longer in `open`
        )
        assert (done.error, done.shown) == ("Stopped", "Stopped by Ctrl-C.")
        assert cells.run(fit("early", *TINY, "--trainer.max_epochs", "1")).error == ""
