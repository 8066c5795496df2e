"""The page, in a real browser: the system's Chromium, driven by playwright."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.serving.conftest import TOKEN, Served, encoded, photograph

SLOW = 60_000
"""Milliseconds to wait at most: machines may be busy."""

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Page:
    """The page of a server, and what went wrong in it."""

    def __init__(self, browser: Any, served: Served, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page = self.context.new_page()
        self.page.set_default_timeout(SLOW)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.goto(served.url)

    def give(self, *files: tuple[str, bytes]) -> None:
        given = [{"name": name, "mimeType": "image/jpeg", "buffer": content} for name, content in files]
        self.page.set_input_files("#files", given)

    def said(self, text: str) -> None:
        """Wait until the line that screen readers read says something."""
        self.page.locator("#status", has_text=text).wait_for()

    def wide(self) -> int:
        """Pixels that are beyond the screen."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.fixture
def page(browser, server) -> Iterator[Page]:
    opened = Page(browser, server)
    yield opened
    opened.context.close()
    assert opened.wrong == []
    assert all(url.startswith((server.url, "data:", "blob:")) for url in opened.asked), opened.asked


def test_a_photograph(page):
    page.give(("astronaut <b>.jpg", photograph()))
    page.said("astronaut <b>.jpg: happiness, 100 %")
    answer = page.page.locator("#results article")
    assert answer.locator("h3").inner_text() == "astronaut <b>.jpg"  # a name never becomes markup
    assert answer.locator(".face .label").inner_text().split("\n")[-1].endswith("happiness, 100 %")
    assert answer.locator(".bars dt").all_inner_texts()[0] == "happiness"
    assert answer.locator("canvas").get_attribute("aria-label") == "happiness, 100 %"
    blue = page.page.evaluate(
        """() => {
            const canvas = document.querySelector("#results canvas"), pen = canvas.getContext("2d");
            const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let at = 0; at < data.length; at += 4) {
                count += data[at] === 11 && data[at + 1] === 92 && data[at + 2] === 173;
            }
            return [canvas.width, canvas.height, count];
        }"""
    )
    assert blue[:2] == [512, 512]
    assert blue[2] > 300  # the box
    page.page.click("#clear")
    assert page.page.locator("#results article").count() == 0


def test_several_one_without_a_face_one_broken(page):
    nothing = encoded(Image.new("RGB", (300, 200), "gray"))
    page.give(("one.jpg", photograph()), ("none.jpg", nothing), ("broken.jpg", b"nothing of an image"))
    page.said("3 pictures: 1 face, 1 could not be answered.")
    found = {
        one.locator("h3").inner_text(): one.locator(".said").inner_text()
        for one in page.page.locator("#results article").all()
    }
    assert "happiness, 100 %" in found["one.jpg"]
    assert "No face was found." in found["none.jpg"]
    assert "The image cannot be read: it is not an image that can be decoded." in found["broken.jpg"]


def test_an_unsure_answer_and_a_picture_that_is_a_face(page):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8))
    page.page.check("#whole")
    page.page.locator("#least").fill("0.95")
    assert page.page.inner_text("#least-shown") == "95 %"
    page.give(("noise.jpg", encoded(noise)))
    page.said("noise.jpg: uncertain, most likely ")
    assert page.page.locator(".face.unsure").count() == 1


def test_the_card_and_what_it_must_not_be_used_for(page):
    page.page.locator("#must-not", has_text="Do not use this model to judge").wait_for()
    assert page.page.locator("#card table").count() >= 2
    assert not page.page.locator("#card").is_visible()
    page.page.click("summary")
    assert page.page.locator("#card", has_text="Model card: pretrained").is_visible()
    assert "Pictures go to the service on this machine and nowhere else" in page.page.inner_text("header")


def test_the_camera(page):
    page.page.click("#camera")
    page.said("Camera: happiness")
    assert page.page.get_attribute("#camera", "aria-pressed") == "true"
    assert page.page.inner_text("#camera") == "Stop the camera"
    assert "now happiness" in page.page.get_attribute("#timeline", "aria-label")
    assert len(page.page.locator("#legend li").all()) == 8
    assert page.page.locator("#live .face .label").inner_text().split("\n")[-1].find("happiness") >= 0
    page.page.click("#camera")
    page.said("The camera is off.")
    asked = len(page.asked)
    page.page.wait_for_timeout(700)
    assert len(page.asked) <= asked + 1  # of the picture that was under way


def test_a_camera_that_is_not_there(page):
    page.page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('none')); }")
    page.page.click("#camera")
    page.said("There is no camera, or it may not be used.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 320, 1200])
def test_every_screen(browser, server, scheme, width):
    opened = Page(browser, server, viewport={"width": width, "height": 800}, color_scheme=scheme)
    try:
        opened.give(("a-name-without-any-space-that-is-very-long-" * 4 + ".jpg", photograph()))
        opened.said("happiness")
        opened.page.click("summary")
        assert opened.wide() <= 0
        dark = opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 24, 39)"
        assert dark == (scheme == "dark")
        if os.environ.get("FER_SCREENSHOTS"):  # to look at
            opened.page.screenshot(path=f"{os.environ['FER_SCREENSHOTS']}/{width}_{scheme}.png", full_page=True)
        opened.page.goto(f"{server.url}/docs")
        opened.page.locator("h2", has_text="POST /v1/predict").wait_for()
        assert opened.wide() <= 0
        assert opened.wrong == []
    finally:
        opened.context.close()


def test_by_keyboard_alone_and_with_names_for_all(page):
    page.page.locator("#must-not", has_text="Do not use").wait_for()
    reached = []
    for _ in range(8):
        page.page.keyboard.press("Tab")
        reached.append(
            page.page.evaluate("document.activeElement.id || document.activeElement.textContent.slice(0, 15)")
        )
    assert reached[0] == "Skip to the ans"
    assert {"files", "camera", "least", "whole"} <= set(reached)
    assert "The model card" in reached
    for role, name in (
        ("button", "Use the camera"),
        ("slider", "Uncertain below"),
        ("checkbox", "The picture is one face"),
    ):
        assert page.page.get_by_role(role, name=name).count() == 1
    assert page.page.get_by_label("Drop photographs here").count() == 1
    assert page.page.get_attribute("#status", "aria-live") == "polite"
    assert page.page.get_attribute("html", "lang") == "en"


def test_the_token(browser, guarded):
    opened = Page(browser, guarded)
    try:
        opened.said("Expected the header Authorization")
        opened.page.fill("#token", "a wrong one")
        opened.page.keyboard.press("Enter")
        opened.said("Received another one")
        opened.page.fill("#token", TOKEN)
        opened.page.keyboard.press("Enter")
        opened.said("The token is right.")
        assert not opened.page.locator("#token-form").is_visible()
        opened.give(("a.jpg", photograph()))
        opened.said("a.jpg: happiness")
    finally:
        opened.context.close()


def test_a_service_that_is_gone(page):
    page.page.locator("#must-not", has_text="Do not use").wait_for()
    page.context.set_offline(True)
    page.give(("a.jpg", photograph()))
    page.said("a.jpg: The service cannot be reached. Does it still run?")
