"""Streams give the batches of local data, in an order that is known, and nothing that is not whole."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_lightning.cli.prepare import prepare
from fer_lightning.data.batches import FaceSamples
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.sampling import BalancedSampling, TrainingSampler
from fer_lightning.data.splits import SUBSETS, TRAINING
from fer_lightning.data.streams import chunks, order, writing
from fer_lightning.data.streams.chunks import Chunks
from fer_lightning.data.streams.manifest import BEGUN, MANIFEST, Shard
from fer_lightning.data.streams.order import StreamSampler, training_sampler
from fer_lightning.errors import FERError
from fer_lightning.training.classifier import ExpressionClassifier
from tests.conftest import PROJECT, TINY, flat, heed_signals, run, run_here
from tests.servers import s3_server, upload, web_server

pytest.importorskip("litdata")

SIZE = 24
_DATA = ["--data.image_size", str(SIZE)]


@pytest.fixture(scope="module")
def small_chunks():
    """Seven images in a chunk, and not eight million bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "CHUNK_BYTES", 7 * SIZE**2)
        yield


@pytest.fixture(scope="module")
def stream(drawn, tmp_path_factory, small_chunks):
    folder = tmp_path_factory.mktemp("stream")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepare(["--data.root", str(drawn), *_DATA], str(folder / "faces"))
    return folder / "faces"


@pytest.fixture(scope="module")
def s3():
    with s3_server() as faults:
        yield faults


def both(drawn: Path, stream: Path | str, folder: Path, **options) -> tuple[FERDataModule, FERDataModule]:
    common = {"image_size": SIZE, "batch_size": 10, "prepared_dir": str(folder)} | options
    return FERDataModule(str(drawn), **common), FERDataModule(str(stream), **common)


def check_same_batches(one: FERDataModule, other: FERDataModule) -> None:
    assert other.info == one.info
    for name in ("train", "val", "test"):
        loaders = [getattr(data, f"{name}_dataloader")() for data in (one, other)]
        batches = [list(loader) for loader in loaders]
        assert len(batches[0]) == len(batches[1]) > 0
        for mine, theirs in zip(*batches, strict=True):
            for a, b in zip(mine, theirs, strict=True):
                assert (a is None and b is None) or torch.equal(a, b)


