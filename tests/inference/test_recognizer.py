from __future__ import annotations

import base64
import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import quote_from_bytes

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from fer_lightning import ExpressionRecognizer, FERError
from fer_lightning.checkpoints.reading import load_model
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.face_detectors import open_detector
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.inference.explain import grad_cam
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.networks import CompactResNet
from tests.data.test_face_crop import bright_squares


@pytest.fixture(scope="module")
def recognizer(pretrained):
    return ExpressionRecognizer(pretrained, faces="detect", workers=0)


def same(one, other):
    assert [face.label for face in one.faces] == [face.label for face in other.faces]
    for mine, theirs in zip(one.faces, other.faces, strict=True):
        assert mine.face == theirs.face
        assert list(mine.probabilities.values()) == pytest.approx(list(theirs.probabilities.values()), abs=1e-6)


def test_a_photograph_in_every_form_gives_the_same_answer(recognizer, photograph, tmp_path):
    photograph.save(tmp_path / "photo.png")
    expected = recognizer.predict(photograph)
    array = np.asarray(photograph)
    (face,) = expected.faces
    assert face.label == "happiness"
    assert face.confidence == max(face.probabilities.values())
    assert list(face.probabilities) == list(EXPRESSIONS)
    assert sum(face.probabilities.values()) == pytest.approx(1)
    assert 150 < face.face.left < 220
    same(recognizer.predict(array), expected)
    same(recognizer.predict(array[:, :, ::-1], channels="BGR"), expected)
    same(recognizer.predict(torch.from_numpy(array.copy()).permute(2, 0, 1)), expected)
    same(recognizer.predict(torch.from_numpy(array[:, :, ::-1].copy()).permute(2, 0, 1), "BGR"), expected)
    from_file = recognizer.predict(tmp_path / "photo.png")
    same(from_file, expected)
    assert from_file.source == str(tmp_path / "photo.png")
    exif = Image.Exif()
    exif[274] = 6  # lies on its side
    photograph.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    for turned in (tmp_path / "turned.png", Image.open(tmp_path / "turned.png")):
        same(recognizer.predict(turned), expected)
    gray = photograph.convert("L")
    same(recognizer.predict(np.asarray(gray)), recognizer.predict(gray))
    same(recognizer.predict(torch.from_numpy(np.asarray(gray).copy())[None]), recognizer.predict(gray))


def test_a_list_gives_a_list_in_order_and_bad_files_are_answers(recognizer, photograph, tmp_path):
    (tmp_path / "bad.jpg").write_text("no image")
    blank = Image.new("RGB", (80, 80), "white")
    answers = recognizer.predict([blank, tmp_path / "bad.jpg", photograph, np.asarray(blank)])
    assert [len(answer.faces) for answer in answers] == [0, 0, 1, 0]
    assert "not an image" in answers[1].error
    assert recognizer.predict([]) == []


def test_bytes_files_and_data_urls_are_images_too(recognizer, photograph, tmp_path):
    expected = recognizer.predict(photograph)
    photograph.save(tmp_path / "photo.png")
    content = (tmp_path / "photo.png").read_bytes()
    url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    with open(tmp_path / "photo.png", "rb") as stream:
        forms = [content, bytearray(content), memoryview(content), io.BytesIO(content), stream, url]
        forms += [url[:60] + "\n" + url[60:], "DATA:image/png," + quote_from_bytes(content)]
        answers = recognizer.predict([*forms, str(tmp_path / "photo.png"), np.asarray(photograph)])
    for answer in answers:
        same(answer, expected)
    assert [answer.source for answer in answers] == [""] * 8 + [str(tmp_path / "photo.png"), ""]
    same(recognizer.predict(content), expected)
    broken = [
        b"no image",
        b"",
        io.BytesIO(content[:5000]),
        "data:image/png;base64,!!",
        "data:text/plain,hello",
        "data:",
    ]
    for answer in recognizer.predict([*broken, "https://host/a.png"]):
        assert answer.error
        assert answer.faces == ()
    assert "fetch it, and give its bytes" in answer.error
    closed = io.BytesIO(content)
    closed.close()
    for odd in (io.StringIO("text"), closed):
        with pytest.raises(FERError, match=r"Invalid value for images\. .*file object"):
            recognizer.predict(odd)


