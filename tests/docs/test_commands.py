"""What README.md and pages show, run as it stands (with a small data set, briefly); for stories see test_stories."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from fer_lightning.checkpoints.reading import read_checkpoint
from fer_lightning.data.legend import EXPRESSIONS
from tests.conftest import PROJECT
from tests.docs.checks import CHECKS, run_and_check, run_python
from tests.docs.pages import BRIEFLY, STORIES, blocks, lines, pages
from tests.serving.conftest import serving

PAGES = [page for page in pages() if page not in (*chain(*STORIES), "docs/own_parts.md")]
LINES = list(dict.fromkeys(line for page in PAGES for line in lines(page)))
"""Each once, in the order of the pages: what one of them trains, others use."""

ELSEWHERE = {
    "python train.py serve": "tests/docs/test_commands.py",
    "python train.py fit --config configs/overlays/ddp.yaml": "tests/cli/test_configs.py",
    "python train.py ferplus ": "tests/data/sources/test_ferplus.py",
    "python examples/sweep.py": "tests/test_examples.py",
    "sbatch examples/slurm.sbatch": "tests/training/test_clusters.py",
}
"""How commands begin that have tests of their own."""

COMMANDS = [line for line in LINES if line.startswith("python train.py") and not line.startswith(tuple(ELSEWHERE))]
SLOW = (
    *("lr_find", "crossval", "runs/folds", "rgb_folds", "'rgb/*'", "label_issues", "facial_expressions.yaml"),
    *("--engine",),
)
"""In commands that train five networks, use what these said, fine-tune (test_configs does as well), or start Ray."""


@pytest.mark.parametrize(
    "command",
    [pytest.param(each, marks=pytest.mark.slow if any(word in each for word in SLOW) else ()) for each in COMMANDS],
)
def test_command(command, place, capsys):
    run_and_check(command, place, capsys)


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl on this machine")
def test_the_service_and_the_line_that_asks_it(place):
    (command,) = [line for line in LINES if line.startswith("python train.py serve")]
    (ask,) = [line for line in LINES if line.startswith("curl ")]
    with serving(place, *shlex.split(command)[3:]) as served:
        words = shlex.split(ask.replace("http://127.0.0.1:8000", served.url))
        done = subprocess.run(["curl", "-sS", *words[1:]], cwd=place, capture_output=True, check=True)
        (answer,) = json.loads(done.stdout)["images"]
        assert [face["label"] for face in answer["faces"]] == ["happiness"]


def test_every_line_has_a_test():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert "python -m pip install -e . && python train.py fit\n" in readme
    assert {command.split()[2] for command in COMMANDS} == set(CHECKS)
    assert 'grep -m1 -F "python -m pytest" README.md' in (PROJECT / ".ci" / "run").read_text()
    for beginning, test in ELSEWHERE.items():
        assert any(line.startswith(beginning) for line in LINES)
        assert beginning.split()[-1].rpartition("/")[2] in (PROJECT / test).read_text()
    tested = ("python train.py", "curl ", *ELSEWHERE)
    others = [line for page in pages() for line in lines(page) if not line.startswith(tested)]
    assert {line for line in others if " pip install -e " not in line} == {"python app/recognize.py photo.jpg"}


def test_extras_that_are_named_exist():
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    texts = [(PROJECT / page).read_text(encoding="utf-8") for page in pages()]
    lists = [found for text in texts for found in re.findall(r"install -e '\.\[(.*?)\]'", text)]
    named = {name for found in lists for name in found.split(",")}
    assert {"video", "onnx", "serve", "test", "docs"} <= named <= set(extras)


def test_what_is_not_run_is_no_command():
    """A block without a language is output, or a line for other programs; all others have tests."""
    kinds = {block.kind for page in pages() for block in blocks(page)}
    assert kinds == {"", "bash", "python", "yaml"}
    plain = [block.text for page in pages() for block in blocks(page) if not block.kind]
    assert not [text for text in plain if text.startswith(("python train.py", "fer ", "import ", "from "))]


@pytest.mark.parametrize("code", dict.fromkeys(b.text for page in PAGES for b in blocks(page) if b.kind == "python"))
def test_python_example(code, place):
    run_python(code.replace("FERDataModule(", "FERDataModule('DATA', num_workers=0, "), place)


@pytest.fixture(scope="module")
def scripts(drawn, tmp_path_factory):
    """A folder with a data set that has votes, and what runs a script in it, briefly."""
    folder = tmp_path_factory.mktemp("scripts")
    voted = Path(shutil.copytree(drawn, folder / "voted"))
    rows = list(csv.DictReader((drawn / "legend.csv").open()))
    with open(voted / "legend.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "split", *EXPRESSIONS])
        writer.writeheader()
        for number, row in enumerate(rows):
            votes = {name: 8 if name == row["emotion"] else 1 for name in EXPRESSIONS}
            writer.writerow(row | votes | {"split": "testing" if number % 5 == 0 else "training"})
    for name in ("configs", "train.py"):
        (folder / name).symlink_to(PROJECT / name)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "FOLDS": "2"}

    def run(script: str, *words: str) -> str:
        command = ["sh", str(PROJECT / script), str(voted), *words, *BRIEFLY]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return folder, run


@pytest.mark.slow
def test_the_script_that_makes_the_weights(scripts):
    folder, run = scripts
    said = run("experiments/distilled.sh", "--data.batch_size", "16")
    assert said.count("Trained 1 epoch in") == 5
    assert "Written runs/pretrained/pretrained.safetensors" in said
    trained, _ = read_checkpoint(folder / "runs/pretrained/checkpoints/best.ckpt")
    written, _ = read_checkpoint(folder / "runs/pretrained/pretrained.safetensors")
    (row,) = re.findall(r"^\| 1 \| [\d.]+ \| ([\d.]+) \|", said, flags=re.MULTILINE)
    assert written.temperature == pytest.approx(float(row), abs=0.0006)
    assert abs(written.temperature - trained.temperature) > 0.001
    assert written.risk_curve != trained.risk_curve
    assert written.measured["images"] == 39  # those of the testing subset


@pytest.mark.slow
def test_the_script_that_makes_every_row_of_the_results(drawn, scripts):
    said = scripts[1]("benchmarks/results.sh", str(drawn))
    text = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
    table = text[text.index("| configuration | data | accuracy") :].partition("\n\n")[0].splitlines()[2:]
    assert said.count("\n== ") == len(table)


def test_the_rows_of_the_readme_are_those_of_the_results():
    """Each of its figures stands in the row of the same configuration in docs/results.md."""
    text, results = ((PROJECT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/results.md"))
    rows = [line for line in text.splitlines() if line.startswith("| [`configs/")]
    assert len(rows) == 4
    for row in rows:
        configuration, data, *figures = [cell.strip() for cell in row.strip("|").split("|")]
        assert (PROJECT / re.sub(r".*\((.*)\).*", r"\1", configuration)).is_file()
        whole = [line for line in results.splitlines() if line.startswith(f"| {configuration[1:].partition(']')[0]}")]
        assert any(data in line and all(figure in line for figure in figures) for line in whole), row