def test_batches_are_those_of_local_data(drawn, stream, tmp_path):
    local, streamed = both(drawn, stream, tmp_path)
    check_same_batches(local, streamed)
    assert streamed.split.fingerprint == local.split.fingerprint
    for subset in range(3):
        rows = [data.split.rows(subset) for data in (local, streamed)]
        assert rows[0].tolist() == rows[1].tolist()
    assert streamed.legend.images == local.legend.images
    assert streamed.split.identities == local.split.identities
    assert streamed.majority(2) == local.majority(2)
    assert len(list((stream / "training").glob("chunk-*.bin"))) == -(-144 // 7)


def test_votes_and_drawing_are_as_with_local_data(drawn, tmp_path, small_chunks, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = list(csv.DictReader((drawn / "legend.csv").open()))
    classes = sorted({row["emotion"] for row in rows})
    random = np.random.default_rng(0)
    with open("legend.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user.id", "image", "emotion", "mood", *classes])
        for row in rows:
            votes = [int(random.integers(0, 3)) + 5 * (name == row["emotion"]) for name in classes]
            writer.writerow([row["user.id"], row["image"], row["emotion"], "good", *votes])
    data = {"legend": "legend.csv", "images": str(drawn / "images")}
    words = [word for name, value in data.items() for word in (f"--data.{name}", value)]
    prepare([*words, *_DATA], "faces")
    options = {"image_size": SIZE, "soft_labels": True, "sampling": BalancedSampling(0.5), "seed": 3}
    local, streamed = FERDataModule(**data, **options), FERDataModule("faces", **options)
    check_same_batches(local, streamed)
    assert next(iter(streamed.train_dataloader())).targets is not None
    assert streamed.legend.attributes["mood"] == ["good"] * 192


class Numbers(Chunks):
    """Chunks without files: only their sizes."""

    def __init__(self, shard: Shard, positions: np.ndarray) -> None:
        self.shard, self.positions, self.shape = shard, positions, (1, 1, 1)


def epoch_of(images: int, per_chunk: int, devices: int, rank: int, epoch: int = 0, seed: int = 5, done: int = 0):
    positions = np.random.default_rng(1).permutation(images).astype(np.uint32)
    known = Numbers(Shard(images, per_chunk), positions)
    sampler = StreamSampler(FaceSamples([0] * images, known), known, devices, rank, seed)
    sampler.resume(epoch, done) if done else sampler.set_epoch(epoch)
    return list(sampler), positions


@pytest.mark.parametrize(
    ("images", "per_chunk"), [(1000, 7), (1000, 1000), (999, 10), (5, 2), (1600, 10), (40_000, 64)]
)
def test_an_epoch_takes_every_image_once_whatever_the_number_of_devices(images, per_chunk):
    alone, _ = epoch_of(images, per_chunk, 1, 0)
    assert sorted(alone) == list(range(images))
    for devices in (2, 3, 16):
        each = [epoch_of(images, per_chunk, devices, rank)[0] for rank in range(devices)]
        length = images // devices
        assert [len(one) for one in each] == [length] * devices
        together = [number for step in zip(*each, strict=True) for number in step]
        assert together == alone[: length * devices]
    if images > 5:
        assert epoch_of(images, per_chunk, 1, 0, epoch=1)[0] != alone
        assert epoch_of(images, per_chunk, 1, 0, seed=6)[0] != alone


@pytest.mark.parametrize(("devices", "rank"), [(1, 0), (2, 1), (3, 0)])
def test_a_resumed_epoch_of_a_stream_goes_on_where_it_was(devices, rank):
    whole, _ = epoch_of(2000, 30, devices, rank, epoch=4)
    resumed, _ = epoch_of(2000, 30, devices, rank, epoch=4, done=123 * devices)
    assert resumed == whole[123:]


@pytest.mark.parametrize("parts", [((2, 123), (1, None)), ((1, 301), (2, None)), ((3, 50), (2, 77), (4, None))])
def test_what_is_left_of_a_stream_is_divided_anew_among_another_number_of_devices(parts):
    whole, _ = epoch_of(2001, 30, 1, 0, epoch=4)
    taken: list[int] = []
    for devices, each in parts:
        shards = [epoch_of(2001, 30, devices, rank, epoch=4, done=len(taken))[0][:each] for rank in range(devices)]
        taken += [number for step in zip(*shards, strict=True) for number in step]
    assert taken == whole[: len(taken)]
    assert 2001 - len(taken) < parts[-1][0]


def test_few_chunks_are_read_at_a_time_and_devices_share_few():
    """With 16 lanes, 160 chunks and 4 devices: 4 chunks side by side, and about 40 in all, on each device."""
    used = []
    for rank in range(4):
        numbers, positions = epoch_of(16_000, 100, 4, rank)
        seen = positions[numbers] // 100
        assert max(len(set(seen[start : start + 64])) for start in range(0, len(seen) - 64, 16)) <= 8
        used.append(set(seen.tolist()))
        first = [int(np.flatnonzero(seen == chunk)[-1] - np.flatnonzero(seen == chunk)[0]) for chunk in used[-1]]
        assert max(first) < 16_000 / 4 / 4  # a chunk is done with once begun
    assert sum(map(len, used)) <= 160 + 16


def test_large_streams_are_read_in_lanes_and_do_not_draw_unequally(drawn, stream, tmp_path, monkeypatch):
    _, streamed = both(drawn, stream, tmp_path)
    assert type(streamed.train_dataloader().sampler) is TrainingSampler
    monkeypatch.setattr(order, "SHUFFLED_WHOLE", 100)
    loader = streamed.train_dataloader()
    assert type(loader.sampler) is StreamSampler
    labels, images = streamed.samples(TRAINING).labels, set()
    for batch in loader:
        assert torch.equal(batch.labels, labels[batch.samples])
        images |= {one.numpy().tobytes() for one in batch.images}
    assert len(images) == len({one.numpy().tobytes() for one in streamed.samples(TRAINING).gather(list(range(144)))})
    samples, draws = streamed.samples(TRAINING), torch.ones(144)
    with pytest.raises(FERError, match=r"--data.sampling.strength draws images from the whole data set"):
        training_sampler(samples, 1, 0, seed=0, draws=draws)


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [False, True])
def test_a_training_on_a_stream_goes_on_to_the_sample(drawn, stream, tmp_path, monkeypatch, lanes):
    """Stopped within the second epoch; weights are bit for bit those of a run that was not, and of local data."""
    if lanes:
        monkeypatch.setattr(order, "SHUFFLED_WHOLE", 100)
    options = [*_DATA, "--data.batch_size", "16", "--trainer.max_epochs", "2", "--data.num_workers", "0"]
    options += ["--data.augmentation.rotation", "10", "--checkpoint_last.every_n_steps", "3"]
    step, stop = ExpressionClassifier.training_step, []

    def stopped(self, batch, batch_idx):
        if stop and self.trainer.global_step == 14:
            raise KeyError("stopped")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ExpressionClassifier, "training_step", stopped)
    run_here("fit", "--data.root", stream if lanes else drawn, *options, "--name", "whole", cwd=tmp_path)
    stop.append(True)
    with pytest.raises(KeyError, match="stopped"):
        run_here("fit", "--data.root", stream, *options, "--name", "cut", cwd=tmp_path)
    stop.clear()
    if lanes:  # local data would come in another order
        with pytest.raises(SystemExit):
            run_here("fit", "--name", "cut", "--ckpt_path", "last", "--data.root", drawn, cwd=tmp_path)
    run_here("fit", "--name", "cut", "--ckpt_path", "last", cwd=tmp_path)
    first, other = (
        torch.load(tmp_path / "runs" / name / "checkpoints" / "last.ckpt", weights_only=True)
        for name in ("whole", "cut")
    )
    assert other["global_step"] == first["global_step"] == 18
    assert all(torch.equal(value, other["state_dict"][name]) for name, value in first["state_dict"].items())


