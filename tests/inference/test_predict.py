"""`predict` from the command line, as a user has it."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from PIL import Image

from fer_lightning.checkpoints.finding import PRETRAINED
from fer_lightning.checkpoints.reading import info_of
from fer_lightning.checkpoints.weights import save_weights
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.inference.model import info_of_file, trained_prior
from fer_lightning.inference.rows import RowWriter
from fer_lightning.model.expression_model import ExpressionModel
from tests.conftest import PROJECT, flat, run_here

PREDICT = [sys.executable, str(PROJECT / "train.py"), "predict", "--ckpt_path", "pretrained"]


def rows(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_images_and_video_in_rows_and_images_out(photograph, video, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    photograph.save(tmp_path / "in" / "a.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "c.jpg").write_text("no image")
    shutil.copy(video, tmp_path / "in" / "d.mp4")
    extras = ["--annotate", "drawn", "--timeline", "time.png", "--explain", "why"]
    words = ["predict", "--ckpt_path", "pretrained", "--faces", "detect", "--input", "in", *extras, "--workers", "0"]
    words += ["--output", "predictions.csv"]
    run_here(*words, cwd=tmp_path)
    said = capsys.readouterr().out
    found = rows(tmp_path / "predictions.csv")
    assert [row["label"] for row in found[:3]] == ["happiness", "no_face", "error"]
    frames = [row for row in found if row["source"] == "in/d.mp4"]
    assert len({row["frame"] for row in frames}) == 30
    assert {row["face"] for row in frames if row["label"] != "no_face"} == {"0", "1"}
    assert [row["label"] for row in frames if int(row["frame"]) >= 25] == ["no_face"] * 5
    faces = sum(row["label"] not in ("no_face", "error") for row in found)
    assert f"{faces} faces in 33 images, 6 without a face, 1 unreadable. Written to predictions.csv" in flat(said)
    annotated = Image.open(tmp_path / "drawn" / "in__a.png.jpg")
    assert annotated.size == (512, 512)
    assert len(list((tmp_path / "drawn" / "in__d.mp4").iterdir())) == 30
    assert Image.open(tmp_path / "time.png").width > 1000
    assert len(list((tmp_path / "why").glob("*.png"))) == faces
    before = (tmp_path / "predictions.csv").read_bytes()
    run_here(*words, cwd=tmp_path)
    assert "4 of 4 are in predictions.csv already" in flat(capsys.readouterr().out)
    assert (tmp_path / "predictions.csv").read_bytes() == before


def test_one_image_needs_neither_the_training_nor_a_process(photograph, tmp_path):
    photograph.save(tmp_path / "a.png")
    heavy = "lightning torchmetrics matplotlib torchvision torch._dynamo torch.onnx cv2 onnx onnxruntime pyarrow timm"
    heavy += " fer_lightning.training.classifier fer_lightning.data.datamodule multiprocessing.popen_fork"
    words = ["predict", "--ckpt_path", "pretrained", "--input", "a.png", "--output", "rows.csv"]
    code = f"import os, sys; from fer_lightning.cli.main import main; os.chdir({str(tmp_path)!r}); main({words!r}); "
    code += f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert [row["label"] for row in rows(tmp_path / "rows.csv")] == ["happiness"]


def test_a_network_of_another_package_is_imported_if_it_is_named(tmp_path, capsys, monkeypatch):
    (tmp_path / "somebody.py").write_text(
        "import torch\nfrom fer_lightning.networks import CompactResNet\nclass Net(CompactResNet): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    network = __import__("somebody").Net(widths=[16], blocks=[1], in_channels=1, image_size=24)
    model = ExpressionModel(network, input_spec=InputSpec(24, "gray"))
    save_weights(info_of(model), network.state_dict(), tmp_path / "own.safetensors")
    Image.new("L", (24, 24), 90).save(tmp_path / "a.png")
    words = ["predict", "--ckpt_path", "own.safetensors", "--input", "a.png", "--output", "-"]
    with pytest.raises(SystemExit):
        run_here(*words, cwd=tmp_path)
    assert "name it yourself: --network somebody.Net" in capsys.readouterr().err
    run_here(*words, "--network", "somebody.Net", cwd=tmp_path)
    assert "a.png" in capsys.readouterr().out


def test_a_video_is_annotated_as_a_video_of_the_same_length(video, tmp_path):
    words = ["predict", "--ckpt_path", "pretrained", "--input", video, "--output", "rows.jsonl", "--fps", "5"]
    run_here(*words, "--smooth", "0.5", "--annotate", "out/film.mp4", cwd=tmp_path)
    film = cv2.VideoCapture(str(tmp_path / "out" / "film.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 15
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(5)
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert {line["frame"] for line in lines} == set(range(0, 30, 2))
    first = [line["neutral"] for line in lines if line["face"] == 0]
    run_here(*words[:-4], "--output", "plain.jsonl", "--fps", "5", cwd=tmp_path)
    rough = [json.loads(line) for line in (tmp_path / "plain.jsonl").read_text().splitlines()]
    second = [line["neutral"] for line in rough if line["face"] == 0]
    assert first[0] == second[0]
    weight = 1 - math.exp(-0.2 / 0.5)  # of the new answer, 0.2 seconds after the last
    assert first[1] == pytest.approx(first[0] + weight * (second[1] - first[0]), abs=1e-5)


def test_the_class_prior_and_the_labels_that_came_out_are_told(drawn, tmp_path, capsys):
    words = ["predict", "--ckpt_path", "pretrained", "--input", drawn / "images", "--faces", "whole", "--workers", "0"]
    run_here(*words, "--output", "plain.csv", cwd=tmp_path)
    said = capsys.readouterr().out
    run_here(*words, "--output", "even.csv", "--class_prior", "uniform", cwd=tmp_path)
    prior = trained_prior(info_of_file(PRETRAINED))
    plain, even = rows(tmp_path / "plain.csv"), rows(tmp_path / "even.csv")
    for one, other in zip(plain[:20], even[:20], strict=True):
        moved = [float(one[name]) / before for name, before in zip(EXPRESSIONS, prior, strict=True)]
        assert [float(other[name]) for name in EXPRESSIONS] == pytest.approx(
            [value / sum(moved) for value in moved], abs=2e-3
        )
    run_here(*words, "--output", "zero.csv", "--class_prior", "0", cwd=tmp_path)
    assert (tmp_path / "zero.csv").read_text() == (tmp_path / "even.csv").read_text()
    neutral = sum(row["label"] == "neutral" for row in plain)
    assert "Found: " in flat(said)
    assert f"neutral {neutral}" in flat(said)
    assert "Class prior: training (neutral 27%, happiness 26%, sadness 15%, ...)" in flat(said)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input", "nothing.jpg"], "Found nothing at 'nothing.jpg'"),
        (["--input", "."], "No image or video in ."),
        (["--input", "a.png", "--frame_stride", "0"], "--frame_stride. Expected 1 or more. Received: 0"),
        (["--input", "a.png", "--output", "rows.txt"], "--output. Expected .csv, .jsonl, .parquet or -"),
        (["--input", "a.png", "--annotate", "film.mp4"], "an .mp4 file takes one video"),
        (["--input", "a.png", "--timeline", "time.txt"], "--timeline. Expected a .png"),
        (["--input", "a.png", "--ckpt_path", "gone.onnx"], "found nothing at 'gone.onnx'"),
        (["--input", "a.png", "--target_risk", "7"], "--target_risk"),
        (["--input", "a.png", "--target_risk", "0.1", "--tta_flip", "false"], "omit --tta_flip"),
        (["--input", "a.png", "--tta_flip", "perhaps"], "Invalid value for --tta_flip"),
        (["--input", "a.png", "--facez", "whole"], "predict --help"),
        (["--input", "77"], "Cannot open the camera '77'"),
    ],
)
def test_a_mistake_is_one_message_and_nothing_is_left(words, message, tmp_path, capsys):
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    if words == ["--input", "."]:
        (tmp_path / "a.png").rename(tmp_path / "a.txt")
    ckpt = [] if "--ckpt_path" in words else ["--ckpt_path", "pretrained"]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit, match="2"):
        run_here("predict", *ckpt, *words, cwd=tmp_path)
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert sorted(Path(tmp_path).iterdir()) == before


def test_odd_names_are_rows_once_and_on_any_terminal(drawn, tmp_path, monkeypatch):
    """Bytes that are no UTF-8, control characters, no file at all; twice, and a second list to the same file."""
    names = [b"\xff.jpg", "é.jpg".encode(), b"two\nlines.jpg", b"\x1b[31m.jpg", b"=1+1.jpg", b"n" * 255]
    for name in names:
        shutil.copy(next((drawn / "images").iterdir()), os.path.join(os.fsencode(tmp_path), name))
    os.mkfifo(tmp_path / "pipe.jpg")
    words = ["--faces", "whole", "--workers", "0", "--annotate", "drawn", "--explain", "why"]
    words += ["--output", "predictions.csv", "--input"]
    paths = [*(name for name in names if b"\n" not in name), b"pipe.jpg", b"gone.jpg", b"a\0b.jpg", b"m" * 300]
    done = subprocess.run(
        [*PREDICT, *words, "-"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "LANG": "C", "PYTHONUTF8": "0"},
        input=b"\n".join(paths),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout
    for listed in (paths, [b"later.jpg"], [b"later.jpg"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(listed))))
        run_here(*PREDICT[2:], *words, "-", cwd=tmp_path)
    found = rows(tmp_path / "predictions.csv")
    assert len(found) == len({row["source"] for row in found}) == len(paths) + 1
    assert [row["label"] for row in found].count("error") == 5
    assert len(list((tmp_path / "drawn").glob("*.jpg"))) == len(list((tmp_path / "why").glob("*.png"))) == 5
    run_here(*PREDICT[2:], *words, ".", "--output", "all.csv", cwd=tmp_path)  # the last one counts
    found = rows(tmp_path / "all.csv")
    assert {"./two\nlines.jpg", "./pipe.jpg", "./=1+1.jpg"} < {row["source"] for row in found}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "-1"], "--workers. Expected 0 to 256"),
        (["--batch_size", "0"], "--batch_size. Expected 1 to"),
        (["--fps", "nan"], "fps"),
        (["--fps", "0"], "--fps"),
        (["--smooth", "inf"], "smooth"),
        (["--frame_stride", "-3"], "--frame_stride"),
    ],
)
def test_numbers_that_cannot_be_are_refused(words, message, tmp_path, capsys):
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    with pytest.raises(SystemExit, match="2"):
        run_here("predict", "--ckpt_path", "pretrained", "--input", "a.png", *words, cwd=tmp_path)
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_second_one_to_the_same_file_is_refused_at_once(tmp_path, capsys):
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    for name in ("rows.csv", "rows.parquet"):
        with RowWriter(str(tmp_path / name), EXPRESSIONS, {}), pytest.raises(SystemExit, match="2"):
            run_here(*PREDICT[2:], "--input", "a.png", "--output", name, "--faces", "whole", cwd=tmp_path)
        said = capsys.readouterr().err
        assert f"Another process is writing to '{name}'" in said
        assert said.count("\n") == 2  # the message, and the page that explains it
