"""Trainings on aligned faces, from the decoded images to what is exported."""

from __future__ import annotations

import json

import pytest
import skimage.data
import torch
from PIL import Image

from fer_lightning.checkpoints.reading import read_checkpoint
from fer_lightning.cli.prepare import prepare
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.splits import TRAINING
from fer_lightning.errors import FERError
from fer_lightning.inference.model import info_of_file
from tests.conftest import TINY, run_here


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut()[0:300, 60:360])


def test_training_sees_aligned_faces(make_data, tmp_path, capsys, portrait):
    root = make_data([(f"p{number}.png", ("jolly", "calm")[number % 2]) for number in range(10)])
    for number, file in enumerate(sorted(root.rglob("*.png"))):
        portrait.rotate(3 * number).save(file)
    how = {"image_size": 48, "prepared_dir": str(tmp_path), "split": "stratified"}
    portrait.rotate(90).save(sorted(root.rglob("*.png"))[0])  # the detector finds it, but no landmarks are seen
    made = {}
    for faces in ("align", "detect"):
        data = FERDataModule(str(root), faces=faces, **how)
        data.prepare_data()
        made[faces] = next(iter(data.val_dataloader())).images
        said = capsys.readouterr().out
        assert "Faces  found in 10 of 10 images" in said
        assert ("aligned in 9; no landmarks in 1, taken by their box" in said) == (faces == "align")
    assert (made["align"] != made["detect"]).any()


@pytest.mark.parametrize("cache", [True, False])
def test_some_training_images_are_cut_out_as_they_are(make_data, tmp_path, capsys, portrait, cache):
    root = make_data([(f"p{number}.png", ("jolly", "calm")[number % 2]) for number in range(16)])
    for number, file in enumerate(sorted(root.rglob("*.png"))):
        portrait.rotate(2 * number - 15, Image.Resampling.BICUBIC).save(file)
    how = {"image_size": 24, "prepared_dir": str(tmp_path), "split": "stratified", "cache": cache, "num_workers": 0}
    ways = []
    for faces in ("align", "detect"):
        samples = FERDataModule(str(root), faces=faces, **how).samples(TRAINING)
        ways.append(samples.gather([*range(len(samples))]))
    how["prepared_dir"] = str(tmp_path / "both")
    data = FERDataModule(str(root), faces="align", unaligned=0.5, **how)
    data.prepare_data()
    assert len(list((tmp_path / "both").glob("*.npy"))) == 2 * cache, "before the training, on one process alone"
    assert ("Training images are kept by their box as well" in capsys.readouterr().out) == cache
    loader = data.train_dataloader()
    taken = []
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        images, _, samples, _ = next(iter(loader))
        faces, way = samples % len(samples), samples // len(samples) % 2
        assert torch.equal(images, torch.stack(ways)[way, faces])
        assert 0 < way.sum() < len(way)
        taken.append(way[faces.argsort()].tolist())
    assert taken[0] != taken[1]
    aligned_alone = FERDataModule(str(root), faces="align", **how)
    for subset in ("val_dataloader", "test_dataloader"):
        one, other = (next(iter(getattr(module, subset)())) for module in (data, aligned_alone))
        assert torch.equal(one.images, other.images)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"faces": "detect", "unaligned": 0.5},
            r"--data.unaligned 0.5 leaves .* --data.faces is 'detect'. Set it to align",
        ),
        ({"faces": "align", "unaligned": 1.5}, r"--data.unaligned. Expected 0 to 1. Received: 1.5"),
    ],
)
def test_what_is_left_as_it_is_must_be_among_aligned_ones(make_data, settings, expected):
    root = make_data([(f"p{number}.png", ("jolly", "calm")[number % 2]) for number in range(10)])
    with pytest.raises(FERError, match=expected):
        FERDataModule(str(root), **settings)


