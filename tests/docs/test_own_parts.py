"""docs/own_parts.md, executed: parts of somebody's own, by class path and in Python."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import subprocess
import sys

import pytest
import torch
import yaml

from fer_lightning import FERError, load_model
from tests.conftest import PROJECT, TINY, run, run_here
from tests.docs.pages import blocks, lines

PAGE = blocks("docs/own_parts.md")
*PARTS, PYTHON = [block.text for block in PAGE if block.kind == "python"]
(SETTINGS,) = [block.text for block in PAGE if block.kind == "yaml"]
COMMANDS = lines("docs/own_parts.md")
BRIEFLY = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3"]


@pytest.fixture(scope="module")
def place(drawn, tmp_path_factory):
    """A folder with my_parts.py, DATA, and NAMED, whose images' names say their labels."""
    folder = tmp_path_factory.mktemp("own")
    assert [part.splitlines()[0] for part in PARTS] == ["# my_parts.py", "# my_parts.py, continued"]
    (folder / "my_parts.py").write_text("\n\n".join(PARTS), encoding="utf-8")
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


def test_the_configuration(place):
    (place / "own.yaml").write_text(SETTINGS, encoding="utf-8")
    run_here("fit", "--config", "own.yaml", "--name", "own", "--data.root", "DATA", *TINY, *BRIEFLY, cwd=place)
    settings = yaml.safe_load((place / "runs/own/config.yaml").read_text(encoding="utf-8"))
    assert settings["model"]["loss"]["class_path"] == "my_parts.SquaredError"
    assert settings["data"]["augmentation"]["class_path"] == "my_parts.Negative"


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


NESTED = """
from torch import nn

class Body(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.width, self.layer = width, nn.Conv2d(1, width, 3, 4)
    def forward(self, images):
        return self.layer(images).relu().mean((2, 3))

class Outer(nn.Module):
    def __init__(self, num_classes: int, bodies: list[nn.Module]) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)
        self.head = nn.LazyLinear(num_classes)
        self.head.initialize_parameters(self.features(__import__("torch").zeros(1, 1, 32, 32)))
    def features(self, images):
        return __import__("torch").cat([body(images) for body in self.bodies], 1)
    def forward(self, images):
        return self.head(self.features(images))
"""
BODIES = "[{class_path: nested_parts.Body, init_args: {width: 3}}, {class_path: nested_parts.Body}]"
NET = ["--model.network", "nested_parts.Outer", "--model.network.bodies", BODIES]


@pytest.fixture(scope="module")
def nested(drawn, tmp_path_factory):
    """A run of a network with other classes of the user's in it."""
    folder = tmp_path_factory.mktemp("nested")
    (folder / "nested_parts.py").write_text(NESTED, encoding="utf-8")
    sys.path.insert(0, str(folder))
    run_here("fit", "--data.root", drawn, *TINY, *BRIEFLY, *NET, cwd=folder)
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("nested_parts", None)


def test_a_network_with_other_classes_in_it_is_opened_if_all_are_named(nested, drawn, capsys):
    words = {
        "predict": ["--input", drawn / "images", "--output", "rows.csv", "--workers", "0"],
        "export": ["--output", "net.safetensors"],
        "test": TINY[:2],
    }
    names = ["nested_parts.Outer", "nested_parts.Body"]
    for verb, more in words.items():
        for known in range(3):
            given = [word for name in names[:known] for word in ("--network", name)]
            if known == 2:
                run_here(verb, "--ckpt_path", "best", *more, *given, cwd=nested)
                continue
            with pytest.raises(SystemExit, match="2"):
                run_here(verb, "--ckpt_path", "best", *more, *given, cwd=nested)
            assert f"name it yourself: --network {names[known]} (" in capsys.readouterr().err
    report = json.loads((nested / "runs/default/test/metrics.json").read_text())
    assert report["metrics"]["accuracy"]["value"] >= 0
    assert len(list(csv.DictReader((nested / "rows.csv").open()))) == 192
    network = load_model(nested / "net.safetensors", trusted=names).network
    assert [body.width for body in network.bodies] == [3, 4]


@pytest.mark.slow
def test_crossval_names_them_all_to_its_tests(nested, drawn, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT}{os.pathsep}{nested}")
    run_here("crossval", "--folds", "2", "--data.root", drawn, *TINY, *BRIEFLY, *NET, cwd=nested)
    assert (nested / "runs/crossval/test/metrics.json").is_file()


