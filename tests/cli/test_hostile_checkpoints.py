"""A checkpoint's configuration: it names no class, function, file or place that it may not name."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import yaml

from fer_lightning import FERDataModule
from fer_lightning.checkpoints.saved_config import saved_settings
from fer_lightning.cli.configs import layers, named_classes
from fer_lightning.cli.crossval import _figures_of, _named_classes, _same_options
from fer_lightning.cli.main import main
from fer_lightning.cli.trainer import _KINDS
from fer_lightning.errors import FERError
from fer_lightning.inference.model import open_model
from fer_lightning.networks.class_paths import check_arguments, find_class
from tests.conftest import TINY, run_here

MODULE = """
from pathlib import Path
Path("imported").touch()
import torch

class Loss(torch.nn.CrossEntropyLoss):
    pass

def schedule(epoch):
    Path("called").touch()
    return 1.0
"""


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory):
    """A run of one epoch."""
    folder = tmp_path_factory.mktemp("trained")
    words = ["--data.root", drawn, *TINY, "--model.network.hidden", "4"]
    run_here("fit", *words, "--trainer.max_epochs", "1", cwd=folder)
    return folder / "runs" / "default" / "checkpoints" / "last.ckpt"


@pytest.fixture
def place(trained, workdir, monkeypatch):
    """A folder with a module of somebody's own, and a function that writes a changed checkpoint."""
    (workdir / "own_code.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(workdir))
    monkeypatch.delitem(sys.modules, "own_code", raising=False)

    def write(changes, network=None, name="x.ckpt"):
        content = torch.load(trained, weights_only=True)
        about = content["fer_lightning"]
        config = yaml.safe_load(about["config"])
        for path, value in changes.items():
            inner = config
            *parts, last = path.split(".")
            for part in parts:
                inner = inner[part]
            inner[last] = value
        about["config"] = yaml.safe_dump(config)
        about["network"] = network or about["network"]
        torch.save(content, workdir / name)

    return write


def settings(path="x.ckpt", trusted=()):
    """What `fit` takes over from a checkpoint."""
    return saved_settings(path, True, trusted, _KINDS | {"data": FERDataModule}, Path("runs/mine"))


def refused(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        main([*words, "--data.num_workers", "0"])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert "Traceback" not in said
    return said


CLASSES = {
    "model.loss": ("own_code.Loss", {"class_path": "own_code.Loss"}, {"class_path": "unittest.__main__.main"}),
    "model.optimizer": ({"class_path": "os._exit", "init_args": {"status": 9}}, "os._exit"),
    "model.lr_scheduler": (
        {"class_path": "torch.optim.lr_scheduler.LambdaLR", "init_args": {"lr_lambda": "own_code.schedule"}},
        {"class_path": "torch.optim.lr_scheduler.MultiplicativeLR", "init_args": {"lr_lambda": "exit"}},
        {"class_path": "torch.optim.lr_scheduler.CyclicLR", "init_args": {"scale_fn": "own_code.schedule"}},
        {"class_path": "torch.optim.lr_scheduler.CyclicLR", "init_args": {"scale_fn": "breakpoint"}},
    ),
    "model.distillation": ({"class_path": "own_code.Loss", "init_args": {}},),
    "data.source": ({"class_path": "own_code.Loss"}, "own_code.Loss", "evil.yaml"),
    "data.augmentation": ({"class_path": "torchvision.transforms.v2.Lambda", "init_args": {"lambd": "os._exit"}},),
    "trainer.callbacks": (
        [{"class_path": "lightning.pytorch.callbacks.LambdaCallback", "init_args": {"setup": "own_code.schedule"}}],
        [{"class_path": "own_code.Loss"}],
        ["own_code.Loss"],
    ),
    "trainer.logger": (
        {"class_path": "lightning.pytorch.loggers.WandbLogger", "init_args": {"project": "theirs"}},
        {"class_path": "lightning.pytorch.loggers.MLFlowLogger", "init_args": {"tracking_uri": "http://a.example"}},
    ),
    "trainer.strategy": ({"class_path": "lightning.pytorch.strategies.DeepSpeedStrategy"}, "own_code.Loss"),
    "trainer.profiler": ({"class_path": "torch.distributed.run.main"},),
    "trainer.plugins": ([{"class_path": "lightning.pytorch.plugins.environments.slurm_environment.os.system"}],),
}


@pytest.mark.parametrize(("option", "value"), [(name, value) for name, values in CLASSES.items() for value in values])
def test_no_class_or_function_of_a_checkpoint_is_imported_unasked(option, value, place, workdir):
    place({option: value})
    with pytest.raises(FERError, match=rf"'x.ckpt' names .*--{option}"):
        settings()
    for name in ("imported", "called", "runs"):
        assert not (workdir / name).exists()


def test_what_a_test_does_without_is_left_out(place, workdir, drawn):
    place({"model.loss": {"class_path": "own_code.Loss"}, "model.optimizer": {"class_path": "os._exit"}})
    run_here("test", "--ckpt_path", "x.ckpt", "--data.num_workers", "0", cwd=workdir)
    assert (workdir / "runs" / "x" / "test" / "metrics.json").is_file()
    assert not (workdir / "imported").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--model.loss", "own_code.Loss"],
        ["--model.loss=own_code.Loss"],
        ["--model.loss.class_path", "own_code.Loss"],
        ["--model.loss", '{"class_path": "own_code.Loss"}'],
        ["--config", "mine.yaml"],
    ],
)
def test_a_class_that_the_user_names_is_imported(words, place, workdir):
    (workdir / "mine.yaml").write_text("model:\n  loss:\n    class_path: own_code.Loss\n")
    place({"model.loss": {"class_path": "own_code.Loss"}})
    with contextlib.suppress(SystemExit):
        run_here("fit", "--ckpt_path", "x.ckpt", *words, "--trainer.max_epochs", "1", cwd=workdir)
    assert (workdir / "imported").exists()


