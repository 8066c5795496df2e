"""FERDataModule: each stage touches what it needs, in the order of the image folders, with any source and model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torchvision.datasets import ImageFolder

from fer_lightning import FERDataModule, FERError
from fer_lightning.data import subsets
from fer_lightning.data.augmentation import Augmentation
from fer_lightning.data.decoded_cache import open_decoded
from fer_lightning.data.legend import SUBSETS, Legend
from fer_lightning.data.legend_lists import make_legend
from fer_lightning.data.sources import DataSource
from fer_lightning.data.splits import TESTING, TRAINING, VALIDATION
from fer_lightning.data.tree import is_built
from tests.conftest import PROJECT, flat

LABELS = ("jolly", "anger", "Jolly mood", "a-b", "é")


class Plain(LightningModule):
    """Somebody else's module."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 8)
        self.seen: list[torch.Tensor] = []

    def _loss(self, batch) -> torch.Tensor:
        self.seen.append(batch.samples)
        return nn.functional.cross_entropy(self.layer(batch.images.float().flatten(1) / 255), batch.labels)

    def training_step(self, batch, batch_idx):
        return self._loss(batch)

    def validation_step(self, batch, batch_idx):
        self._loss(batch)

    test_step = validation_step

    def predict_step(self, batch, batch_idx):
        return batch.labels

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


class ByFolder(DataSource):
    """A reader of one's own: the class is the name's end."""

    name = "mine"
    license = "CC0"

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def read(self) -> Legend:
        images = [path.name for path in sorted(self.root.iterdir())]
        return make_legend(self.root, images, [image.rpartition("-")[2][:-4] for image in images])


@pytest.fixture
def mine(make_data, tmp_path) -> Path:
    make_data([(f"p{n}-{('jolly', 'fear')[n % 2]}.png", "any") for n in range(40)], tmp_path / "mine")
    return tmp_path / "mine" / "images"


def trainer(folder: Path) -> Trainer:
    return Trainer(
        max_epochs=1, accelerator="cpu", logger=False, default_root_dir=folder, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, use_distributed_sampler=False,
    )  # fmt: skip


def decoded_rows(folder: Path) -> int:
    return int((np.load(next(folder.glob("*.stamps"))) != 0).all(1).sum())


def test_the_order_of_samples_is_that_of_torchvisions_image_folder(make_data, tmp_path):
    names = ["b.png", "a/1.png", "a/B.png", "a/b.png", "a-b/1.png", "a/c/1.png", "a.b/2.png", "ä/1.png", "Z/9.png",
             "a b/(1).png", "10.png", "9.png", "a/10.png", "a/9.png", "~.png", "a+b.png", "A/1.png"]  # fmt: skip
    rows = [(name.replace(".png", f"_{n}.png"), LABELS[n % 5]) for n in range(15) for name in names]
    rows += [(image, LABELS[(LABELS.index(label) + 1) % 5]) for image, label in rows[:20]]  # under two labels
    root = make_data(rows)
    data = FERDataModule(
        str(root), conflicts="keep", split="stratified", image_size=8, prepared_dir=str(tmp_path / "prepared")
    )
    data.prepare_data()
    for subset, name in enumerate(SUBSETS):
        plain = ImageFolder(data.subsets.tree_path / name)
        assert plain.classes == sorted(data.class_names)
        legend, rows_of = data.split.legend, data.split.rows(subset).tolist()
        ours = [(f"{legend.class_names[legend.labels[row]]}/{legend.images[row]}") for row in rows_of]
        assert ours == [os.path.relpath(path, plain.root) for path, _ in plain.samples]
        batch = data.samples(subset).__getitems__(list(range(len(ours))))
        assert [data.class_names[label] for label in batch.labels] == [
            plain.classes[label] for _, label in plain.samples
        ]
        expected = torch.stack([data.input_spec.load(path) for path, _ in plain.samples])
        assert torch.equal(batch.images, expected)


@pytest.mark.parametrize("cache", [True, False])
def test_every_stage_prepares_what_it_needs_and_no_more(drawn, tmp_path, cache):
    def module() -> FERDataModule:
        return FERDataModule(
            str(drawn), image_size=8, prepared_dir=str(tmp_path / "prepared"), cache=cache, num_workers=0
        )

    counts = module().split.counts.sum(1)
    for verb, rows in (("test", counts[TESTING]), ("predict", counts[TESTING]), ("validate", counts[1:].sum())):
        trained = Plain()
        answers = getattr(trainer(tmp_path), verb)(
            trained, datamodule=module(), **{} if verb == "predict" else {"verbose": False}
        )
        if verb == "predict":
            assert torch.cat(answers).bincount(minlength=8).tolist() == module().split.counts[TESTING].tolist()
        if cache:
            assert decoded_rows(tmp_path / "prepared") == rows
        assert not module().subsets.tree_path.exists()
    trained = Plain()
    trainer(tmp_path).fit(trained, datamodule=module())
    assert module().subsets.tree_path.is_dir()
    if cache:
        assert decoded_rows(tmp_path / "prepared") == counts.sum()