BROKEN = """
import torch
from my_parts import Blobs
from torch.utils.data import DataLoader, TensorDataset

class Raising(torch.optim.SGD):
    def __init__(self, params, lr: float = 0.01) -> None:
        super().__init__(params, lr)
        self.missing["own"]

class Stuck(torch.optim.lr_scheduler.StepLR):
    def __init__(self, optimizer: torch.optim.Optimizer, gamma: float = 0.1) -> None:
        raise RuntimeError("never")

class OneTooMany(Blobs):
    def train_dataloader(self):
        images, labels = super().train_dataloader().dataset.tensors
        return DataLoader(TensorDataset(images, labels + 1), batch_size=10)
    test_dataloader = train_dataloader

class Negative(Blobs):
    def val_dataloader(self):
        images, labels = self.train_dataloader().dataset.tensors
        return DataLoader(TensorDataset(images, labels - 2), batch_size=10)
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--model.optimizer broken_parts.Raising",
            "--model.optimizer: Raising does not take these values: 'Raising' object has no attribute 'missing' "
            "(AttributeError in broken_parts.py, line 9).",
        ),
        (
            "--model.lr_scheduler broken_parts.Stuck",
            "Stuck does not take these values: never (RuntimeError in broken_",
        ),
        ("--model.optimizer.lr -1", "Adam does not take these values: Invalid learning rate: -1.0 (ValueError in adam"),
        ("--data_module broken_parts.OneTooMany", "0 to 1, as the data's info says that there are 2 classes. Rec"),
        ("--data_module broken_parts.Negative", "there are 2 classes. Received: -2."),
    ],
)
def test_what_is_wrong_with_a_part_of_ones_own_is_one_message(place, drawn, capsys, words, message):
    (place / "broken_parts.py").write_text(BROKEN, encoding="utf-8")
    data = [] if "module" in words else ["--data.root", drawn, *TINY]
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", "--name", "broken", *BRIEFLY, *words.split(), *data, cwd=place)
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


STRANGERS = """
import random
import numpy as np
import torch

class Remembers(torch.nn.Module):
    def __init__(self, epsilon: float = 1.0) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.register_buffer("seen", torch.zeros(()))
    def forward(self, logits, targets):
        self.seen += len(logits)
        answered = (targets * logits.softmax(1)).sum(1)
        return (self.epsilon * (1 - answered) - (targets * logits.log_softmax(1)).sum(1)).mean()

class Learns(Remembers):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

class AnyDice(torch.nn.Module):
    def forward(self, images):
        images = images.flip(3) if random.random() < 0.5 else images
        images = torch.where(torch.rand(images.shape, device=images.device) < 0.05, 255, images)
        return images.roll(np.random.randint(-3, 4), 2)
"""
STRANGE = ["--model.loss", "strange_parts.Remembers", "--data.augmentation", "strange_parts.AnyDice"]


@pytest.mark.slow
def test_a_loss_that_remembers_and_dice_of_any_kind_go_all_the_way(drawn, tmp_path):
    """In processes of their own, with the program somewhere else than the file of the user's own."""
    (tmp_path / "strange_parts.py").write_text(STRANGERS, encoding="utf-8")
    whole = ["--data.root", drawn, *TINY, *STRANGE, "--model.loss.epsilon", "2", "--trainer.max_epochs"]
    for words in (
        ["fit", "--name", "whole", *whole, "2"],
        ["fit", "--name", "part", *whole, "1"],
        ["fit", "--name", "part", "--ckpt_path", "last", *STRANGE, "--trainer.max_epochs", "2"],
        ["test", "--name", "part", "--ckpt_path", "best"],
        ["export", "--ckpt_path", "runs/part/checkpoints/best.ckpt", "--output", "part.safetensors"],
    ):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    states = [
        torch.load(tmp_path / "runs" / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "part")
    ]
    assert states[0]["loss.seen"] > 0
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert (tmp_path / "runs/part/test/metrics.json").is_file()
    assert load_model(tmp_path / "part.safetensors").class_names


@pytest.mark.slow
def test_a_file_in_the_folder_is_imported_only_if_the_user_names_a_class_in_it(drawn, tmp_path):
    """A file called as a package that is not installed, among photographs, is not run."""
    (tmp_path / "pillow_heif.py").write_text("open('was_run', 'w').close()\nraise ImportError", encoding="utf-8")
    (tmp_path / "strange_parts.py").write_text(STRANGERS, encoding="utf-8")
    words = "['fit', '--data.root', 'nowhere', '--model.loss', '{}']"
    code = (
        "import sys; sys.path.remove(''); from fer_lightning.cli.main import main\n"
        "try: main({})\nexcept SystemExit: pass\nprint('' in sys.path)"
    )
    for name, found in (("torch.nn.CrossEntropyLoss", "False"), ("strange_parts.Remembers", "True")):
        command = [sys.executable, "-c", code.format(words.format(name))]
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == found, done.stderr
    assert not (tmp_path / "was_run").exists()


def test_a_loss_that_would_have_to_learn_is_refused(drawn, tmp_path, monkeypatch, capsys):
    (tmp_path / "learning_parts.py").write_text(STRANGERS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", "--data.root", drawn, *TINY, "--model.loss", "learning_parts.Learns", cwd=tmp_path)
    assert "--model.loss learning_parts.Learns has parameters of its own (scale)" in capsys.readouterr().err


def test_fit_has_no_option_to_trust_a_network(workdir, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", "--network", "my_parts.TinyNet", cwd=workdir)
    assert "no option --network. Did you mean --model.network?" in capsys.readouterr().err


@pytest.mark.slow
def test_the_python_example(place):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), str(place)])}
    command = [sys.executable, "-c", PYTHON]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Recognition(" in done.stdout
