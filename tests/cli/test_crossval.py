"""Every image is tested once; an interrupted cross-validation goes on where it was."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from fer_lightning.cli.crossval import _same_options, crossval
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.errors import FERError
from fer_lightning.evaluation.measures import MEASURES
from fer_lightning.reports.page import filled
from tests.cli.test_trainer import sides, with_columns
from tests.conftest import TINY, flat, run_here


@pytest.mark.slow
def test_crossval_tests_every_image_once_and_goes_on_where_it_was(drawn, tmp_path, capsys):
    words = ["crossval", "--folds", "2", "--data.root", drawn, *TINY, "--trainer.max_epochs", "1"]
    run_here(*words, cwd=tmp_path)
    folder = tmp_path / "runs" / "crossval"
    together = list(csv.DictReader((folder / "test" / "predictions.csv").open()))
    assert len({row["image"] for row in together}) == len(together) == 192
    assert {row["seen"] for row in together} == {"no"}
    content = json.loads((folder / "crossval.json").read_text())
    values = [fold["metrics"]["accuracy"]["value"] for fold in content["each"]]
    assert len(values) == 2
    assert content["metrics"]["accuracy"]["mean"] == pytest.approx(sum(values) / 2)
    assert content["metrics"]["accuracy"]["lowest"] == min(values)

    (folder / "seed0-fold1" / "test" / "metrics.json").unlink()
    kept = (folder / "seed0-fold0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    begun = (folder / "seed0-fold1" / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    run_here(*words, cwd=tmp_path)
    assert (folder / "seed0-fold0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == kept
    assert (folder / "seed0-fold1" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == begun
    assert json.loads((folder / "crossval.json").read_text())["metrics"] == content["metrics"]
    run_here(*words, "--subset", "validation", cwd=tmp_path)
    assert (folder / "seed0-fold0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == kept
    reports = folder.glob("seed*/validate/metrics.json")
    assert {json.loads(path.read_text())["subset"] for path in reports} == {"validation"}
    assert json.loads((folder / "crossval-validation.json").read_text())["metrics"] != content["metrics"]
    none = ["--name", "none", "--subset", "validation", "--data.val_fraction", "0"]
    with pytest.raises(SystemExit, match="2"):
        run_here(*words, *none, cwd=tmp_path)
    assert "needs a validation subset: --data.val_fraction above 0" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run_here(*words, "--data.color", "gray", cwd=tmp_path)
    assert "other options" in capsys.readouterr().err


@pytest.mark.slow
def test_seeds_on_one_split_have_a_mean_and_a_spread(drawn, tmp_path, capsys):
    words = ["crossval", "--folds", "1", "--seeds", "2", "--name", "seeds", "--data.root", drawn]
    words += [*TINY, "--trainer.max_epochs", "1"]
    run_here(*words, cwd=tmp_path)
    said = capsys.readouterr().out
    assert "Seed 1: accuracy" in said
    assert "2 seeds, one split" in said
    folder = tmp_path / "runs" / "seeds"
    content = json.loads((folder / "crossval.json").read_text())
    assert [one["run"] for one in content["each"]] == ["seed0", "seed1"]
    reports = [json.loads((folder / name / "test" / "metrics.json").read_text()) for name in ("seed0", "seed1")]
    one, two = (report["metrics"]["nll"]["value"] for report in reports)
    assert one != two
    assert content["metrics"]["nll"]["mean"] == pytest.approx((one + two) / 2)
    assert content["metrics"]["nll"]["sd"] == pytest.approx(abs(one - two) / 2**0.5)
    assert reports[0]["split"] == reports[1]["split"]
    tables = [(folder / name / "test" / "predictions.csv").read_text() for name in ("seed0", "seed1")]
    images = [[row["image"] for row in csv.DictReader(table.splitlines())] for table in tables]
    assert images[0] == images[1]
    assert not (folder / "test").exists()


@pytest.mark.slow
def test_weights_are_measured_on_every_fold_as_they_are(drawn, tmp_path, capsys):
    words = ["crossval", "--name", "as_it_is", "--folds", "2", "--data.root", drawn, "--ckpt_path", "pretrained"]
    run_here(*words, "--model.class_prior", "uniform", cwd=tmp_path)
    folder = tmp_path / "runs" / "as_it_is"
    run_here("test", "--name", "whole", "--data.root", drawn, "--ckpt_path", "pretrained", "--data.train_fraction",
             "0.01", "--data.val_fraction", "0", "--model.class_prior", "uniform", cwd=tmp_path)  # fmt: skip
    here, there = (
        {row["image"]: row for row in csv.DictReader((place / "test" / "predictions.csv").open())}
        for place in (folder, tmp_path / "runs" / "whole")
    )
    assert len(here) == 192
    assert len(there) == 176  # all but one person
    for image, row in there.items():
        for name in EXPRESSIONS:
            assert float(here[image][name]) == pytest.approx(float(row[name]), abs=2e-6)
    content = json.loads((folder / "crossval.json").read_text())
    assert [one["images"] for one in content["each"]] == [96, 96]
    assert not list(folder.glob("*/checkpoints"))
    with pytest.raises(SystemExit, match="2"):
        run_here(*words, cwd=tmp_path)
    assert "other options" in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkpoint_of_a_predefined_split_and_votes_is_measured_on_every_fold_too(drawn, tmp_path):
    """What its training went by says nothing about these data: folds are those of people, and nobody voted."""
    rows = list(csv.DictReader((drawn / "legend.csv").open()))
    shutil.copytree(drawn, tmp_path / "declared")
    with (tmp_path / "declared" / "legend.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, [*rows[0], "split", *EXPRESSIONS])
        table.writeheader()
        for row in rows:
            part = "testing" if int(row["image"].split("_")[1]) < 2 else "training"
            table.writerow(row | {"split": part} | {name: 9 * (name == row["emotion"]) + 1 for name in EXPRESSIONS})
    own = ["--data.split", "predefined", "--data.soft_labels", "true", "--trainer.max_epochs", "1"]
    run_here("fit", "--name", "declared", "--data.root", tmp_path / "declared", *TINY, *own, cwd=tmp_path)
    weights = ["--ckpt_path", "runs/declared/checkpoints/last.ckpt"]
    run_here("crossval", "--folds", "2", "--data.root", drawn, *weights, cwd=tmp_path)
    report = json.loads((tmp_path / "runs" / "crossval" / "test" / "metrics.json").read_text())
    assert report["images"] == 192
    one = json.loads((tmp_path / "runs" / "crossval" / "seed0-fold0" / "test" / "metrics.json").read_text())
    assert one["split_options"]["rule"] == "grouped"
    run_here("test", "--data.root", drawn, "--data.split", "grouped", *weights, cwd=tmp_path)
    assert json.loads((tmp_path / "runs" / "declared" / "test" / "metrics.json").read_text())["images"] == 32


@pytest.mark.parametrize(
    ("given", "words", "message"),
    [
        ("best", {}, "which every fold has of its own"),
        ("pretrained", {"folds": 1}, "--folds 2 or more"),
        ("pretrained", {"seeds": 2}, "no --seeds"),
        ("none.ckpt", {}, "none.ckpt"),
    ],
)
def test_what_every_fold_cannot_be_measured_with_is_refused(workdir, given, words, message):
    with pytest.raises(FERError, match=message):
        crossval([], "cv", ckpt_path=given, **{"folds": 2, **words})
    assert not (workdir / "runs").exists()


@pytest.mark.slow
def test_columns_are_slices_of_the_report_over_all_folds(drawn, tmp_path):
    root = with_columns(drawn, tmp_path / "data")
    words = ["crossval", "--folds", "2", "--data.root", root, *TINY, "--trainer.max_epochs", "1"]
    run_here(*words, "--slices", "[side]", cwd=tmp_path)
    content = json.loads((tmp_path / "runs/crossval/test/metrics.json").read_text())
    assert {one["attribute"] for one in content["slices"]} == {"side"}
    assert sum(one["images"] for one in content["slices"]) == 192
    rows = list(csv.DictReader((tmp_path / "runs/crossval/test/predictions.csv").open()))
    assert {row["image"]: row["attribute:side"] for row in rows} == sides(root)
    run_here(*words, "--slices", "number", cwd=tmp_path)  # other slices need no other training
    content = json.loads((tmp_path / "runs/crossval/test/metrics.json").read_text())
    assert [one["value"] for one in content["slices"]] == ["0 to 47", "48 to 95", "96 to 143", "144 to 191"]


def test_an_unknown_slice_is_refused_before_anything_is_trained(drawn, workdir):
    root = str(with_columns(drawn, workdir / "data"))
    (workdir / "c.yaml").write_text(f"data: {{root: {root}, image_size: 32}}\ntrainer: {{max_epochs: 1}}")
    source = "fer_lightning.data.sources.legend_csv.LegendCsv"
    for words in (
        ["--data.root", root, "--model.optimizer.lr", "0.1"],
        [f"--data.root=[{root}]", "--config", "ferplus_fast"],
        ["--config", "c.yaml", "--trainer.max_epochs", "2"],
        ["--data.source", source, "--data.source.root", root],
    ):
        with pytest.raises(FERError, match=r"--slices. Expected some of: side, number, color.* Received: 'sex'"):
            crossval(words, "cv", folds=2, slices=["sex"])
    assert not (workdir / "runs").exists()


def test_measures_that_no_fold_has_say_why():
    nothing = dict.fromkeys(("mean", "sd", "lowest", "highest"))
    names = ("accuracy", "macro_auroc")
    content = {"folds": 2, "seeds": 1, "metrics": dict.fromkeys(names, nothing), "baseline": dict.fromkeys(names)}
    said = filled("crossval.txt", content=content, measures=MEASURES, path="x")
    assert "macro_auroc: undefined in every fold, as all images are of one class there" in flat(said)
    assert "None" not in said
    assert "nan" not in said


def test_a_begun_one_has_the_settings_of_its_files(workdir):
    folder = workdir / "runs/cv"
    (folder / "seed0-fold0/checkpoints").mkdir(parents=True)
    (folder / "options.json").write_text('["--config", "c.yaml", "--folds", "2", "settings 0123"]')
    (workdir / "c.yaml").write_text("trainer: {max_epochs: 1}")
    _same_options(folder, ["--config", "c.yaml", "--folds", "2"], "settings 4567")  # nothing has begun
    (folder / "seed0-fold0/checkpoints/last.ckpt").touch()
    with pytest.raises(FERError, match="other settings in its files"):
        crossval(["--config", "c.yaml"], "cv", folds=2)


def test_somebody_elses_options_are_not_replaced(workdir):
    (workdir / "runs/cv").mkdir(parents=True)
    (workdir / "runs/cv/options.json").write_text('{"my": "settings"}')
    with pytest.raises(FERError, match=r"does not say the options"):
        crossval([], "cv", folds=2)
    assert (workdir / "runs/cv/options.json").read_text() == '{"my": "settings"}'