@pytest.mark.parametrize("cache", [True, False])
def test_a_broken_image_stops_what_needs_it_before_it_begins(make_data, tmp_path, cache):
    root = make_data([(f"p{n}.png", ("jolly", "fear")[n % 2]) for n in range(60)])

    def module(**options) -> FERDataModule:
        words = {"split": "stratified", "image_size": 8, "prepared_dir": str(tmp_path / "prepared"), "cache": cache}
        return FERDataModule(str(root), **words, num_workers=0, **options)

    split = module().split
    broken = split.legend.images[split.rows(TRAINING)[3]]
    (root / "images" / broken).write_bytes(b"broken")
    trainer(tmp_path).test(Plain(), datamodule=module(), verbose=False)
    for data in (module(), module()):
        with pytest.raises(FERError, match=rf"1 of 60 images cannot be used(.|\n)*{broken}(.|\n)*--data.on_error drop"):
            trainer(tmp_path).fit(Plain(), datamodule=data)
    with pytest.raises(FERError, match=broken):
        module().prepare_data()
    (tmp_path / "out.csv").write_text(f"image\n{broken}\n")
    trainer(tmp_path).fit(Plain(), datamodule=module(exclude=str(tmp_path / "out.csv")))


def test_without_a_trainer_loaders_set_themselves_up(drawn, tmp_path):
    data = FERDataModule(str(drawn), image_size=8, prepared_dir=str(tmp_path), batch_size=16, eval_batch_size=50)
    labels = torch.cat([batch.labels for batch in data.val_dataloader()])
    assert labels.bincount(minlength=8).tolist() == data.split.counts[VALIDATION].tolist()
    assert decoded_rows(tmp_path) == len(labels)
    assert not data.subsets.tree_path.exists()
    data.setup("test")
    before = data.samples(TESTING)
    data.setup("test")
    assert data.samples(TESTING) is before
    data.setup()
    assert decoded_rows(tmp_path) == 192
    assert sum(len(batch.images) for batch in data.train_dataloader()) == data.split.counts[TRAINING].sum()
    predicted, tested = (list(loader) for loader in (data.predict_dataloader(), data.test_dataloader()))
    assert all(torch.equal(one.images, other.images) for one, other in zip(predicted, tested, strict=True))


def test_without_validation_images_testing_takes_their_place(drawn, tmp_path):
    data = FERDataModule(str(drawn), image_size=8, prepared_dir=str(tmp_path), val_fraction=0)
    assert data.info.training.validates_on_test
    assert sum(len(batch.labels) for batch in data.val_dataloader()) == data.split.counts[TESTING].sum()
    assert not FERDataModule(str(drawn)).info.training.validates_on_test


@pytest.mark.slow
def test_what_it_tells_of_its_data(drawn, tmp_path):
    data = FERDataModule(
        str(drawn), image_size=8, prepared_dir=str(tmp_path), batch_size=7, license="CC0", split="stratified"
    )
    info, counts = data.info, data.split.counts[TRAINING]
    assert info.class_names == data.class_names
    assert info.input_spec == data.input_spec
    assert info.training.class_counts == tuple(counts)
    assert info.training.target_prior == pytest.approx(counts / counts.sum())
    assert info.training.draws == ()
    assert (info.training.batch_size, info.training.license, info.training.split) == (7, "CC0", "stratified")
    assert info.training.split_fingerprint == data.split.fingerprint
    assert info.training.names == (drawn.name,)
    assert not list(tmp_path.iterdir())  # no image was touched
    json.dumps(asdict(info))
    embedded = FERDataModule().info.training
    assert embedded.license == "Apache-2.0"
    assert embedded.names == ("synthetic faces that come with fer_lightning",)


def test_a_source_of_ones_own_in_python(mine, tmp_path):
    data = FERDataModule(source=ByFolder(str(mine)), image_size=8, prepared_dir=str(tmp_path), split="stratified")
    assert data.class_names == ("fear", "jolly")
    assert data.split.counts.sum(0).tolist() == [20, 20]
    assert (data.info.training.names, data.info.training.license) == (("mine",), "CC0")
    images, labels, *_ = data.samples(TESTING).__getitems__([0, 5])
    assert images.shape == (2, 1, 8, 8)
    names = [data.legend.images[row] for row in data.split.rows(TESTING)[[0, 5]]]
    assert [data.class_names[label] in name for label, name in zip(labels, names, strict=True)] == [True, True]
    longer = FERDataModule(source=ByFolder(str(mine)), classes=["jolly", "fear", "disgust"], split="stratified")
    assert longer.split.counts.sum(0).tolist() == [20, 20, 0]
    assert longer.legend.class_names == longer.class_names == ("jolly", "fear", "disgust")
    with pytest.raises(FERError, match=r"has the labels fear; the class list is jolly, disgust"):
        _ = FERDataModule(source=ByFolder(str(mine)), classes=["jolly", "disgust"]).split
    with pytest.raises(FERError, match=r"--data.source is the data set"):
        FERDataModule("elsewhere", source=ByFolder(str(mine)))


