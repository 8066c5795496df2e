"""Data as people have them, from the first command to the report, with no file written by hand."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_lightning.checkpoints.saved_config import leave_old_data
from tests.conftest import flat, run_here

WORDS = ("angry", "happy", "sad")
NAMES = ["anger", "happiness", "sadness"]
BRIEFLY = ["--data.image_size", "32", "--data.num_workers", "0", "--trainer.max_epochs", "2"]


def images(folder: Path, count: int) -> dict[str, int]:
    """Faces of three kinds, each a brightness of its own: the number of the kind by file name."""
    rng = np.random.default_rng(0)
    found = {}
    for number in range(count):
        kind = number % 3
        name = f"{('Training', 'PublicTest')[number % 5 == 0]}_{number}.png"
        pixels = rng.integers(0, 60, (48, 48)) + 90 * kind
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
        found[name] = kind
    return found


def folders(place: Path) -> list[str]:
    for name, kind in images(place / "all", 120).items():
        target = place / "kaggle" / ("train" if name.startswith("T") else "test") / WORDS[kind] / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (place / "all" / name).rename(target)
    return ["--data.root", "kaggle"]


def table(place: Path) -> list[str]:
    rows = images(place / "photos", 120)
    with open(place / "labels.csv", "w", newline="", encoding="utf-16") as stream:
        writer = csv.writer(stream, delimiter=";")
        writer.writerow(["", "path", "label", "gender"])
        for number, (name, kind) in enumerate(rows.items()):
            writer.writerow([number, f"photos\\{name}", WORDS[kind].upper(), "fm"[number % 2]])
    return ["--data.root", "labels.csv"]


def pixels(place: Path) -> list[str]:
    number_of = (0, 3, 4)  # in FER2013
    with open(place / "fer2013.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["emotion", "pixels", "Usage"])
        for name, kind in images(place / "all", 120).items():
            values = " ".join(map(str, np.asarray(Image.open(place / "all" / name)).ravel().tolist()))
            writer.writerow([number_of[kind], values, "Training" if name.startswith("T") else "PrivateTest"])
    return ["--data.root", "fer2013.csv"]


@pytest.mark.parametrize("make", [pytest.param(folders, marks=pytest.mark.slow), table, pixels])
def test_from_what_one_has_to_a_measured_model(make, workdir, capsys):
    data = make(workdir)
    run_here("audit", *data, "--fail_on", "never", cwd=workdir)
    said = capsys.readouterr().out
    assert said.startswith("Source ")
    assert "anger (angry)" in flat(said) or make is pixels
    run_here("fit", *data, *BRIEFLY, "--name", "mine", cwd=workdir)
    said = capsys.readouterr().out
    assert "File names do not tell people apart" in flat(said) or make is pixels
    run_here("test", "--name", "mine", "--ckpt_path", "best", cwd=workdir)
    report = json.loads((workdir / "runs" / "mine" / "test" / "metrics.json").read_text())
    assert {name for name, row in report["classes"].items() if row["support"]} == set(NAMES)
    assert report["images"] == 24
    assert report["metrics"]["accuracy"]["value"] > 0.5
    if make is table:
        assert {one["value"] for one in report["slices"] if one["attribute"] == "gender"} == {"f", "m"}
    else:
        assert report["split_options"]["rule"] == "predefined"


def test_a_model_of_eight_classes_measures_what_can_be_compared(workdir, capsys):
    data = folders(workdir)
    run_here("test", *data, "--ckpt_path", "pretrained", "--name", "three", "--data.faces", "whole", cwd=workdir)
    said = capsys.readouterr().out
    assert "angry is anger, happy is happiness, sad is sadness" in flat(said)
    assert "'contempt' has no image: where a network answers with it, that counts as wrong." in flat(said)
    report = json.loads((workdir / "runs" / "three" / "test" / "metrics.json").read_text())
    assert sum(row["support"] for row in report["classes"].values()) == 24
    (workdir / "kaggle" / "train" / "sad").rename(workdir / "kaggle" / "train" / "bored")
    with pytest.raises(SystemExit):
        run_here("test", *data, "--ckpt_path", "pretrained", "--name", "three", cwd=workdir)
    said = capsys.readouterr().err
    assert "the folder 'bored' is none of the classes anger, contempt" in flat(said)
    assert "leave them out with --data.on_error drop" in flat(said)
    drop = ["--data.on_error", "drop", "--data.faces", "whole"]
    run_here("test", *data, "--ckpt_path", "pretrained", "--name", "four", *drop, cwd=workdir)
    assert "1 image or row that cannot be used is left out" in flat(capsys.readouterr().out)


def test_numbers_are_never_taken_for_the_classes_of_a_checkpoint(workdir, capsys):
    data = folders(workdir)
    for part in ("train", "test"):
        for number, word in enumerate(WORDS):
            (workdir / "kaggle" / part / word).rename(workdir / "kaggle" / part / str(number))
    test = ["test", *data, "--data.faces", "whole", "--ckpt_path", "pretrained"]
    with pytest.raises(SystemExit):
        run_here(*test, "--name", "numbers", cwd=workdir)
    assert "the labels are numbers, 0, 1, 2, and what they mean is not known" in capsys.readouterr().err
    named = ["--data.label_names", json.dumps(WORDS)]
    run_here(*test, "--name", "numbers", *named, cwd=workdir)
    report = json.loads((workdir / "runs" / "numbers" / "test" / "metrics.json").read_text())
    assert {name for name, row in report["classes"].items() if row["support"]} == set(NAMES)
    run_here("fit", *data, *BRIEFLY, *named, "--name", "mine", cwd=workdir)
    run_here("test", "--name", "mine", "--ckpt_path", "best", cwd=workdir)
    report = json.loads((workdir / "runs" / "mine" / "test" / "metrics.json").read_text())
    assert sorted(report["classes"]) == NAMES


def test_another_data_set_is_not_read_by_the_table_of_the_training(workdir, capsys):
    table(workdir)
    folders(workdir / "other")
    own = ["--data.root", ".", "--data.legend", "labels.csv", "--data.images", "."]
    run_here("fit", *own, *BRIEFLY, "--trainer.max_epochs", "1", "--name", "mine", cwd=workdir)
    test = ["test", "--name", "mine", "--ckpt_path", "last"]
    capsys.readouterr()
    for words, read in {
        (): "labels.csv",
        ("--data.root", str(workdir)): "labels.csv",
        ("--data.root", "other/kaggle"): "other/kaggle, a folder for each class",
        ("--data.root", "other/kaggle", "--data.legend", "labels.csv", "--data.images", "."): "labels.csv",
    }.items():
        run_here(*test, *words, "--data.classes", "null", "--data.on_error", "drop", cwd=workdir)
        assert read in flat(capsys.readouterr().out).split("Split")[0]
    data = {"root": "a", "legend": "b", "images": None, "source": "Own"}
    saved = {"root": "a", "legend": "b", "images": None}
    leave_old_data(data, saved, {"--data.source", "--data.source.size"}, print)
    assert data == {"root": None, "legend": None, "images": None, "source": "Own"}
    assert not capsys.readouterr().out


@pytest.mark.slow
def test_headings_and_lists_of_the_training_are_not_those_of_another_data_set(workdir, capsys):
    rows = [(f"photos/{name}", WORDS[kind]) for name, kind in images(workdir / "photos", 120).items()]
    with (workdir / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("pth", "mood"), *rows])
    (workdir / "bad.csv").write_text(f"image\n{rows[0][0]}\n")
    (workdir / "other.csv").write_text(f"image,suggested\n{rows[1][0]},{NAMES[0]}\n")
    folders(workdir / "other")
    own = ["--data.root", ".", "--data.legend", "labels.csv", "--data.images", "."]
    own += ["--data.columns", "{image: pth, label: mood}", "--data.exclude", "bad.csv", "--data.relabel", "other.csv"]
    run_here("fit", *own, *BRIEFLY, "--trainer.max_epochs", "1", "--name", "mine", cwd=workdir)
    capsys.readouterr()
    for verb in ("test", "validate"):
        words = [verb, "--name", "mine", "--ckpt_path", "last", "--data.classes", "null"]
        run_here(*words, "--data.root", "other/kaggle", cwd=workdir)
        said = capsys.readouterr()
        assert "other/kaggle, a folder for each class" in flat(said.out)
        assert "note: --data.columns, --data.exclude, --data.relabel of the training left away" in said.err
        run_here(*words, cwd=workdir)
        said = capsys.readouterr()
        assert "labels.csv" in flat(said.out)
        assert "note:" not in said.err
    # a training that goes on has the same data, wherever they are
    shutil.copytree(workdir / "photos", workdir / "moved" / "photos")
    shutil.copy(workdir / "labels.csv", workdir / "moved")
    resumed = ["fit", *BRIEFLY, "--name", "mine", "--ckpt_path", "last", "--trainer.max_epochs", "2"]
    moved = ["--data.root", "moved", "--data.legend", "moved/labels.csv", "--data.images", "moved"]
    run_here(*resumed, *moved, cwd=workdir)
    assert "note:" not in capsys.readouterr().err
    # and int8 is calibrated on what is named, too
    words = ["export", "--name", "mine", "--ckpt_path", "last", "--output", "int8.onnx", "--quantize", "int8"]
    run_here(*words, cwd=workdir)
    run_here(*words, "--overwrite", "true", "--data.root", "other/kaggle", cwd=workdir)
    assert "note: --data.columns" in capsys.readouterr().out


@pytest.mark.slow
def test_every_fold_of_a_folder_for_each_class(workdir, capsys):
    run_here("crossval", *folders(workdir), *BRIEFLY, "--folds", "2", "--name", "folds", cwd=workdir)
    content = json.loads((workdir / "runs" / "folds" / "crossval.json").read_text())
    assert content["metrics"]["accuracy"]["mean"] > 0.5
    rows = list(csv.DictReader((workdir / "runs" / "folds" / "test" / "predictions.csv").open()))
    assert len(rows) == 120