@pytest.mark.parametrize(
    "path",
    [
        *("own_code.Loss", "unittest.__main__", "unittest.__main__.main", "os.system", "torch.distributed.run.main"),
        *("torchvision.__main__", "timm.__main__.x", "fer_lightning.__main__.main", "fer_lightning.cli.main.main"),
        *("fer_lightning.networks.rebuilding.import_module", "torch.nn.modules.module.os.system", "None", "", "a b"),
        *(
            "torch.hub.load",
            "torch.load",
            "torch.jit.load",
            "torchvision.models.get_model",
            "lightning.pytorch.Trainer",
        ),
        *(
            "torch.nn.Module.__init__",
            "builtins.exec",
            "fer_lightning.networks.timm_model.TimmModel.forward",
            "own_code",
        ),
        *(
            "lightning.pytorch.callbacks.ModelCheckpoint",
            "torch.optim.Adam",
            "x" * 10_000,
            "torch.nn..Linear",
            "\x1b[2J",
        ),
    ],
)
def test_no_network_of_a_file_is_code_of_somebody_else(path, place, workdir):
    place({}, network={"class_path": path, "init_args": {}})
    with pytest.raises(FERError) as refusal:
        open_model("x.ckpt", trusted=["None"])
    assert str(refusal.value).isprintable()
    with pytest.raises(FERError, match=r"x\.ckpt"):
        settings()
    assert not (workdir / "imported").exists()


def test_networks_that_a_file_may_name():
    for path in (
        "ExpressionCNN",
        "fer_lightning.networks.CompactResNet",
        "torch.nn.Linear",
        "torchvision.models.ResNet",
    ):
        assert isinstance(find_class(path, (), "x", "--model.network"), type)
    for path in ("torch.optim.AdamW", "torch.optim.lr_scheduler.StepLR", "fer_lightning.training.losses.FocalLoss"):
        assert isinstance(find_class(path, (), "x", "--model.loss"), type)


def test_plain_texts_with_dots_are_no_classes():
    given = {"root": "my.data", "legend": "legend.csv", "classes": ["a.b"], "identity": "os.system"}
    check_arguments(given, FERDataModule, (), "x", "--data")


