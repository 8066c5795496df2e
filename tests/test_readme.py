"""What the README shows, run as it stands (with a small data set, and briefly)."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image
from pyarrow import parquet

from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.inference.model import open_model
from tests.conftest import PROJECT, run_here
from tests.inference.conftest import write_video
from tests.serving.conftest import serving

TEXT = "".join((PROJECT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/data.md"))
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, flags=re.DOTALL)
LINES = [line for kind, block in BLOCKS if kind == "bash" for line in block.splitlines()]
ELSEWHERE = ("ddp", "crossval", "serve")  # tested in test_configs and test_cli, as they take long; the last one below
COMMANDS = [line for line in LINES if line.startswith("python train") and not any(word in line for word in ELSEWHERE)]
BRIEFLY = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--data.num_workers", "0"]


@pytest.fixture(scope="module")
def place(drawn, tmp_path_factory):
    """A folder with DATA and configs/, as the README assumes."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "DATA").symlink_to(drawn)
    (folder / "configs").symlink_to(PROJECT / "configs")
    (folder / "PHOTOS").mkdir()
    picture = Image.fromarray(skimage.data.astronaut())
    picture.save(folder / "PHOTOS" / "photo.png")
    picture.save(folder / "photo.jpg")
    write_video(folder / "FILM.mp4", [picture.resize((160, 160))] * 5)
    return folder


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


def check_predict(place, given, said):
    if given["input"] == "photo.jpg":
        assert said.startswith("photo.jpg   1 face\n  happiness 100%")
        return
    folders = sorted((place / "runs").glob("predict-*"), key=lambda path: path.stat().st_mtime)
    output = place / given["output"] if "output" in given else folders[-1] / "rows.csv"
    rows = parquet.read_table(output).to_pylist() if output.suffix == ".parquet" else rows_of(output)
    expected = {"DATA/images": 192, "PHOTOS": 1, "FILM.mp4": 5}[given["input"]]
    assert len({(row["source"], row["frame"]) for row in rows}) == expected
    assert not any(row["error"] for row in rows)
    assert f" in {expected} image" in said
    for option in ("annotate", "timeline", "explain"):
        if option in given:
            made = place / given[option]
            assert made.stat().st_size > 1000 or any(path.stat().st_size > 1000 for path in made.rglob("*.*"))


def check_export(place, given, said):
    model = open_model(place / given["output"], device="cpu")
    faces = torch.zeros(2, model.input_spec.channels, 100, 100, dtype=torch.uint8)
    torch.testing.assert_close(model.probabilities(faces).sum(1), torch.ones(2))
    card = "README.md" if given["output"].endswith("/") else ""
    text = (place / given["output"] / card if card else place / (given["output"] + ".md")).read_text()
    assert text.startswith("# A model for facial expressions" if card else "# Model card")


CHECKS = {
    "fit": check_fit,
    "test": check_test,
    "predict": check_predict,
    "export": check_export,
    "estimate_prior": lambda place, given, said: said.index("Use --class_prior '["),
    "audit": lambda place, given, said: (place / "audit" / "report.html").read_text().index("<h1"),
    "compare": lambda place, given, said: said.index("McNemar's exact test p ="),
}
"""What must be there after each verb."""


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, place, capsys):
    verb, *words = shlex.split(command)[2:]
    run_here(verb, *words, *(BRIEFLY if verb == "fit" and "--help" not in words else []), cwd=place)
    said = capsys.readouterr().out
    if "--help" in words or "--help_all" in words:
        assert said.startswith(f"{verb}: ")
        return
    given = {word[2:]: value for word, value in pairwise(words) if word.startswith("--")}
    given |= {"input": words[0]} if verb == "predict" and not words[0].startswith("--") else {}
    CHECKS[verb](place, given, said)


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl on this machine")
def test_the_service_and_the_line_that_asks_it(place):
    (command,) = [line for line in LINES if line.startswith("python train.py serve")]
    (ask,) = [line for line in LINES if line.startswith("curl ")]
    with serving(place, *shlex.split(command)[3:]) as served:
        words = shlex.split(ask.replace("http://127.0.0.1:8000", served.url))
        done = subprocess.run(["curl", "-sS", *words[1:]], cwd=place, capture_output=True, check=True)
        (answer,) = json.loads(done.stdout)["images"]
        assert [face["label"] for face in answer["faces"]] == ["happiness"]


def test_the_commands_shown_are_those_that_are_tested():
    assert "python -m pip install -e . && python train.py fit\n" in TEXT
    assert {command.split()[2] for command in COMMANDS} == set(CHECKS)
    ci = (PROJECT / ".ci" / "run").read_text()
    assert 'grep -m1 -F "python -m pytest" README.md' in ci


@pytest.mark.parametrize("code", [block for kind, block in BLOCKS if kind == "python"])
def test_python_example(code, place):
    code = code.replace("FERDataModule(", "FERDataModule('DATA', num_workers=0, ")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.slow
def test_the_script_that_makes_every_row_of_the_results(drawn, tmp_path):
    voted = Path(shutil.copytree(drawn, tmp_path / "voted"))
    rows = list(csv.DictReader((drawn / "legend.csv").open()))
    with open(voted / "legend.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "split", *EXPRESSIONS])
        writer.writeheader()
        for number, row in enumerate(rows):
            votes = {name: 8 if name == row["emotion"] else 1 for name in EXPRESSIONS}
            writer.writerow(row | votes | {"split": "testing" if number % 5 == 0 else "training"})
    for name in ("configs", "train.py"):
        (tmp_path / name).symlink_to(PROJECT / name)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["sh", str(PROJECT / "benchmarks" / "results.sh"), str(voted), str(drawn), *BRIEFLY]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    table = TEXT[TEXT.index("| configuration | data | accuracy") :].partition("\n\n")[0].splitlines()[2:]
    assert done.stdout.count("\n== ") == len(table)
