"""What the service answers, in every way to ask it."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image

from fer_lightning import ExpressionRecognizer
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.version import __version__
from tests.conftest import run
from tests.serving.conftest import BEARER, TOKEN, encoded, photograph, same, serving

PHOTO = photograph()


def one_face(answer):
    assert (answer["outcome"], answer["width"], answer["height"], answer["error"]) == ("faces", 512, 512, None)
    (face,) = answer["faces"]
    assert (face["label"], face["uncertain"]) == ("happiness", False)
    assert list(face["probabilities"]) == list(EXPRESSIONS)
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert face["confidence"] == max(face["probabilities"].values())
    assert 150 < face["box"]["left"] < 200
    assert 80 < face["box"]["width"] < 120


def test_several_files_of_a_form(server):
    files = [("a", ("one.jpg", PHOTO)), ("b", ("two.png", encoded(Image.new("RGB", (90, 60)), "PNG"))), ("c", PHOTO)]
    done = server.ask(files=[*files, ("d", ("x.txt", b"no image", "image/png"))])
    assert done.status_code == 200
    first, second, third, fourth = done.json()["images"]
    one_face(first)
    one_face(third | {"index": 0})
    assert second == {"index": 1, "outcome": "no_face", "width": 90, "height": 60, "faces": [], "error": None}
    assert (fourth["outcome"], fourth["error"]["code"]) == ("error", "unreadable")
    assert fourth["error"]["message"] == "The image cannot be read: it is not an image that can be decoded."


def test_json_and_bytes(server):
    text = base64.b64encode(PHOTO).decode()
    done = server.ask(json={"images": [f"data:image/jpeg;base64,{text}", text]})
    assert done.status_code == 200
    for answer in done.json()["images"]:
        one_face(answer)
    done = server.ask(content=PHOTO, headers={"Content-Type": "image/jpeg"})
    one_face(done.json()["images"][0])


def test_options(server):
    (answer,) = server.ask(path="/v1/predict?whole=true&min_confidence=1", files={"i": PHOTO}).json()["images"]
    (face,) = answer["faces"]
    assert (face["box"], face["label"], face["uncertain"]) == (None, "uncertain", True)
    assert 0 < face["confidence"] < 1


def test_a_photograph_of_a_telephone_is_upright(server):
    turned = Image.new("RGB", (80, 40))
    exif = turned.getexif()
    exif[0x0112] = 6
    (answer,) = server.ask(files={"i": encoded(turned, exif=exif)}).json()["images"]
    assert (answer["width"], answer["height"]) == (40, 80)


def test_every_answer_to_many_clients_is_the_serial_one(server, recognizer, drawn):
    paths = sorted((drawn / "images").iterdir())[:60]
    serial = [recognizer.predict(path) for path in paths]
    before = figures(server)

    def ask(start: int) -> list[bool]:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            found = []
            for number in range(start, len(paths), 12):
                done = client.post("/v1/predict", files={"i": paths[number].read_bytes()})
                found.append(done.status_code == 200 and same(done.json()["images"][0], serial[number]))
            return found

    with ThreadPoolExecutor(12) as pool:
        results = [one for some in pool.map(ask, range(12)) for one in some]
    assert len(results) == 60
    assert all(results)
    after = figures(server)
    assert after['requests_total{status="200"}'] - before['requests_total{status="200"}'] >= 60
    faces = sum(len(one.faces) for one in serial)
    assert after["faces_total"] - before["faces_total"] == faces > 30
    assert after["batch_faces_count"] - before["batch_faces_count"] < 60  # some were answered together
    assert after["images_waiting"] == 0


def figures(server) -> dict[str, float]:
    done = server.ask("GET", "/metrics")
    assert done.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {name: float(value) for name, value in re.findall(r"^fer_(\S+) (\S+)$", done.text, flags=re.MULTILINE)}


def test_what_the_model_is(server):
    about = server.ask("GET", "/v1/model").json()
    assert (about["name"], about["version"], about["classes"]) == ("pretrained", __version__, list(EXPRESSIONS))
    assert (about["input"]["image_size"], about["input"]["faces"]) == (48, "detect")
    assert about["card"].startswith("# Model card: pretrained\n")
    assert about["must_not_be_used_for"].startswith("An expression is not an emotion felt")
    assert about["limits"]["images"] == 32


def test_health_and_description(server):
    assert server.ask("GET", "/health").json() == {"status": "ok", "version": __version__}
    description = server.ask("GET", "/openapi.json").json()
    assert {"/v1/predict", "/v1/model", "/health", "/metrics"} == set(description["paths"])
    asked = description["paths"]["/v1/predict"]["post"]
    assert set(asked["requestBody"]["content"]) == {"multipart/form-data", "application/json", "image/*"}
    assert {"200", "401", "413", "415", "422", "429", "503", "504"} <= set(asked["responses"])
    assert {one["name"] for one in asked["parameters"]} == {"min_confidence", "whole"}


@pytest.mark.parametrize(
    "path",
    ["/", "/docs", "/page.css"]
    + [f"/{name}.js" for name in ("page", "card", "docs", "service", "local", "worker", "recognize", "pixels")],
)
def test_pages_load_nothing_from_elsewhere(server, path):
    done = server.ask("GET", path)
    assert done.status_code == 200
    assert "default-src 'none'" in done.headers["content-security-policy"]
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//|url\(|@import|https?://", done.text)


def test_a_token_is_asked_for(guarded):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic " + BEARER["Authorization"][7:]}):
        for method, path in (("POST", "/v1/predict"), ("GET", "/v1/model"), ("GET", "/metrics"), ("GET", "/other")):
            done = guarded.ask(method, path, headers=headers)
            assert (done.status_code, done.json()["error"]["code"]) == (401, "wrong_token")
            assert done.headers["www-authenticate"] == "Bearer"
    for path in ("/health", "/", "/docs", "/openapi.json"):
        assert guarded.ask("GET", path).status_code == 200
    assert guarded.ask("GET", "/v1/model", headers=BEARER).status_code == 200
    one_face(guarded.ask(files={"i": PHOTO}, headers=BEARER).json()["images"][0])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 lets other machines ask, which needs a token. Expected --token_file"),
        (["--host", "::"], "which needs a token"),
        (["--token_file", "nowhere"], "Invalid value for --token_file. Cannot read 'nowhere': No such file"),
        (["--token_file", "short"], "The token in --token_file 'short' cannot be used. Expected 16 printable"),
        (["--token_file", "/dev/zero"], "it is a device or a pipe"),
        (["--port", "70000"], "Invalid value for --port. Expected 0 to 65,535. Received: 70000."),
        (["--max_waiting", "2"], "Invalid value for --max_waiting. Expected 32 to 1,000,000. Received: 2."),
        (["--timeout", "1e9"], "Invalid value for --timeout. Expected 0.1 to 3,600. Received: 1000000000.0."),
        (["--ckpt_path", "nowhere.ckpt"], "Invalid value for --ckpt_path."),
        (["--tta_flip", "false", "--target_risk", "0.1"], "averaged, or not, as the model says: omit --tta_flip."),
        (["--host", "nowhere.invalid", "--token_file", "long"], "Cannot listen at --host nowhere.invalid --port 8000"),
    ],
)
def test_what_cannot_be_served_is_one_message(workdir, words, expected):
    (workdir / "short").write_text("123\n")
    (workdir / "long").write_text("1234567890123456\n")
    done = run("serve", *words, cwd=workdir)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_packages_for_it(workdir):
    code = "import sys; sys.modules['fastapi'] = None\nfrom fer_lightning.cli.main import main; main(['serve'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = "error: serve needs fastapi: pip install 'fer_lightning[serve]'.\nMore: docs/errors.md#packages\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.slow
def test_a_port_that_somebody_has(server, workdir):
    done = run("serve", "--port", str(server.port), cwd=workdir)
    assert done.returncode == 2
    assert f"Cannot listen at --host 127.0.0.1 --port {server.port}: Address already in use. Choose" in done.stderr


def test_a_page_of_another_site_and_a_token_from_a_file(tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    options = ["--host", "localhost", "--token_file", "token", "--allow_origin", "https://app.example"]
    with serving(tmp_path, *options) as served:
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        done = served.ask("OPTIONS", headers=asked | {"Access-Control-Request-Headers": "authorization"})
        assert (done.status_code, done.headers["access-control-allow-origin"]) == (200, "https://app.example")
        done = served.ask(files={"i": PHOTO}, headers=BEARER | {"Origin": "https://app.example"})
        assert done.headers["access-control-allow-origin"] == "https://app.example"
        one_face(done.json()["images"][0])
        for headers, status in (({"Origin": "https://app.example"}, 401), (BEARER | {"Origin": "https://other"}, 403)):
            assert served.ask(files={"i": PHOTO}, headers=headers).status_code == status


@pytest.mark.slow
def test_mirror_images_are_averaged_unless_it_is_told_not_to(tmp_path):
    with serving(tmp_path, "--tta_flip", "false") as served:
        (answer,) = served.ask(files={"i": PHOTO}).json()["images"]
    assert same(answer, ExpressionRecognizer(workers=0, tta_flip=False).predict(PHOTO))
    assert not same(answer, ExpressionRecognizer(workers=0).predict(PHOTO))
