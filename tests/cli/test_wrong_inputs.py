"""Mistakes that users make: each gives one clear message, no traceback, and exit status 2."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fer_lightning.cli.main import main
from fer_lightning.errors import FERError

HEAD = "user.id,image,emotion\n"


@pytest.fixture
def data(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the small drawn data set that a test may damage."""
    return Path(shutil.copytree(drawn, tmp_path / "faces"))


def broken_images(data: Path) -> None:
    for number, image in enumerate(sorted((data / "images").iterdir())[:3]):
        image.write_bytes([b"", b"text", image.read_bytes()[:500]][number])


def checkpoint_of(content: object) -> Callable[[Path], None]:
    def write(data: Path) -> None:
        if isinstance(content, bytes):
            (data.parent / "x.ckpt").write_bytes(content)
        else:
            torch.save(content, data.parent / "x.ckpt")

    return write


def legend(text: str) -> Callable[[Path], object]:
    return lambda data: (data / "legend.csv").write_text(text)


def append(row: str) -> Callable[[Path], object]:
    return lambda data: (data / "legend.csv").open("a").write(row + "\n")


NOTHING = {"state_dict": {}, "fer_lightning": {"format": 99, "version": "9.9"}}
CASES: dict[str, tuple[Callable[[Path], object] | None, str, list[str]]] = {
    # name: (what is done to the data set, the command line, what the message must say)
    "unknown verb": (None, "train", ["'train'", "Expected one of fit, validate, test, predict"]),
    "misspelt verb": (None, "tset", ["'tset'", "Did you mean test?", "--help"]),
    "unknown option": (
        None,
        "fit --data.rot x --data.root nowhere",
        ["no option --data.rot.", "Did you mean --data.root?", " fit --help_all"],
    ),
    "option without its place": (None, "fit --lr 1", ["no option --lr.", "Did you mean --model.optimizer.lr?"]),
    "shortened option": (None, "fit --data.image 1", ["no option --data.image.", "Did you mean --data.images?"]),
    "unknown option of a class": (
        None,
        "fit --model.network CompactResNet --model.network.wdths [8]",
        ["CompactResNet has no option wdths.", "Did you mean widths?"],
    ),
    "option of a class that was not chosen": (
        None,
        "fit --model.lr_scheduler.warmup 0.2",
        ["Without a class, there is no option warmup."],
    ),
    "unknown setting in a file": (
        lambda data: (data.parent / "mine.yaml").write_text("data: {augmentation: {flipp: true}}"),
        "fit --config mine.yaml",
        ["flipp", "Did you mean", "flip?"],
    ),
    "unknown setting of a group in a file": (
        lambda data: (data.parent / "mine.yaml").write_text("trainer: {max_epoch: 1}"),
        "fit --config mine.yaml",
        ["no option --trainer.max_epoch (in mine.yaml).", "Did you mean --trainer.max_epochs?"],
    ),
    "unknown group in a file": (
        lambda data: (data.parent / "mine.yaml").write_text("modle: {network: CompactResNet}"),
        "fit --config mine.yaml",
        ["no option --modle (in mine.yaml).", "Did you mean --model?"],
    ),
    "no settings in a file": (
        lambda data: (data.parent / "mine.yaml").write_text("- 1"),
        "fit --config mine.yaml",
        ["--config", "Expected settings", "mine.yaml"],
    ),
    "damaged file": (
        lambda data: (data.parent / "mine.yaml").write_text("a: [1"),
        "fit --config mine.yaml",
        ["--config", "Cannot read 'mine.yaml'", "line 1"],
    ),
    "unknown recipe": (None, "fit --config ferplus_fst", ["one of default, ", "Did you mean ferplus_fast?"]),
    "value missing": (None, "fit --config", ["--config", "expected one argument"]),
    "unknown option of predict": (None, "predict --inpt x", ["no option --inpt.", "Did you mean --input?"]),
    "a word too many": (None, "fit faces", ["unrecognized arguments: faces"]),
    "misspelt choice": (None, "fit --data.split random", ["data.split", "random", "grouped"]),
    "text for a number": (None, "fit --data.batch_size many", ["data.batch_size", "many"]),
    "batch of nothing": (None, "fit --data.batch_size 0", ["data.batch_size", "1 to 1,000,000", "0"]),
    "a whole license": (
        None,
        f"fit --data.license {'x' * 10_001}",
        ["--data.license", "at most 10,000 characters", "Received: 10,001"],
    ),
    "a value that a class of torch does not take": (
        None,
        "fit --data.root faces --model.network.dropout 2",
        ["ExpressionCNN does not take these values: dropout probability has to be between 0 and 1, but got 2"],
    ),
    "negative workers": (None, "fit --data.num_workers -1", ["data.num_workers", "0 to 1,024", "-1"]),
    "what the class of an option refuses": (
        None,
        "fit --data.augmentation.rotation 1000",
        ["error: Invalid value for --data.augmentation.rotation. Expected 0 to 180. Received: 1000"],
    ),
    "pipe for a list": (
        lambda data: os.mkfifo(data.parent / "pipe"),
        "fit --data.root faces --data.exclude pipe",
        ["--data.exclude", "'pipe'", "a device or a pipe"],
    ),
    "fraction above one": (
        None,
        "fit --data.root faces --data.train_fraction 1.5",
        ["train_fraction", "below 1", "1.5"],
    ),
    "no validation images": (
        legend(HEAD + "u,person_000_00.png,jolly\nu,person_001_00.png,jolly\nu,person_002_00.png,fear\n"),
        "fit --data.root faces",
        ["validation subset is empty", "3 images", "set 0"],
    ),
    "bad identity pattern": (None, "fit --data.root faces --data.identity (", ["data.identity", "regular expression"]),
    "identity of everybody": (
        None,
        "fit --data.root faces --data.identity person",
        ["testing subset empty", "1 identities", "--data.identity"],
    ),
    "no split column": (None, "fit --data.root faces --data.split predefined", ["column 'split'", "legend.csv"]),
    "image too small": (None, "fit --data.root faces --data.image_size 10", ["image_size", "at least 22", "10"]),
    "no data folder": (None, "fit --data.root nowhere", ["--data.root", "nowhere"]),
    "no legend": (
        lambda data: (data / "legend.csv").unlink(),
        "fit --data.root faces",
        ["legend.csv", "in no known form", "a table elsewhere"],
    ),
    "no image folder": (
        lambda data: shutil.rmtree(data / "images"),
        "fit --data.root faces",
        ["faces/images", "--data.images"],
    ),
    "empty legend": (legend(""), "fit --data.root faces", ["legend.csv", "empty"]),
    "legend without rows": (legend(HEAD), "fit --data.root faces", ["no rows"]),
    "columns nobody knows": (legend("a;b\n1;2\n"), "fit --data.root faces", ["legend.csv:1", "--data.columns", "a, b"]),
    "missing image": (append("u,gone.png,fear"), "fit --data.root faces", ["legend.csv:194", "gone.png"]),
    "image outside": (
        append("u,../x.png,fear"),
        "fit --data.root faces",
        ["legend.csv:194", "leaves the image folder"],
    ),
    "empty field": (append("u,person_000_00.png,"), "fit --data.root faces", ["legend.csv:194", "'emotion' is empty"]),
    "conflicting labels": (
        append("u,person_000_00.png,jolly"),
        "fit --data.root faces --data.conflicts error",
        ["legend.csv:194", "anger (line 2) and jolly (line 194)", "drop or keep"],
    ),
    "unknown label": (
        append("u,person_000_00.png,jolly"),
        "fit --data.root faces --data.classes [anger,contempt,disgust,fear,happiness,neutral,sadness,surprise]",
        ["legend.csv:194", "unknown label 'jolly'"],
    ),
    "broken images": (broken_images, "fit --data.root faces", ["3 of 192 images", "person_000_02.png", "truncated"]),
    "one class": (legend(HEAD + "u,person_000_00.png,jolly\n"), "fit --data.root faces", ["classes", "two or more"]),
    "tree cannot be built": (
        None,
        "fit --data.root faces --data.prepared_dir faces/legend.csv/x",
        ["--data.prepared_dir"],
    ),
    "run cannot be written": (
        None,
        "fit --data.root faces --runs_dir faces/legend.csv",
        ["faces/legend.csv", "--runs_dir"],
    ),
    "lists of another data set": (
        lambda data: (data.parent / "x.csv").write_text("image\nnobody.jpg\n"),
        "fit --data.root faces --data.exclude x.csv",
        ["Of 1 image listed for --data.exclude, none is in", "such as", "nobody.jpg"],
    ),
    "nothing to follow": (
        None,
        "fit --data.root faces --trainer.limit_val_batches 0",
        ["--early_stopping.monitor val_acc needs validation"],
    ),
    "several best checkpoints of one name": (
        None,
        "fit --data.root faces --checkpoint_best.save_top_k 3",
        ["save_top_k", "Expected 1", "Received: 3", "--checkpoint_best.filename"],
    ),
    "an impossible rate": (
        None,
        "fit --data.root faces --model.optimizer.lr -1 --data.image_size 32",
        ["--model.optimizer: Adam does not take these values", "learning rate: -1"],
    ),
    "unknown measure": (None, "fit --data.root faces --early_stopping.monitor val_f1", ["val_f1", "val_macro_f1"]),
    "no list to leave out": (None, "fit --data.root faces --data.exclude none.csv", ["--data.exclude", "none.csv"]),
    "fold out of range": (None, "fit --data.root faces --data.fold 5", ["--data.fold", "below it", "5"]),
    "audit without images": (
        lambda data: shutil.copy(data / "legend.csv", data / "other.csv"),
        "audit --data.legend faces/other.csv --data.images faces/..",
        ["192 problems", "other.csv:2", "is not a file"],
    ),
    "audit misspelt": (None, "audit --data.rot faces", ["data.rot"]),
    "one fold": (None, "crossval --folds 1 --data.root faces", ["--folds", "2", "1"]),
    "compare with itself alone": (None, "compare default", ["two runs or more", "default"]),
    "compare untested runs": (None, "compare one two", ["No predictions", "one"]),
    "unknown network": (None, "fit --data.root faces --model.network NoSuchNet", ["NoSuchNet"]),
    "no such device": (None, "fit --data.root faces --trainer.accelerator warp", ["warp"]),
    "config that is not there": (None, "fit --config nowhere.yaml", ["nowhere.yaml"]),
    "test without a checkpoint": (None, "test --data.root faces", ["test needs a checkpoint", "best, last or a file"]),
    "predict without an image": (None, "predict", ["predict needs something to look at", "predict photo.jpg"]),
    "best of no run": (None, "test --ckpt_path best --name none", ["'best' of the run 'none'", "best.ckpt"]),
    "checkpoint not there": (None, "fit --ckpt_path nowhere.ckpt", ["--ckpt_path", "nowhere.ckpt"]),
    "damaged checkpoint": (checkpoint_of(b"PK\x03\x04 cut"), "test --ckpt_path x.ckpt", ["x.ckpt", "damaged"]),
    "empty checkpoint": (checkpoint_of(b""), "test --ckpt_path x.ckpt", ["x.ckpt", "damaged"]),
    "weights of another program": (checkpoint_of({"state_dict": {}}), "test --ckpt_path x.ckpt", ["another program"]),
    "newer checkpoint": (checkpoint_of(NOTHING), "test --ckpt_path x.ckpt", ["9.9", "format 99", "Update"]),
}