def test_boxes_of_ones_own(recognizer, pretrained, photograph, tmp_path):
    (found,) = recognizer.predict(photograph).faces
    box = (found.face.left, found.face.top, found.face.width, found.face.height)
    photograph.save(tmp_path / "photo.png")
    small = (0, 0, 50, 60)
    for image in (photograph, np.asarray(photograph), tmp_path / "photo.png"):
        first, second = recognizer.predict(image, faces=[small, np.array(box)]).faces  # in this order
        assert second.probabilities == pytest.approx(found.probabilities, abs=1e-5)
        assert (first.face.width, first.face.score) == (50, 1.0)
    whole = ExpressionRecognizer(pretrained, faces="whole")
    (of_box,) = whole.predict(photograph, faces=[box]).faces
    assert of_box.probabilities == pytest.approx(found.probabilities, abs=1e-5)
    three = recognizer.predict([photograph, photograph, tmp_path / "gone.png"], faces=[None, [], [small]])
    assert [len(answer.faces) for answer in three] == [1, 0, 0]
    assert "no such file" in three[2].error
    assert len(recognizer.predict(photograph, faces=[(-10, -10, 40, 40)]).faces) == 1  # partly in it
    for boxes, message in {
        ((1, 2, 3),): r"Expected a list of boxes .* Received: \(\(1, 2, 3\),\)",
        ((1, 2, 0, 3),): "above 0",
        (("a", 2, 3, 4),): "list of boxes",
        (1, 2, 3, 4): "list of boxes",
        ((0, 0, float("nan"), 4),): "list of boxes",
        ((600, 10, 50, 50),): r"within the image of 512 x 512 pixels. Received: \(600, 10, 50, 50\)",
    }.items():
        with pytest.raises(FERError, match=f"Invalid value for faces.*{message}"):
            recognizer.predict(photograph, faces=boxes)
    with pytest.raises(FERError, match="Received: 1 for 2 images"):
        recognizer.predict([photograph, photograph], faces=[[box]])


def test_answers_are_rows_a_table_and_a_picture(recognizer, photograph, tmp_path):
    (tmp_path / "bad.jpg").write_text("no image")
    photograph.save(tmp_path / "photo.png")
    blank = Image.new("RGB", (80, 80), "white")
    answers = recognizer.predict([tmp_path / "photo.png", blank, tmp_path / "bad.jpg"])
    rows = answers.to_dicts()
    assert [row["label"] for row in rows] == ["happiness", "no_face", "error"]
    assert rows[0]["source"] == str(tmp_path / "photo.png")
    assert sum(rows[0][name] for name in EXPRESSIONS) == pytest.approx(1, abs=1e-5)
    assert answers[0].to_dicts() == rows[:1]
    drawn = answers[0].draw()
    assert drawn.size == photograph.size
    left, top = round(answers[0].faces[0].face.left), round(answers[0].faces[0].face.top)
    assert drawn.getpixel((left, top + 50)) != photograph.getpixel((left, top + 50))
    assert answers[1].draw().size == (400, 400)  # enlarged, as letters need room
    with pytest.raises(FERError, match=r"no image to draw on.*not an image"):
        answers[2].draw()
    bgr = np.asarray(photograph)[:, :, ::-1]
    assert np.array_equal(np.asarray(recognizer.predict(bgr, "BGR").draw()), np.asarray(drawn))
    pandas = pytest.importorskip("pandas")
    table = answers.to_pandas()
    assert table["label"].tolist() == ["happiness", "no_face", "error"]
    assert table["happiness"][0] > 0.9
    assert list(table.columns) == list(rows[0])
    assert isinstance(recognizer.predict([]).to_pandas(), pandas.DataFrame)


