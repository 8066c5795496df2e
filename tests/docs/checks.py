"""Runs a command of a page briefly, and checks what must be there afterwards."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from itertools import pairwise
from pathlib import Path

import cv2
import pytest
import torch
from pyarrow import parquet

from fer_lightning.data.streams.manifest import Manifest
from fer_lightning.inference.model import open_model
from fer_lightning.inference.shard import Shard
from fer_lightning.storage import is_address
from tests.conftest import run, run_here
from tests.docs.pages import BRIEFLY


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def check_fit(place, given, said):
    run = place / "runs" / (given.get("name") or Path(given.get("config", "default")).stem)
    saved = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert saved["global_step"] > 0
    assert "accuracy" in (run / "model_card.md").read_text() or rows_of(run / "metrics.csv")
    assert f"Best   val_acc {float(rows_of(run / 'metrics.csv')[saved['epoch']]['val_acc']):.4f}" in said


def check_test(place, given, said):
    name = given.get("name") or Path(given["ckpt_path"]).stem
    report = place / "runs" / name / "test"
    figures = json.loads((report / "metrics.json").read_text())
    rows = rows_of(report / "predictions.csv")
    assert figures["images"] == len(rows) > 20
    right = sum(row["label"] == row["predicted"] for row in rows) / len(rows)
    assert figures["metrics"]["accuracy"]["value"] == pytest.approx(right)
    assert f"{right:.3f}" in (report / "report.html").read_text()


def images_in(path: Path) -> int:
    """How many images a source is: of a film its frames."""
    if path.is_dir():
        return len([inner for inner in path.rglob("*.*") if inner.is_file()])
    return int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT)) if path.suffix == ".mp4" else 1


def check_predict(place, given, said):
    if is_address(given["input"]):  # people as in DATA, one image each
        assert {Path(row["source"]).name for row in rows_of(place / given["output"])} >= {"person_000_00.png"}
        return
    source = place / given["input"]
    if source.is_file() and source.suffix != ".mp4" and "output" not in given:
        assert said.startswith(f"{given['input']}   ")
        assert source.name != "photo.jpg" or said.startswith("photo.jpg   1 face\n  happiness 100%")
        return
    folders = sorted((place / "runs").glob("predict-*"), key=lambda path: path.stat().st_mtime)
    output = place / given["output"] if "output" in given else folders[-1] / "rows.csv"
    shard = Shard.parse(given.get("shard", "1/1"))
    output = Path(shard.path(str(output))) if "shard" in given else output
    as_table = output.is_dir() or output.suffix == ".parquet"
    rows = parquet.read_table(output).to_pylist() if as_table else rows_of(output)
    expected = len(shard.taken(range(images_in(source))))  # type: ignore[arg-type]
    assert len({(row["source"], row["frame"]) for row in rows}) == expected
    assert not any(row["error"] for row in rows)
    assert f" in {expected} image" in said
    for option in ("annotate", "timeline", "explain"):
        if option in given:
            made = place / given[option]
            assert made.stat().st_size > 1000 or any(path.stat().st_size > 1000 for path in made.rglob("*.*"))


def check_export(place, given, said):
    model = open_model(place / given["output"], device="cpu")
    size = model.input_spec.image_size
    faces = torch.zeros(2, model.input_spec.channels, size, size, dtype=torch.uint8)
    torch.testing.assert_close(model.probabilities(faces).sum(1), torch.ones(2))
    card = "README.md" if given["output"].endswith("/") else ""
    text = (place / given["output"] / card if card else place / (given["output"] + ".md")).read_text()
    heading = next(line for line in text.splitlines() if line.startswith("# "))  # below what says its license to a hub
    assert heading.startswith("# A model for facial expressions" if card and "hub" not in given else "# Model card: ")


def check_audit(place, given, said):
    assert "<h1" in (place / "audit" / "report.html").read_text()
    if "predictions" in given:
        assert rows_of(place / "audit" / "label_issues.csv")


def check_crossval(place, given, said):
    each = (
        "Seed 1: accuracy "
        if given["folds"] == "1"
        else f"Fold +{given['folds']} of {given['folds']}, seed 0: accuracy "
    )
    assert re.search(each, said)
    on = "-validation" if given.get("subset") == "validation" else ""
    assert json.loads((place / "runs" / given["name"] / f"crossval{on}.json").read_text())


def check_compare(place, given, said):
    groups = "other people and other seeds" in said
    assert groups or "McNemar's exact test p =" in said
    assert groups == ("Seeds are not accounted for" not in said) == ("*" in given["input"])


def check_prepare(place, given, said):
    output = given["output"] if is_address(given["output"]) else str(place / given["output"])
    size = given.get("data.image_size", "100")
    assert Manifest.read(output).input_spec.image_size == int(size)
    assert f"--data.image_size {size}" in " ".join(said.split())


CHECKS = {
    "fit": check_fit,
    "test": check_test,
    "predict": check_predict,
    "export": check_export,
    "estimate_prior": lambda place, given, said: said.index("Use --class_prior '["),
    "audit": check_audit,
    "compare": check_compare,
    "crossval": check_crossval,
    "prepare": check_prepare,
}
"""What must be there after each verb."""


def run_and_check(command: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run `python train.py ...` in a folder, a training briefly, two folds of five and two seeds of three."""
    verb, *words = shlex.split(command.replace("--folds 5", "--folds 2").replace("--seeds 3", "--seeds 2"))[2:]
    briefly = BRIEFLY if verb in ("fit", "crossval") and words[:1] != ["--help"] else []
    if "--engine" in words:  # Ray ends the process that it is in, where it cannot go on
        done = run(verb, *words, cwd=place)
        assert done.returncode == 0, done.stderr
        said = done.stdout
    else:
        run_here(verb, *words, *briefly, cwd=place)
        said = capsys.readouterr().out
    if "--help" in words or "--help_all" in words:
        assert said.startswith(f"{verb}: ")
        return
    given = {word[2:]: value for word, value in pairwise(words) if word.startswith("--")}
    pairs = pairwise(["", *words])
    alone = [word for before, word in pairs if not before.startswith("--") and not word.startswith("--")]
    given |= {"input": alone[0]} if alone else {}
    CHECKS[verb](place, given, said)


def run_python(code: str, place: Path) -> None:
    """Run an example in this process, which has imported most of it."""
    before = Path.cwd()
    os.chdir(place)
    try:
        exec(compile(code, str(place), "exec"), {"__name__": "example"})
    finally:
        os.chdir(before)