@pytest.mark.slow
def test_measures_are_those_of_local_data(drawn, stream, tmp_path):
    """The same weights, tested on local data and on the stream made of them."""
    found = []
    for name, root in (("local", drawn), ("streamed", stream)):
        trained = ["--ckpt_path", "runs/local/checkpoints/best.ckpt"]
        if name == "local":
            run_here("fit", "--data.root", root, *_DATA, "--trainer.max_epochs", "1", "--name", name, cwd=tmp_path)
        run_here("test", *trained, "--data.root", root, "--name", f"t-{name}", cwd=tmp_path)
        folder = tmp_path / "runs" / f"t-{name}" / "test"
        found.append(((folder / "predictions.csv").read_text(), json.loads((folder / "metrics.json").read_text())))
    assert found[0][0] == found[1][0]
    assert found[0][1]["metrics"] == found[1][1]["metrics"]


def test_what_is_settled_is_not_asked_for_again(drawn, stream, tmp_path):
    for options, match in (
        ({"image_size": 20}, r"for another input than image_size 20. Take it as it is, with --data.image_size 24"),
        ({"color": "rgb"}, "another input than color rgb"),
        ({"faces": "align"}, r"another input than faces align. Take it as it is, with --data.faces whole"),
        ({"split": "stratified"}, r"Invalid value for --data.split. The stream '.*' was made with None.*stratified"),
        ({"val_fraction": 0.3}, r"--data.val_fraction. The stream '.*' was made with 0.1"),
        ({"fold": 1}, "--data.fold"),
        ({"classes": ["a", "b"]}, "--data.classes"),
        ({"soft_labels": True}, "needs annotators' votes"),
    ):  # fmt: skip
        with pytest.raises(FERError, match=match):
            both(drawn, stream, tmp_path, **options)
    with pytest.raises(FERError, match="is a stream, which is read alone"):
        FERDataModule([str(stream), str(drawn)], image_size=SIZE)


