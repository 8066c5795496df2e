"""What the README shows, run as it stands (with a small data set, and briefly)."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from fer_lightning.data.legend import EXPRESSIONS
from tests.conftest import PROJECT, run_here
from tests.inference.conftest import write_video

TEXT = (PROJECT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, flags=re.DOTALL)
LINES = [line for kind, block in BLOCKS if kind == "bash" for line in block.splitlines()]
ELSEWHERE = ("ddp", "crossval")  # tested in test_configs and test_cli, as they take long
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


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, place):
    words = shlex.split(command)[2:]
    if "--help" in words:
        with pytest.raises(SystemExit, match="0"):
            run_here(*words, cwd=place)
    else:
        run_here(*words, *(BRIEFLY if words[0] == "fit" else []), cwd=place)


def test_the_main_command_is_the_one_that_is_tested():
    assert "python -m pip install -e . && python train.py fit\n" in TEXT
    assert len(COMMANDS) >= 6


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