@pytest.mark.parametrize(
    "changes",
    [
        {"runs_dir": "elsewhere", "name": "theirs"},
        {"data.prepared_dir": "elsewhere"},
        {"trainer.default_root_dir": "elsewhere"},
        {"checkpoint_best.dirpath": "elsewhere"},
        {
            "trainer.logger": {
                "class_path": "lightning.pytorch.loggers.CSVLogger",
                "init_args": {"save_dir": "elsewhere"},
            }
        },
        {
            "trainer.callbacks": [
                {
                    "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
                    "init_args": {"dirpath": "elsewhere", "filename": "theirs"},
                }
            ]
        },
        {
            "trainer.profiler": {
                "class_path": "lightning.pytorch.profilers.SimpleProfiler",
                "init_args": {"dirpath": "elsewhere", "filename": "a"},
            }
        },
        {"weights_only": False, "ckpt_path": "elsewhere"},
    ],
)
def test_where_to_write_is_not_for_a_checkpoint_to_say(changes, place, workdir):
    place(changes)
    found = settings()
    assert "elsewhere" not in yaml.safe_dump(found)
    assert not found.keys() & {"runs_dir", "name", "weights_only", "ckpt_path"}


def test_a_resumed_run_writes_where_it_is_told_to(place, workdir):
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "elsewhere"}}
    place({"runs_dir": "elsewhere", "data.prepared_dir": "elsewhere", "trainer.logger": logger, "weights_only": False})
    with contextlib.suppress(SystemExit):
        run_here("fit", "--ckpt_path", "x.ckpt", "--name", "mine", "--trainer.max_epochs", "2", cwd=workdir)
    names = {path.name for path in workdir.iterdir()}
    assert names <= {"own_code.py", "x.ckpt", "runs", "prepared_data", "__pycache__"}
    assert {path.name for path in (workdir / "runs").iterdir() if path.is_dir()} == {"mine"}
    assert (workdir / "runs" / "mine" / "lightning_logs").is_dir()


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint_best.filename": "../../../theirs"},
        {"trainer.logger": {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"name": "../../a"}}},
    ],
)
def test_names_with_folders_in_them_are_refused(changes, place):
    place(changes)
    with pytest.raises(FERError, match="Where to write is for you to say"):
        settings()


@pytest.mark.parametrize("option", ["data.root", "data.legend", "data.exclude", "data.relabel"])
def test_pipes_and_devices_are_not_read(option, place, workdir):
    os.mkfifo(workdir / "pipe")
    for value in (str(workdir / "pipe"), "/dev/zero"):
        place({option: value})
        with pytest.raises(FERError, match="a device or a pipe"):
            settings()


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in
                                                          zip("abcdefgh", "bcdefghi", strict=True)),
        "&a [*a]", "model: &m {a: *m}", "[" * 20_000, "a: " * 20_000, "- " * 20_000, "a: 1" + ":1" * 200_000,
        "a: 0x" + "f" * 500_000, "x" * 3_000_000, "!!python/object/apply:os.system [touch imported]", "model: [1]",
        "data: x.yaml", "3", "[]", "\x00", "a: b: c", "model: {network: x.yaml}", "? [a]\n: b",
        "trainer: {max_epochs: {a: b}}", "model: {optimizer: {class_path: 3}}", "data: {source: {class_path: [1]}}",
        "model: {loss: {class_path: torch.nn.CrossEntropyLoss, init_args: 3}}",
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_a_configuration_may_say_anything(text, trained, workdir):
    content = torch.load(trained, weights_only=True)
    content["fer_lightning"]["config"] = text
    torch.save(content, workdir / "x.ckpt")
    (workdir / "mine.yaml").write_text(text)
    for read in (settings, lambda: layers(["--config", "mine.yaml"], print)):
        said = ""
        try:
            read()
        except FERError as error:
            said = str(error)
        assert len(said) < 700
        assert said.replace("\n", "").isprintable()
    assert not (workdir / "imported").exists()


@pytest.mark.parametrize("text", ["model: [1]", "data: x.yaml", "trainer: {max_epochs: {a: b}}", "&a [*a]"])
def test_a_configuration_that_cannot_be_used_is_one_message(text, trained, workdir, capsys):
    content = torch.load(trained, weights_only=True)
    content["fer_lightning"]["config"] = text
    torch.save(content, workdir / "x.ckpt")
    (workdir / "mine.yaml").write_text(text)
    for words in (["--ckpt_path", "x.ckpt"], ["--config", "mine.yaml"]):
        assert len(refused(capsys, "fit", *words, "--data.root", "nowhere")) < 1000


def test_a_pipe_is_no_configuration(workdir, capsys):
    os.mkfifo(workdir / "pipe.yaml")
    for name in ("pipe.yaml", "/dev/zero", "."):
        with pytest.raises(SystemExit, match="2"):
            main(["fit", "--config", name])
        assert "Invalid value for --config" in capsys.readouterr().err