def test_a_source_by_class_path(mine, tmp_path):
    parser = ArgumentParser()
    parser.add_class_arguments(FERDataModule, "data")
    words = ["--data.source", "tests.data.test_datamodule.ByFolder", "--data.source.root", str(mine)]
    given = parser.parse_args([*words, "--data.split", "stratified", "--data.image_size", "8"])
    data = parser.instantiate_classes(given).data
    assert data.class_names == ("fear", "jolly")
    assert parser.parse_string(parser.dump(given)).data.source.init_args.root == str(mine)


def test_an_image_that_changes_while_a_training_runs_does_not_change_what_it_reads(drawn, tmp_path):
    data = FERDataModule(str(drawn), image_size=8, prepared_dir=str(tmp_path))
    samples = data.samples(TRAINING)
    before = samples.__getitems__([0]).images
    row = data.split.rows(TRAINING)[0]
    path = drawn / "images" / data.legend.images[row]
    content, stamp = path.read_bytes(), path.stat()
    try:
        path.write_bytes((drawn / "images" / data.legend.images[row - 1]).read_bytes())
        other = FERDataModule(str(drawn), image_size=8, prepared_dir=str(tmp_path)).samples(TRAINING)
        assert not torch.equal(other.__getitems__([0]).images, before)
        assert torch.equal(samples.__getitems__([0]).images, before)
        assert len(open_decoded(next(tmp_path.glob("*.npy")))) == 192
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def test_only_the_data_module_needs_lightning():
    rooms = PROJECT / "fer_lightning" / "data"
    modules = [
        ".".join(path.relative_to(PROJECT).with_suffix("").parts)
        for path in rooms.rglob("*.py")
        if path.name not in ("datamodule.py", "__init__.py")
    ]
    heavy = "{'lightning', 'matplotlib', 'torchmetrics'}"
    code = f"import sys\nimport {', '.join(modules)}\nprint(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Sides(LightningModule):
    """Notes the side of the images of every step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.sides = torch.nn.Parameter(torch.zeros(1)), []

    def training_step(self, batch, batch_idx):
        self.sides.append(batch.images.shape[-1])
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_epochs": 2}, [8, 8, 8, 16, 16, 16]),
        ({"max_steps": 4}, [8, 8, 16, 16]),
        ({"max_steps": 4, "max_epochs": 50}, [8, 8, 16, 16]),
        ({"max_steps": 400, "max_epochs": 2}, [8, 8, 8, 16, 16, 16]),
    ],
)
def test_small_images_come_first_whether_epochs_or_steps_end_the_training(drawn, tmp_path, limits, expected):
    growing = Augmentation(progressive_sizes=[8, 16])
    data = FERDataModule(str(drawn), prepared_dir=str(tmp_path), image_size=16, batch_size=48, augmentation=growing)
    module = Sides()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "limit_val_batches": 0}
    Trainer(accelerator="cpu", enable_model_summary=False, **quiet, **limits).fit(module, data)
    assert module.sides == expected


def test_a_large_tree_is_built_beside_the_training(make_data, workdir, monkeypatch, capsys):
    root = make_data([(f"p{number}_1.png", ("fear", "sadness")[number % 2]) for number in range(40)])
    monkeypatch.setattr(subsets, "_AT_ONCE", 10)
    data = FERDataModule(str(root), image_size=8, num_workers=0)
    begin = threading.Event()
    build = subsets.build_tree
    monkeypatch.setattr(subsets, "build_tree", lambda *words, **more: begin.wait() and build(*words, **more))
    data.prepare("fit")
    assert not data.subsets.tree_path.exists()
    assert len(next(iter(data.train_dataloader())).images) == 28
    begin.set()
    data.teardown("fit")
    assert is_built(data.subsets.tree_path, data.split)
    assert "The image folders are built beside the training" in flat(capsys.readouterr().out)
    (workdir / "closed").write_text("no folder")
    data.subsets.folder = "closed"
    monkeypatch.setattr(subsets, "build_tree", build)
    data.subsets._build_tree()
    with pytest.raises(FERError, match="Cannot write to"):
        data.teardown("fit")
    data.teardown("fit")

    def too_much(*words, **more):
        raise MemoryError

    monkeypatch.setattr(subsets, "build_tree", too_much)
    data.subsets._build_tree()
    with pytest.raises(MemoryError):
        data.teardown("fit")
