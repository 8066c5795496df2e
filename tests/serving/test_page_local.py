"""The page with the model on this device, in a real browser: no picture leaves it, answers are the service's."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import skimage.data
from PIL import Image

from fer_lightning.data.sources.synthetic_face import draw_face
from fer_lightning.export.export import export
from fer_lightning.inference.recognizer import ExpressionRecognizer
from tests.serving.conftest import BEARER, TOKEN, Served, encoded, photograph, serving
from tests.serving.test_page import Page

pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'fer_lightning[onnx]'")
pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Device(Page):
    """The page of a server, with the switch on this device, and what it sent."""

    def __init__(self, browser: Any, served: Served, **options: Any) -> None:
        self.sent: list[str] = []
        super().__init__(browser, served, **options)
        self.context.on("request", lambda request: self.sent.append(f"{request.method} {request.url}"))

    def choose(self, place: str = "device") -> None:
        self.page.check(f"[name=place][value={place}]")

    def ready(self) -> None:
        self.choose()
        self.said("The model is on this device.")


@pytest.fixture
def page(browser, server) -> Iterator[Device]:
    opened = Device(browser, server)
    yield opened
    opened.context.close()
    assert opened.wrong == []
    assert not [line for line in opened.sent if not line.startswith("GET ")], "a picture left the device"
    assert all(url.startswith((server.url, "data:", "blob:")) for url in opened.asked), opened.asked


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Iterator[str]:
    """The address of a folder that `export` wrote, at a web server that knows nothing of it."""
    folder = tmp_path_factory.mktemp("bundle") / "app"
    export("pretrained", str(folder))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *given: Any) -> None:
            pass

        def copyfile(self, source: Any, outputfile: Any) -> None:
            if not self.path.endswith("model.onnx"):
                return super().copyfile(source, outputfile)
            with contextlib.suppress(ConnectionError):
                while part := source.read(200_000):  # a slow network
                    outputfile.write(part)
                    time.sleep(0.1)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as static:
        threading.Thread(target=static.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{static.server_port}"
        static.shutdown()


def shown(page: Page) -> dict[str, str]:
    """What stands on the page, by the names of the pictures."""
    return {
        one.locator("h3").inner_text(): one.locator(".said").inner_text()
        for one in page.page.locator("#results article").all()
    }


def test_a_photograph_stays_here(page):
    before = "Pictures go to the service on this machine and nowhere else"
    page.page.get_by_text(before).wait_for()
    page.ready()
    assert "Pictures stay on this device" in page.page.inner_text("header")
    began = len(page.sent)
    page.give(("astronaut <b>.jpg", photograph()))
    page.said("astronaut <b>.jpg: happiness, 100 %")
    assert page.page.locator("#results .bars dt").all_inner_texts()[0] == "happiness"
    assert page.sent[began:] == []  # nothing at all, once the model is here


def test_turned_many_none_and_broken(page):
    image = Image.fromarray(skimage.data.astronaut())
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    turned = encoded(image.transpose(Image.Transpose.ROTATE_90), exif=exif)
    nothing = encoded(Image.new("RGB", (300, 200), "gray"))
    page.ready()
    page.give(("turned.jpg", turned), ("none.jpg", nothing), ("broken.jpg", b"nothing of an image"))
    page.said("3 pictures: 1 face, 1 could not be answered.")
    found = shown(page)
    assert "happiness" in found["turned.jpg"]
    assert "No face was found." in found["none.jpg"]
    assert "it is not an image that this browser can decode" in found["broken.jpg"]
    page.page.check("#whole")
    page.page.locator("#least").fill("0.95")
    page.give(("none.jpg", nothing))
    page.said("none.jpg: uncertain, most likely ")


ANSWER = """async () => {
    const blob = await (await fetch("/picture")).blob();
    const device = await import("/local.js");
    await device.open("", () => {});
    return await device.recognize(blob, { whole: false, least: 0 });
}"""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_answer_is_the_services(page, server, kind):
    image = Image.fromarray(skimage.data.astronaut()).resize((900, 871))
    content = encoded(image if kind == "JPEG" else image.convert("RGBA"), kind)
    page.page.route("**/picture", lambda route: route.fulfill(body=content))
    here = page.page.evaluate(ANSWER)
    there = server.ask(content=content, headers={"Content-Type": f"image/{kind.lower()}"}).json()["images"][0]
    assert [here["width"], here["height"], here["outcome"]] == [900, 871, "faces"]
    assert len(here["faces"]) == len(there["faces"]) == 1
    one, other = here["faces"][0], there["faces"][0]
    assert one["box"] == pytest.approx(other["box"], abs=3)  # decoders of JPEG and WebP differ in single bits
    assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-3)
    assert set(one) == set(other)
    if kind == "PNG":
        assert one["box"] == other["box"]
        assert one["landmarks"] == other["landmarks"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)


def test_the_camera_stays_here(page):
    page.ready()
    page.page.click("#camera")
    page.said("Camera: happiness")
    assert "now happiness" in page.page.get_attribute("#timeline", "aria-label")
    page.page.click("#camera")
    page.said("The camera is off.")


def test_a_slow_network_while_the_model_loads(page):
    def slowly(route: Any) -> None:
        time.sleep(1.5)
        route.continue_()

    page.context.route("**/*.onnx", slowly)
    page.choose()
    page.give(("early.jpg", photograph()))  # before the model is there
    page.said("early.jpg: happiness, 100 %")


def test_a_network_that_ends_while_the_model_loads(browser, server):
    opened = Device(browser, server)
    try:
        opened.page.locator("#must-not", has_text="Do not use").wait_for()
        opened.context.route("**/model.onnx", lambda route: route.abort())
        opened.choose()
        opened.said("The model could not be loaded.")
        opened.context.unroute("**/model.onnx")
        opened.give(("again.jpg", photograph()))
        opened.said("again.jpg: happiness, 100 %")
        assert opened.wrong == []
    finally:
        opened.context.close()


def test_back_to_the_service(page, server):
    page.ready()
    page.choose("service")
    assert "Pictures go to the service on this machine" in page.page.inner_text("header")
    page.give(("a.jpg", photograph()))
    page.said("a.jpg: happiness, 100 %")
    assert page.sent.pop().startswith(f"POST {server.url}/v1/predict")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 320])
def test_narrow_screens(browser, server, scheme, width):
    opened = Device(browser, server, viewport={"width": width, "height": 800}, color_scheme=scheme)
    try:
        opened.ready()
        opened.give(("a-name-without-any-space-that-is-very-long-" * 4 + ".jpg", photograph()))
        opened.said("happiness")
        assert opened.wide() <= 0
        dark = opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 24, 39)"
        assert dark == (scheme == "dark")
        assert opened.wrong == []
    finally:
        opened.context.close()


def test_by_keyboard_and_with_names_for_all(page):
    page.page.locator("#must-not", has_text="Do not use").wait_for()
    assert page.page.get_by_role("group", name="Where pictures are looked at").count() == 1
    assert page.page.get_by_role("radio", name="by the service").is_checked()
    page.page.get_by_role("radio", name="by the service").focus()
    page.page.keyboard.press("ArrowUp")
    page.said("The model is on this device.")
    assert page.page.get_by_role("radio", name="on this device").is_checked()


def test_a_folder_without_a_service(browser, bundle):
    opened = Device(browser, Served(None, bundle, Path()))
    try:
        opened.said("Loading the model, 17 MB … ")
        opened.give(("early.jpg", photograph()))
        opened.said("early.jpg: happiness, 100 %")
        assert not opened.page.locator("#place").is_visible()
        assert not opened.page.locator("#docs").is_visible()
        assert "Pictures stay on this device" in opened.page.inner_text("header")
        opened.page.locator("#must-not", has_text="Do not use").wait_for()
        opened.give(("a.jpg", photograph()))
        opened.said("a.jpg: happiness, 100 %")
        assert opened.wrong == []
        assert not [line for line in opened.sent if not line.startswith("GET ")]
    finally:
        opened.context.close()


def test_aligned_faces_are_answered_as_by_the_service(browser, aligning, tmp_path):
    with serving(tmp_path, "--ckpt_path", str(aligning)) as server:
        opened = Device(browser, server)
        try:
            wall = Image.new("RGB", (300, 300), (90, 110, 130))
            wall.paste(draw_face("fear", (1, 1), 1).convert("RGB").resize((140, 140)), (80, 80))  # which is not sure
            content = encoded(wall.rotate(15, fillcolor=(90, 110, 130)), "PNG")
            opened.context.route("**/picture", lambda route: route.fulfill(body=content))
            here = opened.page.evaluate(ANSWER)["faces"]
            there = server.ask(content=content, headers={"Content-Type": "image/png"}).json()["images"][0]["faces"]
            assert [one["box"] for one in here] == [one["box"] for one in there]
            assert here[0]["probabilities"] == pytest.approx(there[0]["probabilities"], abs=1e-4)
            assert any(url.endswith("/landmarks.onnx") for url in opened.asked)
            plain = ExpressionRecognizer(aligning, faces="box").predict(content).faces[0].probabilities
            assert max(abs(here[0]["probabilities"][name] - value) for name, value in plain.items()) > 0.01
            opened.ready()
            opened.give(("turned.png", content))
            opened.said(f"turned.png: {here[0]['label']}")
            assert opened.wrong == []
        finally:
            opened.context.close()


def test_the_token_is_for_the_model_too(browser, guarded):
    assert guarded.ask("GET", "/model.onnx").status_code == 401
    assert guarded.ask("GET", "/ort/ort.wasm.min.mjs").status_code == 200
    assert guarded.ask("GET", "/model.json", headers=BEARER).json()["format"] == 1
    opened = Device(browser, guarded)
    try:
        opened.said("Expected the header Authorization")
        opened.page.fill("#token", TOKEN)
        opened.page.keyboard.press("Enter")
        opened.said("The token is right.")
        opened.ready()
        opened.give(("a.jpg", photograph()))
        opened.said("a.jpg: happiness")
    finally:
        opened.context.close()


def test_what_browsers_keep_and_what_is_compressed(server):
    wasm = server.ask("GET", "/ort/ort-wasm-simd-threaded.wasm", headers={"Accept-Encoding": "gzip"})
    assert wasm.headers["content-encoding"] == "gzip"
    assert wasm.headers["content-type"] == "application/wasm"
    plain = server.ask("GET", "/ort/ort-wasm-simd-threaded.wasm", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == wasm.content
    for path in ("/ort/ort-wasm-simd-threaded.wasm", "/ort/ort.wasm.min.mjs", "/model.onnx", "/model.json"):
        first = server.ask("GET", path)
        again = server.ask("GET", path, headers={"If-None-Match": first.headers["etag"]})
        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    said = json.loads(server.ask("GET", "/model.json").content)
    assert said["detection"] == {"longest": 640, "shortest": 192, "at_most": 4, "sure": 0.6, "same": 0.3}
    policy = server.ask("GET", "/worker.js").headers["content-security-policy"]
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy
    assert "worker-src 'self';" in policy
    assert "'unsafe-eval'" not in policy.replace("'wasm-unsafe-eval'", "")
