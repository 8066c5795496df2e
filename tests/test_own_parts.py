"""docs/own_parts.md, executed: parts of somebody's own, by class path and in Python."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import torch

from fer_lightning import FERError, load_model
from tests.conftest import PROJECT, run_here

TEXT = (PROJECT / "docs" / "own_parts.md").read_text(encoding="utf-8")
PARTS, PYTHON = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", TEXT, flags=re.DOTALL) for line in block.splitlines()]
BRIEFLY = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3"]


@pytest.fixture(scope="module")
def place(drawn, tmp_path_factory):
    """A folder with my_parts.py, DATA, and NAMED, whose images' names say their labels."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_parts.py").write_text(PARTS, encoding="utf-8")
    (folder / "DATA").symlink_to(drawn)
    (folder / "NAMED").mkdir()
    for row in csv.DictReader((drawn / "legend.csv").open()):
        shutil.copy(drawn / "images" / row["image"], folder / "NAMED" / f"{row['emotion']}-{row['image']}")
    shutil.copy(drawn / "images" / row["image"], folder / "photo.jpg")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("my_parts", None)


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, place, capsys):
    words = shlex.split(command)[2:]
    small = ["--data.num_workers", "0", "--data.image_size", "32"] if "--data_module" not in words else []
    run_here(*words, *([*BRIEFLY, *small] if words[0] == "fit" else []), cwd=place)
    said = capsys.readouterr().out
    name = words[words.index("--name") + 1]
    if words[0] == "fit":
        assert (place / "runs" / name / "checkpoints" / "best.ckpt").is_file()
    if name == "net" and words[0] == "predict":
        assert len(list(csv.DictReader((place / "net.csv").open()))) == 192
    if name == "module" and words[0] == "test":
        assert "test_acc" in said


def test_each_part_was_used(place):
    """The runs of the commands above: what they say they were made with, and what that did."""

    def of(name: str) -> dict:
        return torch.load(place / "runs" / name / "checkpoints" / "best.ckpt", weights_only=True)

    about = {name: of(name)["fer_lightning"] for name in ("net", "loss", "sampled", "source", "module", "torch_loss")}
    assert about["net"]["network"]["class_path"] == "my_parts.TinyNet"
    assert about["net"]["network"]["init_args"]["width"] == 12
    assert about["loss"]["learned_prior"] == []
    assert about["torch_loss"]["learned_prior"] == []
    assert about["sampled"]["learned_prior"] == pytest.approx([1 / 8] * 8)
    assert about["source"]["training"]["license"] == "CC0"
    assert about["module"]["class_names"] == ["dark", "bright"]
    assert of("optimizer")["optimizer_states"][0]["param_groups"][0]["momentum"] == 0.9
    assert of("scheduler")["lr_schedulers"][0]["gamma"] == 0.5


def test_a_network_that_is_not_named_again_is_not_imported(place, capsys):
    with pytest.raises(FERError, match=r"names my_parts.TinyNet as its network.*--network my_parts.TinyNet"):
        load_model(place / "runs" / "net" / "checkpoints" / "best.ckpt")
    with pytest.raises(SystemExit, match="2"):
        run_here("test", "--name", "net", "--ckpt_path", "best", cwd=place)
    assert "--model.network my_parts.TinyNet" in capsys.readouterr().err


def test_the_python_example(place):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), str(place)])}
    command = [sys.executable, "-c", PYTHON]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Recognition(" in done.stdout
