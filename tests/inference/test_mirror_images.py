"""Whether answers are means of a face and its mirror image: by the model, by the user, in rows, exports and pages."""

from __future__ import annotations

import copy
import csv

import numpy as np
import pytest
import torch
from PIL import Image

from fer_lightning import ExpressionRecognizer, FERError
from fer_lightning.checkpoints.finding import NAMED
from fer_lightning.checkpoints.reading import load_model
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.export.export import export
from fer_lightning.inference.onnx_graph import open_onnx
from fer_lightning.serving.browser import browser_files
from tests.conftest import flat, run_here

LARGE = "pretrained-large"


def answers(recognizer: ExpressionRecognizer, image: Image.Image) -> list[float]:
    (face,) = recognizer.predict(image).faces
    return list(face.probabilities.values())


def test_they_are_averaged_unless_one_asks_for_one_look(pretrained, photograph):
    """The mean of the logits of both, computed here: at the model's temperature, as it states no other prior."""
    model = load_model("pretrained")
    assert model.tta_flip
    model.tta_flip = False
    pixels = model.input_spec.prepare(photograph, find_faces(photograph)[0])[None]
    with torch.inference_mode():
        both = (model(pixels) + model(pixels.flip(-1))) / 2 / model.temperature
    flipped = ExpressionRecognizer(pretrained, faces="detect", workers=0, tta_flip=True)
    assert answers(flipped, photograph) == pytest.approx(both.softmax(1)[0].tolist(), abs=1e-6)
    one_look = ExpressionRecognizer(pretrained, faces="detect", workers=0, tta_flip=False)
    plain = ExpressionRecognizer(one_look, faces="detect", workers=0)  # shares the network, and nothing else
    assert answers(plain, photograph) == answers(flipped, photograph) != answers(one_look, photograph)


def test_the_threshold_of_a_risk_is_of_what_the_model_does(pretrained):
    one_look = copy.deepcopy(pretrained)
    one_look.tta_flip = False
    for model, does in ((pretrained, True), (one_look, False), (LARGE, True)):
        assert ExpressionRecognizer(model, target_risk=0.1, tta_flip=does).threshold > 0
        with pytest.raises(FERError, match="omit --tta_flip"):
            ExpressionRecognizer(model, target_risk=0.1, tta_flip=not does)


def test_only_yes_and_no_are_answers(pretrained):
    with pytest.raises(FERError, match=r"Invalid value for tta_flip\. Expected True, False or None\. Received: 'no'"):
        ExpressionRecognizer(pretrained, tta_flip="no")


def test_rows_are_of_one_setting(drawn, tmp_path, capsys):
    one = sorted((drawn / "images").iterdir())[0]
    words = ["predict", "--input", one, "--faces", "whole", "--workers", "0", "--output", "rows.csv"]
    run_here(*words, "--ckpt_path", LARGE, cwd=tmp_path)
    before = (tmp_path / "rows.csv").read_text()
    with pytest.raises(SystemExit):
        run_here(*words, "--ckpt_path", LARGE, "--tta_flip", "false", cwd=tmp_path)
    assert "made with other settings (tta_flip)" in flat(capsys.readouterr().err)
    assert (tmp_path / "rows.csv").read_text() == before
    with open(tmp_path / "rows.csv", newline="") as stream:
        (row,) = csv.DictReader(stream)
    said = [float(row[name]) for name in EXPRESSIONS]
    with Image.open(one) as image:
        assert said == pytest.approx(answers(ExpressionRecognizer(LARGE, "whole", tta_flip=True), image), abs=1e-5)
        assert said != pytest.approx(answers(ExpressionRecognizer(LARGE, "whole", tta_flip=False), image), abs=1e-3)


@pytest.mark.slow
def test_a_hub_folder_does_as_the_model(photograph, tmp_path):
    export(LARGE, str(tmp_path / "hub"), hub=True)
    assert load_model(tmp_path / "hub").tta_flip
    wanted = answers(ExpressionRecognizer(LARGE), photograph)
    assert answers(ExpressionRecognizer(tmp_path / "hub"), photograph) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("tta_flip", [False, True])
def test_the_page_runs_what_the_service_answers(tta_flip, tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'fer_lightning[onnx]'")
    recognizer = ExpressionRecognizer("pretrained", tta_flip=tta_flip)
    (tmp_path / "a.onnx").write_bytes(browser_files(recognizer, NAMED["pretrained"], "x")["/model.onnx"][0])
    graph, _ = open_onnx(tmp_path / "a.onnx")
    faces = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    found = graph(faces)
    assert np.allclose(found, graph(np.ascontiguousarray(faces[:, :, ::-1])), atol=1e-5) == tta_flip


@pytest.mark.slow
def test_int8_has_the_weights_once(drawn, tmp_path):
    data = ["--data.root", drawn, "--data.num_workers", "0"]
    sizes = []
    for tta_flip in ("false", "true"):
        words = ["--trainer.max_epochs", "1", "--model.tta_flip", tta_flip, "--data.image_size", "32"]
        run_here("fit", *data, *words, "--name", tta_flip, cwd=tmp_path)
        export_words = ["--name", tta_flip, "--ckpt_path", "best", "--output", f"{tta_flip}.onnx", "--quantize", "int8"]
        run_here("export", *export_words, cwd=tmp_path)
        sizes.append((tmp_path / f"{tta_flip}.onnx").stat().st_size)
    assert sizes[1] < 1.05 * sizes[0]
