"""Several data sets as one: each image keeps its subset, its label and its person."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.splits import TRAINING
from fer_lightning.errors import FERError
from tests.conftest import flat, run_here


@pytest.fixture
def two(make_data, tmp_path) -> list[Path]:
    """One with a split column and votes, one with people in the file names."""
    first = make_data([(f"a{number}.png", ("fear", "anger")[number % 2]) for number in range(20)], tmp_path / "first")
    rows = list(csv.reader((first / "legend.csv").open()))
    with open(first / "legend.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*rows[0], "split", "fear", "anger"])
        for number, row in enumerate(rows[1:]):
            writer.writerow([*row, "testing" if number >= 15 else "training", *((3, 1) if number % 2 == 0 else (1, 3))])
    second = make_data(
        [(f"Person_{number // 2}_{number:04d}.png", ("neutral", "anger")[number // 2 % 2]) for number in range(40)],
        tmp_path / "second",
    )
    return [first, second]


def module(roots, tmp_path, **options) -> FERDataModule:
    words = {"split": "predefined", "prepared_dir": str(tmp_path / "trees"), "image_size": 8, "soft_labels": True}
    return FERDataModule([str(root) for root in roots], **(words | options))


def test_the_whole_is_the_sum_of_its_data_sets(two, tmp_path):
    data = module(two, tmp_path)
    assert data.class_names == ("anger", "fear", "neutral")
    split = data.split
    alone = [module(two[:1], tmp_path).split, module(two[1:], tmp_path, split="grouped").split]
    assert split.counts.sum(1).tolist() == sum(one.counts.sum(1) for one in alone).tolist()
    for start, one in zip(("first", "second"), alone, strict=True):
        for image, subset, label in zip(one.legend.images, one.subsets, one.legend.labels, strict=True):
            row = split.legend.images.index(f"{start}/images/{image}")
            assert split.subsets[row] == subset, SUBSETS[subset]
            assert split.legend.class_names[split.legend.labels[row]] == one.legend.class_names[label]
    assert split.shared_identities()[0] == 0


def test_its_batches_hold_the_right_pixels_and_targets(two, tmp_path):
    data = module(two, tmp_path)
    samples, rows = data.samples(0), data.split.rows(0).tolist()
    images = [data.split.legend.images[row] for row in rows]
    batch = samples.__getitems__(list(range(len(samples))))
    for image, pixels, label, target in zip(images, batch.images, batch.labels, batch.targets, strict=True):
        expected = data.input_spec.load(tmp_path / image)
        assert torch.equal(pixels, expected)
        if image.startswith("second"):
            assert target.tolist() == np.eye(3)[label].tolist()
        else:
            assert sorted(target.tolist()) == [0.0, 0.25, 0.75]
            assert target.argmax() == label


def test_lists_name_images_as_their_own_data_set_does(two, tmp_path):
    data = module(two, tmp_path, split="grouped")
    one = module(two[:1], tmp_path, split="grouped").split
    image = next(image for image, subset in zip(one.legend.images, one.subsets, strict=True) if subset == TRAINING)
    for name in (image, f"first/images/{image}"):
        (tmp_path / "out.csv").write_text(f"image\n{name}\nunknown.png\n")
        amended = module(two, tmp_path, split="grouped", exclude=str(tmp_path / "out.csv")).split
        assert sorted({*data.split.legend.images} - {*amended.legend.images}) == [f"first/images/{image}"]
        assert "Of 2 images listed, 1 is not in the data set" in amended.warnings[0]


def test_a_name_that_stands_for_several_images_is_refused(make_data, tmp_path):
    root = make_data([(f"{'ab'[n % 2]}/{n // 2}.png", ("fear", "anger")[n // 2 % 2]) for n in range(40)])
    (tmp_path / "out.csv").write_text("image\n3.png\n")
    with pytest.raises(FERError, match=r"'3.png', listed for --data.exclude, may be a/3.png or b/3.png"):
        _ = FERDataModule(root, image_size=8, prepared_dir=str(tmp_path), exclude=str(tmp_path / "out.csv")).split


def test_class_names_of_several_may_be_spelt_as_elsewhere(two, tmp_path):
    assert module(two, tmp_path, classes=["Fear", "anger ", "NEUTRAL"]).split.legend.class_names[:2] == (
        "fear",
        "anger",
    )


def test_the_command_line_takes_a_list(two, tmp_path, capsys):
    words = ["--data.root", f"[{two[0]}, {two[1]}]", "--data.split", "predefined", "--data.image_size", "24"]
    run_here("fit", *words, "--trainer.max_epochs", "1", "--data.val_fraction", "0", cwd=tmp_path)
    assert "60 images, 3 classes" in flat(capsys.readouterr().out)
    run_here("test", "--ckpt_path", "last", cwd=tmp_path)


def test_what_cannot_be_combined_is_refused(make_data, two, tmp_path):
    with pytest.raises(FERError, match="Two of the data sets have the same image folder"):
        _ = module([two[0], two[0]], tmp_path).split
    copy = shutil.copytree(two[1], tmp_path / "copy")
    with pytest.raises(FERError, match=r"the same images, one being a copy: '.*second/images' and '.*copy/images'"):
        _ = module([*two, copy], tmp_path, split="stratified", soft_labels=False).split
    inner = two[0] / "images" / "inner"
    make_data([("x.png", "fear"), ("y.png", "anger"), *((f"{n}.png", "fear") for n in range(20))], inner)
    with open(two[0] / "legend.csv", "a") as stream:
        stream.write("tester,inner/images/x.png,fear,training,3,1\n")
    with pytest.raises(FERError, match="image folders within one another"):
        _ = module([two[0], inner], tmp_path, split="stratified", soft_labels=False).split
    with pytest.raises(FERError, match=r"go with one --data.root, not with a list"):
        module(two, tmp_path, legend="legend.csv")


def test_the_rule_is_the_chosen_one_though_the_first_data_set_has_no_column_for_it(two, tmp_path):
    assert module(two[::-1], tmp_path).split.options["rule"] == "predefined"