def test_a_place_that_is_taken_is_left_alone(drawn, stream, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--data.root", str(drawn), *_DATA]
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    with pytest.raises(FERError, match=r"'mine' has files in it that are not ours, such as 'notes\.txt'"):
        prepare(words, "mine", overwrite=True)
    shutil.copytree(stream, "faces")
    with pytest.raises(FERError, match="There is a stream at 'faces' already"):
        prepare(words, "faces")
    Path("faces/training/chunk-9-9.bin").write_text("left by an earlier stream")
    prepare(words, "faces", overwrite=True)
    assert not Path("faces/training/chunk-9-9.bin").exists()
    assert {path.name for path in Path("faces").iterdir()} == {MANIFEST, "rows.json.gz", *SUBSETS}
    with pytest.raises(FERError, match="It is a stream already"):
        prepare(["--data.root", "faces", *_DATA], "again")
    with pytest.raises(FERError, match="can only be read"):
        prepare(words, "http://127.0.0.1:1/x")


def test_a_damaged_image_is_said_before_anything_is_written(make_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = make_data([(f"{number}.png", "ab"[number % 2]) for number in range(40)])
    (data / "images/3.png").write_bytes(b"no image")
    with pytest.raises(FERError, match="1 of 40 images cannot be used"):
        prepare(["--data.root", str(data), *_DATA], "faces")
    assert not Path("faces").exists()


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda place: (place / MANIFEST).write_text("{"), "fer_stream.json' is damaged"),
        (lambda place: (place / MANIFEST).write_text('{"format": 9}'), "expected format 1, found 9"),
        (lambda place: (place / "training/chunk-0-3.bin").unlink(), r"training/chunk-0-3.bin', it is missing"),
        (lambda place: cut(place / "training/chunk-0-3.bin"), r"chunk-0-3.bin', its pixels are not those"),
        (lambda place: flip(place / "training/chunk-0-3.bin"), r"chunk-0-3.bin', its pixels are not those"),
        (
            lambda place: (place / "training/index.json").write_text("[]"),
            r"index.json', its chunks are no plain arrays",
        ),
        (lambda place: reformat(place / "training/index.json"), r"index.json', its chunks are no plain arrays"),
        (lambda place: flip(place / "training/labels.npy"), "labels of 'training' are not those"),
        (lambda place: flip(place / "training/positions.npy"), "does not name every place once"),
    ],
)
def test_a_damaged_stream_is_refused(stream, tmp_path, spoil, match):
    shutil.copytree(stream, tmp_path / "faces")
    spoil(tmp_path / "faces")
    with pytest.raises(FERError, match=match):
        list(FERDataModule(str(tmp_path / "faces"), image_size=SIZE, num_workers=0).train_dataloader())


def test_from_the_web(drawn, stream, tmp_path):
    with web_server(stream) as (address, faults):
        faults.planned = {"chunk-0-3.bin": ("reset", 1)}
        check_same_batches(*both(drawn, address, tmp_path, num_workers=0))


def test_a_chunk_that_another_process_removes_before_it_is_read_is_fetched_again(drawn, stream, tmp_path, monkeypatch):
    here, removed = chunks.Chunks._here, []

    def gone(self, name, **how):
        path = here(self, name, **how)
        if name == "chunk-0-3.bin" and len(removed) < 2:
            removed.append(name)
            path.unlink()
        return path

    monkeypatch.setattr(chunks.Chunks, "_here", gone)
    with web_server(stream) as (address, _):
        check_same_batches(*both(drawn, address, tmp_path, num_workers=0))
    assert len(removed) == 2