def test_settings_of_a_group_are_bounded_too(workdir, capsys):
    """jsonargparse reads files for groups and classes by itself, and values on the line as YAML."""
    names = "abcdefghi"
    lines = [f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in pairwise(names)]
    (workdir / "bomb.yaml").write_text("\n".join(["a: &a [x, x, x, x, x, x, x, x, x]", *lines]))
    os.mkfifo(workdir / "pipe.yaml")
    (workdir / "names_a_pipe.yaml").write_text("model: pipe.yaml")
    for words, message in (
        (["--trainer", "bomb.yaml"], "more than 50,000 values"),
        (["--model.network", (workdir / "bomb.yaml").read_text()], "model.network"),
        (["--model", "pipe.yaml"], "a device or a pipe"),
        (["--data=pipe.yaml"], "a device or a pipe"),
        (["--config", "names_a_pipe.yaml"], "a device or a pipe"),
    ):
        assert message in refused(capsys, "fit", *words)


def test_a_checkpoint_in_a_run_goes_on_there_and_one_elsewhere_does_not(trained, workdir):
    run = workdir / "kept" / "theirs"
    shutil.copytree(trained.parents[1], run)
    words = ["--data.num_workers", "0", "--trainer.max_epochs", "2"]
    run_here("fit", "--ckpt_path", "kept/theirs/checkpoints/last.ckpt", *words, cwd=workdir)
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 1
    assert not (workdir / "runs").exists()
    (workdir / "checkpoints").mkdir()
    shutil.copy(trained, workdir / "checkpoints" / "last.ckpt")  # no run around it
    run_here("test", "--ckpt_path", "checkpoints/last.ckpt", "--data.num_workers", "0", cwd=workdir)
    assert (workdir / "runs" / "last" / "test").is_dir()
    assert not (workdir / "test").exists()


def test_only_what_is_named_below_model_data_and_trainer_is_trusted():
    words = [
        "--ckpt_path",
        "a.b",
        "--model.network",
        "c.D",
        "--data.source={class_path: e.F}",
        "--name",
        "g.h",
        "--x=i.j",
    ]
    assert named_classes([], words) == {"c.D", "e.F"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model.network", "own_code.Net"], ["own_code.Net"]),
        (["--model.network.class_path=own_code.Net"], ["own_code.Net"]),
        (
            ["--model.network.body", "own_code.Body", "--model.network", "own_code.Net"],
            ["own_code.Body", "own_code.Net"],
        ),
        (["--model.network.bodies", "[{class_path: own_code.Body}]"], ["own_code.Body"]),
        (["--config", "mine.yaml"], ["own_code.Body", "own_code.Net", "own_code.Source"]),
        (["--data.root", "DATA", "--runs_dir", "a.b"], []),
    ],
)
def test_crossval_names_the_user_s_own_classes_to_its_tests(words, expected, workdir):
    network = "{class_path: own_code.Net, init_args: {width: 3, body: {class_path: own_code.Body}}}"
    text = f"model: {{network: {network}}}\ndata: {{source: own_code.Source}}\n"
    (workdir / "mine.yaml").write_text(text)
    assert _named_classes(words) == [word for path in expected for word in ("--network", path)]


@pytest.mark.parametrize("text", ["", "[", "3", "{}", '["--a"]', '"x"', "[1]", "\0", "[" * 99_999])
def test_the_options_of_a_cross_validation_may_be_anything(text, workdir):
    (workdir / "seed0-fold0" / "checkpoints").mkdir(parents=True)
    (workdir / "seed0-fold0" / "checkpoints" / "last.ckpt").touch()
    (workdir / "options.json").write_text(text)
    with pytest.raises(FERError, match=r"Choose another --name"):
        _same_options(workdir, ["--b"], "settings 0")


@pytest.mark.parametrize("text", ["", "[", "3", "{}", '{"metrics": 3}', '{"metrics": {"accuracy": {"value": "x"}}}'])
def test_the_report_of_a_fold_may_be_anything(text, workdir):
    (workdir / "metrics.json").write_text(text)
    with pytest.raises(FERError, match=r"metrics.json' cannot be used"):
        _figures_of(workdir / "metrics.json")