def test_without_pandas_one_is_told(recognizer, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(FERError, match="pip install pandas"):
        recognizer.predict(Image.new("RGB", (50, 50))).to_pandas()


def test_a_film_frame_by_frame(pretrained, video, tmp_path):
    recognizer = ExpressionRecognizer(pretrained, workers=0)
    seen = list(recognizer.film(video, fps=5))
    assert [round(seconds, 1) for seconds, _ in seen] == [round(0.2 * number, 1) for number in range(15)]
    assert [answer.frame for _, answer in seen] == list(range(0, 30, 2))
    assert all(len(answer.faces) >= 1 for _, answer in seen[:12])
    assert not seen[-1][1].faces
    (row, *_) = seen[3][1].to_dicts()
    assert (row["frame"], row["seconds"], row["face"], row["source"]) == (6, 0.6, 0, str(video))
    assert seen[3][1].draw().size == (480, 240)
    first, (_, second) = recognizer.film(str(video), frame_stride=29)
    assert first[1].frame == 0
    assert second.frame == 29
    with pytest.raises(FERError, match=r"Cannot open the video 'gone.mp4'"):
        recognizer.film("gone.mp4")
    with pytest.raises(FERError, match="frame_stride"):
        recognizer.film(video, frame_stride=0)
    (tmp_path / "cut.mp4").write_bytes(b"no film")
    with pytest.raises(FERError, match="Cannot open"):
        recognizer.film(tmp_path / "cut.mp4")


def test_batches_do_not_change_answers(pretrained, drawn):
    paths = sorted((drawn / "images").iterdir())[:20]
    large = ExpressionRecognizer(pretrained, faces="whole", workers=0).predict(paths)
    small = ExpressionRecognizer(pretrained, faces="whole", workers=2, batch_size=3).predict(paths)
    for one, other in zip(large, small, strict=True):
        assert one.source == other.source
        found = [list(answer.faces[0].probabilities.values()) for answer in (one, other)]
        assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_what_is_no_image_is_refused(recognizer):
    with pytest.raises(FERError, match=r"Expected uint8 .* Received: float32 \(5, 5\)"):
        recognizer.predict(np.zeros((5, 5), np.float32))
    with pytest.raises(FERError, match=r"Received: uint8 \(5, 5, 4\)"):
        recognizer.predict(np.zeros((5, 5, 4), np.uint8))
    with pytest.raises(FERError, match="Received: int"):
        recognizer.predict([3])
    with pytest.raises(FERError, match="RGB or BGR"):
        recognizer.predict(np.zeros((50, 50, 3), np.uint8), channels="HSV")


def test_recognizers_on_one_model_do_not_change_each_other(pretrained, photograph):
    plain = ExpressionRecognizer(pretrained, faces="detect")
    before = plain.predict(photograph)
    even = ExpressionRecognizer(pretrained, faces="detect", class_prior="uniform")
    sure = ExpressionRecognizer(pretrained, faces="whole", target_risk=0.0)
    same(plain.predict(photograph), before)
    assert plain.threshold == 0 < sure.threshold
    moved = even.predict(photograph).faces[0].probabilities
    assert moved["contempt"] > 2 * before.faces[0].probabilities["contempt"]
    same(plain.predict(photograph), before)
    shared = ExpressionRecognizer(even, faces="detect")  # the network, not the prior
    same(shared.predict(photograph), before)
    assert shared.model.network is even.model.network is not pretrained.network


def test_a_model_in_memory_is_taken_as_it_is_now(photograph):
    model = load_model("pretrained").train()
    recognizer = ExpressionRecognizer(model, device="cpu")
    before = recognizer.predict(photograph)
    same(before, ExpressionRecognizer("pretrained", device="cpu").predict(photograph))
    assert model.training
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    same(recognizer.predict(photograph), before)
    with pytest.raises(FERError, match=r"an ExpressionModel .* Received: Linear"):
        ExpressionRecognizer(torch.nn.Linear(1, 1))


def test_every_thread_gets_its_own_faces(recognizer, photograph, tmp_path):
    """The package's network and OpenCV's: faces of images of other sizes, asked for by eight threads at once."""
    bright_squares(tmp_path / "squares.onnx")
    squares = ExpressionRecognizer(recognizer, faces="detect", detector=str(tmp_path / "squares.onnx"))
    images = [photograph, photograph.resize((300, 300)), Image.fromarray(skimage.data.coffee())]
    images += [photograph.crop((100, 0, 400, 300)), photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    for one in (recognizer, squares):
        expected = [one.predict(image) for image in images]
        assert len({tuple(face.face for face in answer.faces) for answer in expected}) >= 4
        with ThreadPoolExecutor(8) as threads:
            for found, wanted in zip(threads.map(one.predict, images * 3), expected * 3, strict=True):
                same(found, wanted)


def test_what_cannot_be_had_is_said(pretrained):
    with pytest.raises(FERError, match=r"Expected 'yunet' or a YuNet model file, found nothing at 'gone.onnx'"):
        ExpressionRecognizer(pretrained, faces="detect", detector="gone.onnx")
    with pytest.raises(FERError, match="--device"):
        ExpressionRecognizer("pretrained", device="toaster")
    with pytest.raises(FERError, match="--batch_size"):
        ExpressionRecognizer(pretrained, batch_size=0)


def test_whatever_is_given_is_answered_or_one_message(recognizer):
    gone = Image.new("RGB", (9, 9))
    gone.close()
    odd = [3.0, None, (1, 2), {"a": 1}, object(), range(3), gone, np.array("text"), np.array([[None]])]
    odd += [np.zeros((5, 5, 3), bool), np.zeros((0, 5, 3), np.uint8), np.zeros((5, 5, 2), np.uint8), np.uint8(3)]
    odd += [np.zeros((2, 5, 5, 3), np.uint8), np.full((5, 5), np.nan), np.zeros((5, 5), complex), np.zeros(5, np.uint8)]
    odd += [torch.zeros(3, 5, 5), torch.zeros(5, 5, dtype=torch.bfloat16), torch.zeros(3, 5, 5, requires_grad=True)]
    odd += [torch.zeros(3, 5, 5, device="meta"), torch.zeros(5, 5, dtype=torch.uint8).to_sparse()]
    odd += [torch.zeros(2, 5, 5, dtype=torch.uint8), torch.zeros(1, 3, 5, 5, dtype=torch.uint8)]
    for given in odd:
        with pytest.raises(FERError, match="Invalid value for images"):
            recognizer.predict(given)
        with pytest.raises(FERError, match="Invalid value for images"):
            recognizer.predict([given])
    for path in ("", ".", "a\0.jpg", "\udcff.jpg", "n" * 5000, "/dev/zero"):
        answer = recognizer.predict(path)
        assert answer.error
        assert answer.faces == ()
    masked = np.ma.masked_array(np.zeros((50, 50, 3), np.uint8), mask=True)
    fine = [
        masked,
        np.asfortranarray(masked),
        masked[::-1, ::2],
        Image.new("LAB", (50, 50)),
        np.zeros((1, 9), np.uint8),
    ]
    for given in fine:
        assert recognizer.predict(given).error == ""
    for options in ({"workers": -1}, {"batch_size": 0}, {"batch_size": 10**12}, {"workers": 10_000}):
        with pytest.raises(FERError, match=r"--(workers|batch_size)"):
            ExpressionRecognizer(recognizer, **options)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_first_use_in_threads_and_forks_meanwhile(recognizer, photograph):
    """A detector that nobody has opened yet; children, as a server or a Pool forks them, find the same faces."""
    images = [photograph, photograph.resize((300, 300)), photograph.crop((100, 0, 400, 300))]
    expected = [find_faces(image) for image in images]
    open_detector.cache_clear()
    together = Barrier(8)

    def ask(number):
        together.wait()
        return [find_faces(images[(number + place) % 3]) for place in range(9)]

    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(ask, number) for number in range(8)]
        statuses = []
        for _ in range(5):
            if not (child := os.fork()):
                os._exit([find_faces(image) for image in images] != expected)
            statuses.append(os.waitpid(child, 0)[1])
        for number, found in enumerate(asked):
            assert found.result() == [expected[(number + place) % 3] for place in range(9)]
    assert statuses == [0] * 5


def test_grad_cam_in_threads_is_that_of_one(pretrained, drawn):
    faces = [pretrained.input_spec.load(path)[None] for path in sorted((drawn / "images").iterdir())[:16]]
    classes = torch.tensor([2])
    expected = [grad_cam(pretrained, face, classes) for face in faces]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda face: grad_cam(pretrained, face, classes), faces * 3))
    for one, other in zip(found, expected * 3, strict=True):
        torch.testing.assert_close(one, other)


def test_answers_that_are_not_finite_are_refused_and_classes_are_told_from_other_words():
    torch.manual_seed(0)
    network = CompactResNet(widths=[8], blocks=[1], num_classes=3, in_channels=1, image_size=16)
    model = ExpressionModel(network, ("uncertain", "no_face", "jolly"), InputSpec(16, "gray")).eval()
    image = np.full((16, 16), 200, np.uint8)
    labels = set()
    for number in range(3):
        with torch.no_grad():
            last = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)][-1]
            last.weight.zero_()
            last.bias.copy_(torch.eye(3)[number] * 5)
        labels.add(ExpressionRecognizer(model, faces="whole").predict(image).faces[0].label)
    assert labels == {"class:uncertain", "class:no_face", "jolly"}
    with torch.no_grad():
        last.bias.fill_(3e38)
        last.weight.fill_(3e38)
    with pytest.raises(FERError, match="not finite"):
        ExpressionRecognizer(model, faces="whole").predict(image)