def test_a_stream_is_not_audited(stream, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_here("audit", "--data.root", stream, cwd=tmp_path)
    assert "is a stream, which fit, validate and test read. Name the data set" in flat(capsys.readouterr().err)


def test_rows_of_another_stream_are_refused(stream, tmp_path):
    shutil.copytree(stream, tmp_path / "faces")
    (tmp_path / "faces/rows.json.gz").write_bytes(b"\x1f\x8b")
    data = FERDataModule(str(tmp_path / "faces"), image_size=SIZE)
    with pytest.raises(FERError, match=r"rows.json.gz', it ends too early"):
        data.split  # noqa: B018 (read at first use)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def reformat(path: Path) -> None:
    """What would have LitData unpickle the chunks."""
    index = json.loads(path.read_text())
    index["config"]["data_format"] = ["pickle"]
    path.write_text(json.dumps(index))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.slow
def test_from_s3_with_lost_connections_and_spoilt_copies(drawn, stream, s3, tmp_path, monkeypatch):
    monkeypatch.setattr("fer_lightning.storage.PAUSES", (0.01, 0.02))
    upload(stream, "faces")
    s3.planned = {
        "training/chunk-0-2.bin": ("reset", 1),
        "training/chunk-0-5.bin": ("cut", 2),
        "labels.npy": ("busy", 1),
    }
    local, streamed = both(drawn, "s3://bucket/faces", tmp_path, num_workers=0)
    check_same_batches(local, streamed)
    assert s3.asked["/bucket/faces/training/chunk-0-5.bin"] == 3
    copies = streamed.subsets.copies / "training"
    flip(copies / "chunk-0-7.bin")
    _, again = both(drawn, "s3://bucket/faces", tmp_path, num_workers=0)
    check_same_batches(local, again)
    assert s3.asked["/bucket/faces/training/chunk-0-7.bin"] == 2  # the others were here
    assert s3.asked["/bucket/faces/training/chunk-0-8.bin"] == 1


@pytest.mark.slow
def test_what_s3_does_not_have_is_named(stream, s3, tmp_path, monkeypatch):
    monkeypatch.setattr("fer_lightning.storage.PAUSES", (0.01, 0.02))
    upload(stream, "poor")
    s3.planned = {"poor/training/chunk-0-4.bin": ("reset", 99)}
    data = FERDataModule("s3://bucket/poor", image_size=SIZE, num_workers=0, prepared_dir=str(tmp_path))
    with pytest.raises(FERError, match=r"'s3://bucket/poor/training/chunk-0-4.bin': it cannot be had, in 3 tries"):
        list(data.train_dataloader())
    import boto3

    boto3.client("s3").delete_object(Bucket="bucket", Key="poor/testing/index.json")
    with pytest.raises(FERError, match=r"'s3://bucket/poor/testing/index.json': there is nothing"):
        data.test_dataloader()


@pytest.mark.slow
def test_only_chunks_in_use_stay_on_the_disk_if_so_wished(stream, s3, tmp_path, monkeypatch):
    upload(stream, "kept")
    s3.planned = {}
    monkeypatch.setattr(chunks, "_KEPT", 5)
    monkeypatch.setattr(chunks, "_HELD", 3)
    monkeypatch.setattr(order, "SHUFFLED_WHOLE", 100)
    options = {"image_size": SIZE, "num_workers": 0, "prepared_dir": str(tmp_path)}
    data = FERDataModule("s3://bucket/kept", cache=False, **options)
    assert sum(len(batch.images) for batch in data.train_dataloader()) == 144
    assert len(list((data.subsets.copies / "training").glob("chunk-*.bin"))) <= 6


@pytest.mark.slow
def test_prepared_to_s3_trained_and_tested_from_there(drawn, s3, tmp_path, capsys):
    """The whole way, in processes of its own, with workers; nothing says the secret."""
    s3.planned = {"chunk-0-0.bin": ("reset", 1)}
    place, said = "s3://bucket/whole", ""
    common = ["--data.root", place, "--name", "mine"]
    for words in (
        ["prepare", "--data.root", drawn, "--data.image_size", "32", "--output", place],
        ["fit", *common, *TINY, "--data.num_workers", "2", "--trainer.max_epochs", "1"],
        ["test", *common, "--ckpt_path", "best"],
    ):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        said += done.stdout + done.stderr
    assert "very-secret" not in said
    with pytest.raises(SystemExit):
        run_here("test", "--name", "mine", "--ckpt_path", "best", cwd=tmp_path)
    refused = flat(capsys.readouterr().err)
    assert "names 's3://bucket/whole' to be downloaded. If you want that, name it yourself" in refused
    run_here("test", "--name", "mine", "--ckpt_path", "best", "--data.root", drawn, cwd=tmp_path)
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert not any(b"very-secret" in path.read_bytes() for path in files)


@pytest.mark.slow
def test_a_killed_prepare_leaves_nothing_that_looks_whole(drawn, tmp_path):
    """Killed once the first file is there; the next one writes all of it."""
    command = [sys.executable, str(PROJECT / "train.py"), "prepare", "--data.root", str(drawn), "--output", "faces"]
    process = subprocess.Popen(command, cwd=tmp_path, preexec_fn=heed_signals, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "faces" / BEGUN).exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    if (tmp_path / "faces" / MANIFEST).exists():
        pytest.skip("it was done before it was killed")
    with pytest.raises(SystemExit):
        run_here("fit", "--data.root", "faces", cwd=tmp_path)
    run_here("prepare", "--data.root", drawn, "--output", "faces", cwd=tmp_path)
    assert not (tmp_path / "faces" / BEGUN).exists()
    assert (tmp_path / "faces" / MANIFEST).exists()