@pytest.mark.slow
def test_a_network_for_both_goes_on_and_is_measured_by_the_box(drawn, tmp_path):
    """An option of the training alone: it stays when a run is resumed, and not when other data are looked at."""
    words = ["--data.root", drawn, *TINY, "--name", "both"]
    how = ["--data.faces", "align", "--data.unaligned", "0.5"]
    run_here("fit", *words, *how, "--trainer.max_epochs", "1", cwd=tmp_path)
    run_here(
        "test", "--name", "both", "--ckpt_path", "best", "--data.faces", "detect", "--data.root", drawn, cwd=tmp_path
    )
    run_here("fit", *words, "--trainer.max_epochs", "2", "--ckpt_path", "last", cwd=tmp_path)
    run_here("fit", *words[:-1], "whole", *how, "--trainer.max_epochs", "2", cwd=tmp_path)
    both, whole = (
        torch.load(tmp_path / "runs" / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("both", "whole")
    )
    torch.testing.assert_close(both, whole, rtol=0, atol=0)


def test_a_stream_has_one_look_at_each_image(drawn, tmp_path):
    words = ["--data.root", str(drawn), "--data.faces", "align", "--data.unaligned", "0.5"]
    with pytest.raises(FERError, match=r"--data.unaligned. A stream has one look at each image"):
        prepare(words, str(tmp_path / "stream"))
    prepare(words[:4], str(tmp_path / "stream"))
    with pytest.raises(FERError, match=r"--data.unaligned. A stream has one look at each image"):
        FERDataModule(str(tmp_path / "stream"), faces="align", unaligned=0.5)


@pytest.mark.slow
def test_a_run_measures_and_goes_on_as_it_was_trained(drawn, tmp_path):
    words = ["--data.root", drawn, *TINY, "--name", "al"]
    run_here("fit", *words, "--data.faces", "align", "--trainer.max_epochs", "1", cwd=tmp_path)
    checkpoints = tmp_path / "runs" / "al" / "checkpoints"
    run_here("test", "--name", "al", "--ckpt_path", "best", "--data.root", drawn, cwd=tmp_path)
    assert json.loads((tmp_path / "runs" / "al" / "test" / "metrics.json").read_text())["faces"] == "align"
    run_here("fit", *words, "--trainer.max_epochs", "2", "--ckpt_path", "last", cwd=tmp_path)
    assert read_checkpoint(checkpoints / "last.ckpt")[0].input_spec.align
    run_here("export", "--name", "al", "--output", "al.safetensors", "--ckpt_path", "last", cwd=tmp_path)
    run_here("fit", *words[:-1], "new", "--trainer.max_epochs", "1", "--ckpt_path", "al.safetensors", cwd=tmp_path)
    assert read_checkpoint(tmp_path / "runs" / "new" / "checkpoints" / "last.ckpt")[0].input_spec.align


@pytest.mark.slow
def test_a_stream_has_the_same_faces(drawn, tmp_path):
    how = {"faces": "align", "image_size": 32, "prepared_dir": str(tmp_path), "num_workers": 0}
    words = ["--data.root", str(drawn), "--data.faces", "align", "--data.image_size", "32"]
    prepare(words, str(tmp_path / "stream"))
    batches = []
    for root in (drawn, tmp_path / "stream"):
        data = FERDataModule(str(root), **how)
        data.prepare_data()
        batches.append(next(iter(data.test_dataloader())))
    assert (batches[0].images == batches[1].images).all()
    other = FERDataModule(str(drawn), **how | {"faces": "detect"})
    other.prepare_data()
    assert (next(iter(other.test_dataloader())).images != batches[0].images).any()


@pytest.mark.slow
def test_what_is_made_of_a_run_is_aligned_too(drawn, tmp_path):
    words = ["--data.root", drawn, *TINY, "--data.faces", "align", "--trainer.max_epochs", "1"]
    run_here("fit", *words, "--name", "al", cwd=tmp_path)
    graph = ["--name", "al", "--ckpt_path", "last", "--output", "al.onnx"]
    run_here("export", *graph, "--quantize", "int8", "--data.root", drawn, cwd=tmp_path)
    assert info_of_file(tmp_path / "al.onnx").input_spec.align
    run_here("crossval", *words, "--folds", "2", "--name", "folds", cwd=tmp_path)
    found = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "folds").rglob("metrics.json")]
    assert [one["faces"] for one in found if "faces" in one] == ["align"] * 2
