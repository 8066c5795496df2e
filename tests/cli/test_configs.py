"""Configuration files: by name, in the words of earlier versions, and every one of ours runs, so that none can rot."""

from __future__ import annotations

import csv

import pytest
import yaml

from fer_lightning.cli.commands import UsageError
from fer_lightning.cli.configs import DEFAULT, layers, recipes
from fer_lightning.cli.parser import OneMessage
from tests.conftest import PROJECT, run, run_here

CONFIGS = sorted(path.relative_to(PROJECT / "configs").as_posix() for path in (PROJECT / "configs").rglob("*.yaml"))


SLOW = {config: pytest.mark.slow for config in CONFIGS if config not in ("default.yaml", "overlays/debug.yaml")}
"""All run in CI."""

OVER = {"overlays/large.yaml": ["--config", "facial_expressions"]}
"""What an overlay is meant for, where that is not any recipe."""


@pytest.mark.parametrize("config", [pytest.param(config, marks=SLOW.get(config, ())) for config in CONFIGS])
def test_config(config, drawn, tmp_path):
    path = PROJECT / "configs" / config
    settings = yaml.safe_load(path.read_text())
    data = ["--data.root", drawn]
    if settings.get("data", {}).get("soft_labels"):
        data = ["--data.legend", with_votes(drawn, tmp_path), "--data.images", drawn / "images"]
    fit = ["fit", *OVER.get(config, ()), "--config", path, *data, "--trainer.max_epochs", "1"]
    if settings.get("trainer", {}).get("devices", 1) == 1:
        run_here(*fit, "--data.num_workers", "0", cwd=tmp_path)
    else:
        done = run(*fit, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    name = settings.get("name", "default")
    run_here("test", "--name", name, "--ckpt_path", "best", "--data.num_workers", "0", cwd=tmp_path)
    images = drawn / "images"
    words = ["--input", images, "--workers", "0", "--output", "predictions.csv"]
    run_here("predict", "--name", name, "--ckpt_path", "best", *words, cwd=tmp_path)
    assert (tmp_path / "runs" / name / "test" / "report.html").is_file()
    assert len(list(csv.DictReader((tmp_path / "predictions.csv").open()))) > 20


def with_votes(drawn, folder):
    """The drawn legend with a split column and ten votes an image, as FER+ has them."""
    with open(drawn / "legend.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = sorted({row["emotion"] for row in rows})
    path = folder / "voted.csv"
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user.id", "image", "emotion", "split", *names])
        for number, row in enumerate(rows):
            votes = [8 if name == row["emotion"] else 2 * (name == "neutral") for name in names]
            part = "testing" if number % 5 == 0 else "training"
            writer.writerow([row["user.id"], row["image"], row["emotion"], part, *votes])
    return path


def test_recipes_have_names_everywhere(workdir):
    known = recipes()
    assert {
        "default",
        "ferplus",
        "ferplus_fast",
        "ferplus_large",
        "facial_expressions",
        "seed_notebook",
        "ddp",
        "debug",
        "large",
    } == set(known)
    assert known["default"] == DEFAULT
    for given in ("ddp", "ddp.yaml", "overlays/ddp", "configs/overlays/ddp.yaml"):
        (found,), others = layers(["--name", "x", "--config", given], print)
        assert (found.name, found.text, others) == (given, str(known["ddp"]), ["--name", "x"])
        assert found.settings["trainer"]["devices"] == 2
    (workdir / "ddp").write_text("name: own\n")
    assert layers(["-c", "ddp"], print)[0][0].settings == {"name": "own"}  # what is here comes first
    with pytest.raises(UsageError, match=r"one of .*debug.* Found nothing at 'debugg'. Did you mean debug\?"):
        layers(["--config", "debugg"], print)
    with pytest.raises(UsageError, match=r"Found nothing at 'nowhere/ddp.yaml'"):
        layers(["--config", "nowhere/ddp.yaml"], print)


def test_settings_may_stand_on_the_line(workdir):
    (found,), others = layers(["--config", "trainer: {max_epochs: 2}", "--x"], print)
    assert found.settings == yaml.safe_load(found.text) == {"trainer": {"max_epochs": 2}}
    assert others == ["--x"]


def test_names_of_earlier_versions_in_a_file_and_on_the_line(workdir):
    (workdir / "old.yaml").write_text("model: {teacher: pretrained, compile: true}\ndata: {color: grey, fold: 1}\n")
    (workdir / "new.yaml").write_text("data: {color: rgb}  # as it is\n")
    told: list[str] = []
    words = ["--data.licence", "CC0", "--config", "old.yaml", "--model.freeze=[stem, a.b]", "--data.fold", "2"]
    old, new, line = layers([*words, "--config", "new.yaml", "--data.color", "grey"], told.append)[0]
    assert yaml.safe_load(old.text) == old.settings
    assert old.settings == {"model": {"distillation": {"teacher": "pretrained"}}, "data": {"color": "gray", "fold": 1}}
    assert (new.text, new.settings) == ("new.yaml", {"data": {"color": "rgb"}})
    assert yaml.safe_load(line.text) == line.settings
    assert line.settings == {
        "model": {"fine_tuning": {"freeze": ["stem", "a.b"]}},
        "data": {"license": "CC0", "color": "gray"},
    }
    assert layers(words, told.append)[1] == ["--data.fold", "2"]
    said = "\n".join(told)
    for words in (
        "--model.teacher is now --model.distillation.teacher",
        "--model.compile is gone",
        "color grey is now --data.color gray",
    ):
        assert words in said
    assert said.count("--data.licence is now --data.license") == 2


def test_names_of_this_version_stay_words(workdir):
    words = ["--data.color", "rgb", "--model.ema_decay=0.9", "--trainer.max_epochs", "1"]
    assert layers(words, pytest.fail) == ([], words)


def test_whole_numbers_stay_whole():
    class Batches:
        def __init__(self, limit: float | int | None = None):
            self.limit = limit

    parser = OneMessage()
    parser.add_class_arguments(Batches)
    assert repr(parser.parse_object({"limit": 3}).limit) == "3"  # and not 3.0, which is no number of batches
    assert repr(parser.parse_object({"limit": 0.5}).limit) == "0.5"