@pytest.mark.parametrize("name", CASES)
def test_one_clear_message(name, data, monkeypatch, capsys):
    damage, line, expected = CASES[name]
    monkeypatch.chdir(data.parent)
    if damage is not None:
        damage(data)
    with pytest.raises(SystemExit) as stop:
        main(line.replace("fit ", "fit --data.num_workers 0 ").split())
    said = capsys.readouterr().err
    message = said[said.index("error: ") :].strip()
    print(f"| {name} | `{line}` | {message} |")
    assert stop.value.code == 2
    assert "Traceback" not in said
    assert message.rpartition("\n")[2].startswith("More: docs/errors.md#")
    for words in expected:
        assert words in message
    assert not (data.parent / "runs" / "default").exists()
    assert not list(data.parent.glob("prepared_data/*.building-*"))


def test_a_recipe_without_the_package_it_needs(data, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setitem(sys.modules, "timm.optim", None)
    recipe = data.parent / "recipe.yaml"
    recipe.write_text("model: {optimizer: {class_path: timm.optim.Muon, init_args: {lr: 0.1}}}")
    for words in (["--config", str(recipe)], ["--model.optimizer", "timm.optim.Muon"]):
        with pytest.raises(SystemExit, match="2"):
            main(["fit", "--data.root", str(data), *words])
        assert "error: This needs timm, for its optimizer or its network: pip install timm" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--model.network.dropout", "2", "ExpressionCNN does not take these values: dropout probability has to be"),
        ("--trainer.max_epochs", "many", "value for --trainer.max_epochs. Expected a whole number. Received: many."),
    ],
)
def test_what_a_caller_was_at_is_no_cause(workdir, capsys, option, value, message):
    try:
        raise FERError("something else")
    except FERError:
        with pytest.raises(SystemExit, match="2"):
            main(["fit", option, value])
    said = capsys.readouterr().err
    assert message in said
    assert "something else" not in said
