"""Lightning's verbs as a user meets them: runs, their folders, and what goes on with them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from fer_lightning.data.legend import EXPRESSIONS
from tests.conftest import TINY, flat, run, run_here


@pytest.fixture(scope="module")
def trained(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `fit` was run for three epochs."""
    folder = tmp_path_factory.mktemp("trained")
    done = run("fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "3", "--data.split_seed", "7", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    return folder


def with_columns(drawn: Path, root: Path) -> Path:
    """A copy of the data set with two more columns: side (left or right), by person, and a number."""
    shutil.copytree(drawn, root)
    rows = list(csv.DictReader((root / "legend.csv").open()))
    with (root / "legend.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, [*rows[0], "side", "number"])
        table.writeheader()
        for number, row in enumerate(rows):
            person = int(row["image"].split("_")[1])
            table.writerow(row | {"side": ("left", "right")[person % 2], "number": number})
    return root


def sides(root: Path) -> dict[str, str]:
    return {row["image"]: row["side"] for row in csv.DictReader((root / "legend.csv").open())}


@pytest.fixture
def workplace(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained folder to work in."""
    return Path(shutil.copytree(trained, tmp_path / "work"))


def test_fit_says_what_it_uses_and_what_came_out(trained):
    said = (trained / "stdout.txt").read_text()
    assert "192 images, 8 classes, 12 identities" in flat(said)
    assert "grouped, seed 7" in flat(said)
    assert "Network ExpressionCNN" in said
    assert "python train.py test --ckpt_path runs/default/checkpoints/best.ckpt" in flat(said)


def test_a_run_folder_holds_config_table_curves_and_two_checkpoints(trained):
    folder = trained / "runs" / "default"
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert list(folder.glob("events.out.tfevents.*"))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["data"]["split_seed"] == 7
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for name in ("train_loss", "train_acc", "val_loss", "val_acc", "val_balanced_acc", "val_macro_f1", "lr", "seconds"):
        assert all(float(row[name]) >= 0 for row in rows)
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert max(float(row["val_acc"]) for row in rows) == float(rows[best["epoch"]]["val_acc"])
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 2


@pytest.mark.slow
def test_test_needs_nothing_but_the_checkpoint(workplace):
    done = run("test", "--ckpt_path", "best", cwd=workplace)
    assert done.returncode == 0, done.stderr
    report = json.loads((workplace / "runs/default/test/metrics.json").read_text())
    accuracy = report["metrics"]["accuracy"]["value"]
    assert report["how"]["command"].startswith("python train.py test --ckpt_path best")
    assert report["split_options"]["seed"] == 7
    for name in ("report.html", "predictions.csv"):
        assert (workplace / "runs/default/test" / name).stat().st_size > 1000
    assert "seed 7" in flat(done.stdout)  # the split it was trained on, not the default one
    assert f"accuracy                 {accuracy:.4f}" in done.stdout
    elsewhere = workplace / "elsewhere"
    elsewhere.mkdir()
    run_here("test", f"--ckpt_path={workplace}/runs/default/checkpoints/best.ckpt", cwd=elsewhere)
    assert not (elsewhere / "runs").exists()  # the report goes to the checkpoint's own run
    again = json.loads((workplace / "runs/default/test/metrics.json").read_text())
    assert again["metrics"] == report["metrics"]
    config = (workplace / "runs/default/config.yaml").read_text()
    assert yaml.safe_load(config)["trainer"]["max_epochs"] == 3


@pytest.mark.slow
def test_columns_are_slices_and_unknown_ones_are_refused_before_anything_is_decoded(drawn, tmp_path, capsys):
    root = with_columns(drawn, tmp_path / "data")
    words = ["--data.root", root, *TINY, "--data.train_fraction", "0.2", "--data.val_fraction", "0"]
    run_here("fit", *words, "--trainer.max_epochs", "1", cwd=tmp_path)
    shutil.rmtree(tmp_path / "prepared_data")
    for verb in ("test", "validate"):
        with pytest.raises(SystemExit, match="2"):
            run_here(verb, "--ckpt_path", "best", "--slices", "[side, sex]", cwd=tmp_path)
        said = capsys.readouterr().err
        assert "Expected some of: side, number, color, shorter side, format, user.id" in said
        assert "Received: 'sex'" in said
    assert not (tmp_path / "prepared_data").exists()
    for chosen, expected in ((["--slices", "side"], {"side"}), (["--slices", "[number, color]"], {"number", "color"})):
        run_here("test", "--ckpt_path", "best", *chosen, cwd=tmp_path)
        content = json.loads((tmp_path / "runs/default/test/metrics.json").read_text())
        assert {one["attribute"] for one in content["slices"]} <= expected
    run_here("test", "--ckpt_path", "best", cwd=tmp_path)
    content = json.loads((tmp_path / "runs/default/test/metrics.json").read_text())
    known = [(one["value"], one["people"]) for one in content["slices"] if one["attribute"] == "side"]
    assert {value for value, _ in known} == {"left", "right"}
    rows = list(csv.DictReader((tmp_path / "runs/default/test/predictions.csv").open()))
    assert {row["image"]: row["attribute:side"] for row in rows}.items() <= sides(root).items()


@pytest.mark.slow
def test_images_from_training_among_those_tested_are_pointed_out(drawn, workplace, capsys):
    run_here("export", "--ckpt_path", "best", "--output", "small.safetensors", cwd=workplace)
    for given, seed, told in (("best", "8", True), ("small.safetensors", "8", True), ("small.safetensors", "7", False)):
        run_here("test", "--ckpt_path", given, "--data.root", drawn, "--data.split_seed", seed, cwd=workplace)
        said = "".join(capsys.readouterr())
        assert ("of the images that these weights were trained on have the name and label" in flat(said)) == told
        assert ("divided by --data.split grouped." in flat(said)) == told
    for seed, told in (("8", True), ("7", False)):
        run_here("validate", "--ckpt_path", "best", "--data.split_seed", seed, cwd=workplace)
        assert ("have the name and label" in flat("".join(capsys.readouterr()))) == told
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", "--ckpt_path", "last", "--data.split_seed", "8", "--trainer.max_epochs", "3", cwd=workplace)
    assert "test images would have been trained on" in flat(capsys.readouterr().err)


def test_validate_gives_the_figure_that_chose_the_checkpoint(workplace):
    run_here("validate", "--ckpt_path", "best", cwd=workplace)
    report = json.loads((workplace / "runs/default/validate/metrics.json").read_text())
    figure = report["metrics"]["accuracy"]["value"]
    assert report["subset"] == "validation"
    rows = csv.DictReader((workplace / "runs/default/metrics.csv").open())
    assert figure == pytest.approx(max(float(row["val_acc"]) for row in rows))


def test_predict_writes_a_row_an_image_and_survives_bad_files(workplace, drawn):
    faces = workplace / "faces"
    shutil.copytree(drawn / "images", faces)
    (faces / "broken.jpg").write_bytes(b"no image")
    shutil.rmtree(workplace / "prepared_data")
    done = run("predict", "--ckpt_path", "best", "--input", faces, "--output", "out/rows.csv", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "192 faces in 193 images, 1 unreadable. Written to out/rows.csv" in flat(done.stdout)
    rows = list(csv.DictReader((workplace / "out" / "rows.csv").open()))
    bad = [row for row in rows if row["error"]]
    assert [(Path(row["source"]).name, row["label"]) for row in bad] == [("broken.jpg", "error")]
    for row in rows:
        if not row["error"]:
            shares = {name: float(row[name]) for name in EXPRESSIONS}
            assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
            assert row["label"] == max(shares, key=lambda name: shares[name])
            assert float(row["confidence"]) == max(shares.values())
    assert not (workplace / "prepared_data").exists()


def images_of_testing(workplace):
    """The folder with the images of the testing part."""
    (folder,) = (workplace / "prepared_data").glob("**/testing")
    return folder


def test_predict_agrees_with_test(workplace):
    run_here("test", "--ckpt_path", "best", cwd=workplace)
    words = ["--input", images_of_testing(workplace), "--output", "predictions.csv"]
    run_here("predict", "--ckpt_path", "best", *words, cwd=workplace)
    rows = list(csv.DictReader((workplace / "predictions.csv").open()))
    right = sum(row["label"] == Path(row["source"]).parent.name for row in rows)
    report = json.loads((workplace / "runs/default/test/metrics.json").read_text())
    assert right / len(rows) == pytest.approx(report["metrics"]["accuracy"]["value"])
    with open(workplace / "runs/default/test/predictions.csv") as stream:
        tested = {(row["image"], row["label"]): row for row in csv.DictReader(stream)}
    for row in rows:
        twin = tested[Path(row["source"]).name, Path(row["source"]).parent.name]
        assert row["label"] == twin["predicted"]
        assert float(row["confidence"]) == pytest.approx(float(twin["confidence"]), abs=2e-6)


def test_uncertain_below_the_confidence_of_a_target_risk(workplace, capsys):
    counts = []
    for risk in ("1.0", "0.3", "0.0"):
        words = ["--input", images_of_testing(workplace), "--output", f"{risk}.csv", "--target_risk", risk]
        run_here("predict", "--ckpt_path", "best", *words, cwd=workplace)
        rows = list(csv.DictReader((workplace / f"{risk}.csv").open()))
        counts.append(sum(row["label"] == "uncertain" for row in rows))
    assert counts[0] <= counts[1] <= counts[2]
    assert counts[0] < counts[2]
    assert f"{counts[2]} are uncertain" in flat(capsys.readouterr().out)
    with pytest.raises(SystemExit, match="2"):
        run_here("predict", "--ckpt_path", "best", "--input", "runs", "--target_risk", "7", cwd=workplace)


def test_a_second_fit_keeps_the_first_run(workplace, drawn, capsys):
    before = (workplace / "runs/default/metrics.csv").read_text()
    run_here("fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "1", cwd=workplace)
    kept = [path for path in (workplace / "runs").glob("default-*") if path.is_dir()]
    assert len(kept) == 1
    assert (kept[0] / "metrics.csv").read_text() == before
    assert f"held an earlier run, now runs/{kept[0].name}" in flat(capsys.readouterr().out)


def hashes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "checkpoints").iterdir()}


def test_a_run_repeated_from_its_config_leaves_the_first_alone(workplace):
    before = hashes(workplace / "runs/default")
    run_here(
        "fit", "--config", "runs/default/config.yaml", "--name", "again", "--trainer.max_epochs", "2", cwd=workplace
    )
    assert hashes(workplace / "runs/default") == before
    assert sorted(hashes(workplace / "runs/again")) == ["best.ckpt", "last.ckpt"]
    config = yaml.safe_load((workplace / "runs/again/config.yaml").read_text())
    assert config["ckpt_path"] is None


def test_the_checkpoint_of_a_renamed_run_reports_and_resumes_there(workplace, drawn):
    (workplace / "runs/default").rename(workplace / "runs/older")
    run_here("fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "1", cwd=workplace)
    before = hashes(workplace / "runs/default")
    run_here("test", "--ckpt_path", "runs/older/checkpoints/best.ckpt", cwd=workplace)
    assert (workplace / "runs/older/test/report.html").is_file()
    assert not (workplace / "runs/default/test").exists()
    run_here("fit", "--ckpt_path", "runs/older/checkpoints/last.ckpt", "--trainer.max_epochs", "4", cwd=workplace)
    assert hashes(workplace / "runs/default") == before
    with open(workplace / "runs/older/metrics.csv") as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["0", "1", "2", "3"]


def test_a_mistake_leaves_the_good_run_where_it_is(workplace, drawn):
    before = hashes(workplace / "runs/default")
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", "--data.root", drawn, *TINY, "--data.train_fraction", "1.5", cwd=workplace)
    assert hashes(workplace / "runs/default") == before
    damaged = Path(shutil.copytree(drawn, workplace / "damaged"))
    next((damaged / "images").iterdir()).write_bytes(b"no image")
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", "--data.root", damaged, *TINY, cwd=workplace)
    assert hashes(workplace / "runs/default") == before


def test_without_a_logger_the_config_still_goes_to_the_run(workplace, drawn):
    (workplace / "config.yaml").write_text("mine")
    options = ["--trainer.max_epochs", "1", "--trainer.logger", "false", "--name", "quiet"]
    run_here("fit", "--data.root", drawn, *TINY, *options, cwd=workplace)
    assert (workplace / "config.yaml").read_text() == "mine"
    assert (workplace / "runs/quiet/config.yaml").is_file()


def test_a_resumed_run_has_the_patience_it_is_given(workplace, drawn):
    options = ["--early_stopping.patience", "1", "--early_stopping.min_delta", "1", "--trainer.max_epochs", "9"]
    run_here("fit", "--data.root", drawn, *TINY, *options, cwd=workplace)
    with open(workplace / "runs/default/metrics.csv") as stream:
        assert len(list(csv.DictReader(stream))) == 2
    run_here("fit", "--ckpt_path", "last", "--early_stopping.patience", "4", cwd=workplace)
    with open(workplace / "runs/default/metrics.csv") as stream:
        assert len(list(csv.DictReader(stream))) == 5


def test_any_network_with_a_class_path(workplace, drawn, monkeypatch):
    (workplace / "mine.py").write_text(
        "from torch import nn\n"
        "class Plain(nn.Sequential):\n"
        "    def __init__(self, num_classes: int, image_size: int, width: int = 4):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(3 * image_size**2, width), nn.Linear(width, num_classes))\n"
    )
    monkeypatch.syspath_prepend(workplace)
    fit = ["fit", "--data.root", drawn, *TINY, "--trainer.max_epochs", "1"]
    run_here(
        *(
            *fit,
            "--name",
            "plain",
            "--data.color",
            "rgb",
            "--model.network",
            "mine.Plain",
            "--model.network.width",
            "5",
        ),
        *("--model.optimizer", "SGD", "--model.optimizer.lr", "0.5"),
        *("--model.lr_scheduler", "StepLR", "--model.lr_scheduler.step_size", "1"),
        cwd=workplace,
    )
    run_here("test", "--name", "plain", "--ckpt_path", "best", "--model.network", "mine.Plain", cwd=workplace)
    checkpoint = torch.load(workplace / "runs/plain/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["state_dict"]["model.network.1.weight"].shape == (5, 3 * 32 * 32)
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["initial_lr"] == 0.5


@pytest.mark.slow
def test_without_data_the_embedded_faces_are_used_and_it_says_so(tmp_path):
    done = run("fit", "--trainer.fast_dev_run", "true", "--data.num_workers", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the embedded synthetic faces (no --data.root was given): 1,600 images" in flat(done.stdout)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_audit_with_a_checkpoint_looks_only_at_images_it_was_not_trained_on(workplace, drawn):
    ckpt = workplace / "runs/default/checkpoints/best.ckpt"
    run_here("audit", "--data.root", drawn, "--ckpt_path", ckpt, "--fail_on", "never", cwd=workplace)
    found = json.loads((workplace / "audit/findings.json").read_text())["findings"]
    errors = next(finding for finding in found if finding["name"] == "label_issues")
    counts = json.loads(next((workplace / "prepared_data").glob("*/split.json")).read_text())["counts"]
    assert errors["figures"]["examined"] == sum(counts["validation"]) + sum(counts["testing"])
    assert sorted(path.name for path in (workplace / "runs").iterdir() if path.is_dir()) == ["default"]
    assert not (workplace / "runs/default/test").exists()


def test_options_win_over_the_files_wherever_they_stand(drawn, tmp_path):
    (tmp_path / "a.yaml").write_text("name: a\ntrainer: {max_epochs: 9}\n")
    (tmp_path / "b.yaml").write_text("trainer: {max_epochs: 1}\n")
    words = ["--name", "mine", "--config", "a.yaml", "--data.root", drawn, *TINY, "--config=b.yaml"]
    run_here("fit", *words, cwd=tmp_path)
    assert not (tmp_path / "runs/a").exists()
    assert len((tmp_path / "runs/mine/metrics.csv").read_text().splitlines()) == 2
